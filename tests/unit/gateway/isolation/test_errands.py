"""An errand is a child of the guard, one at a time; whatever becomes of it is told."""

from __future__ import annotations

import json
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from appliance.runtime.errors import Refused
from gateway.isolation.errands import Errands

pytestmark = pytest.mark.server  # each errand is a process that loads all engines


async def told(errands: Errands, request: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the lines of one errand."""
    async with aclosing(errands.run(request)) as lines:
        return [json.loads(line) async for line in lines]


def asked(policy: Path, **more: Any) -> dict[str, Any]:
    return {"kind": "audit", "policy": str(policy), "report": None, "probe": False, **more}


async def test_a_second_errand_is_refused_while_one_is_under_way(tmp_path: Path):
    """The second one is told to come again; once the first was left, another may begin."""
    errands = Errands()
    async with aclosing(errands.run(asked(tmp_path / "none.yaml"))) as lines:
        await anext(lines)
        with pytest.raises(Refused) as busy:
            await told(errands, asked(tmp_path / "none.yaml"))
        assert busy.value.reason == "busy"
    assert await told(errands, asked(tmp_path / "none.yaml"))


async def test_what_goes_wrong_is_told_in_words(tmp_path: Path):
    """A policy that cannot be read is named; a request that is none ends the child, and that is said."""
    (line,) = await told(Errands(), asked(tmp_path / "none.yaml"))
    assert "none.yaml" in line["error"]

    *_, last = await told(Errands(), {"kind": "audit"})
    assert "ended with status 1" in last["error"]
