"""Many records are validated beside the log, and where no process can be had all the same."""

from __future__ import annotations

import concurrent.futures

import pytest

from provisioning.registry import validating
from provisioning.registry.validating import Validator, validate
from tests.unit.provisioning.registry.conftest import code


async def test_without_processes_records_are_validated_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A place without semaphores makes it slower and not wrong."""

    def none(*_: object) -> None:
        raise OSError(13, "no semaphores")

    monkeypatch.setattr(validating, "INLINE", 1)
    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", none)
    dumps = [b'{"code":"%s","title":"x","body":"library"}' % code(1).encode(), b"{}"]
    validator = Validator()
    for _ in range(2):
        assert await validator(dumps) == validate(dumps)
    validator.close()
