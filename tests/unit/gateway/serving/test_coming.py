"""An object before the exchange has answered: it is opened when the first byte is read, and only if it is the one that was expected."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import cast

import pytest

from appliance.runtime.errors import Corrupt, Refused
from gateway.serving.coming import Coming, Growing, Object, Superseded
from gateway.store.objects import Objects

DATA = os.urandom(1000)
WHAT = Object(hashlib.sha256(DATA).hexdigest(), len(DATA), "video/mp4")


class Waiting:
    """One object that comes, and what a screen holds of it meanwhile."""

    def __init__(self, root: Path) -> None:
        self.coming, self.begun, self.refusal = Coming(), 0, cast("Refused | None", None)
        (root / "incoming").mkdir()
        (root / "incoming" / "name").write_bytes(DATA)
        self.growing = Growing(self.coming, WHAT, Objects(root), root / "incoming", self.begins)

    def begins(self) -> None:
        self.begun += 1
        if self.refusal is not None:
            raise self.refusal


@pytest.fixture
def waiting(tmp_path):
    return Waiting(tmp_path)


def test_it_is_opened_when_it_is_read_from_first(waiting):
    """Once, however often it is read from, and let go with what holds it."""
    assert not waiting.coming.has_begun
    waiting.coming.began(WHAT, "name", stored=False)
    assert waiting.coming.has_begun
    assert waiting.begun == 0

    with waiting.growing as file:
        assert os.pread(file.fileno(), 10, 5) == DATA[5:15]
        descriptor = file.fileno()
        assert waiting.begun == 1
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_what_may_not_begin_any_more_is_not_opened(waiting):
    """It was withdrawn while it was waited for."""
    waiting.coming.began(WHAT, "name", stored=False)
    waiting.refusal = Refused("withdrawn", "it is withdrawn", 410)
    with waiting.growing as file, pytest.raises(Refused, match="withdrawn"):
        file.fileno()


def test_another_version_s_object_is_not_taken_for_the_one_that_was_expected(waiting):
    """And one that is nowhere is told as such."""
    waiting.coming.began(Object("0" * 64, len(DATA), "video/mp4"), "name", stored=False)
    with waiting.growing as file, pytest.raises(Superseded):
        file.fileno()


def test_what_is_nowhere_is_told_so(waiting):
    waiting.coming.began(WHAT, None, stored=False)
    with waiting.growing as file, pytest.raises(Corrupt):
        file.fileno()
