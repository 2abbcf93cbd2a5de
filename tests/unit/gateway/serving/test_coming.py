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
        self._root = root
        self.growing = self.another()

    def another(self) -> Growing:
        return Growing(self.coming, WHAT, Objects(self._root), self._root / "incoming", self.begins)

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


def read(file):
    return os.pread(file.fileno(), 10, 0)


def piece(file):
    return file.piece(0, 10)


READING = pytest.mark.parametrize("reads", [read, piece])


def test_a_crowd_reads_what_all_begin_with_once(waiting, tmp_path):
    """None of it opens the object for that; and what somebody begins with elsewhere is read from there."""
    waiting.coming.began(WHAT, "name", stored=False)
    others = [waiting.another() for _ in range(5)]
    assert waiting.growing.piece(0, 100) == DATA[:100]
    (tmp_path / "incoming" / "name").rename(tmp_path / "away")
    assert [other.piece(0, 100) for other in others] == [DATA[:100]] * 5
    assert waiting.begun == 6
    (tmp_path / "away").rename(tmp_path / "incoming" / "name")
    assert others[0].piece(100, 50) == DATA[100:150]
    assert others[0].piece(990, 100) == DATA[990:], "as far as it is there"
    assert os.pread(others[0].fileno(), 10, 5) == DATA[5:15]
    assert waiting.begun == 6, "each begins once"
    for other in others:
        other.close()


@READING
def test_what_may_not_begin_any_more_is_not_opened(waiting, reads):
    """It was withdrawn while it was waited for, though another one may have begun with it."""
    waiting.coming.began(WHAT, "name", stored=False)
    waiting.growing.piece(0, 10)
    waiting.refusal = Refused("withdrawn", "it is withdrawn", 410)
    with waiting.another() as file, pytest.raises(Refused, match="withdrawn"):
        reads(file)


@READING
def test_another_version_s_object_is_not_taken_for_the_one_that_was_expected(waiting, reads):
    """And one that is nowhere is told as such."""
    waiting.coming.began(Object("0" * 64, len(DATA), "video/mp4"), "name", stored=False)
    with waiting.growing as file, pytest.raises(Superseded):
        reads(file)


@READING
def test_what_is_nowhere_is_told_so(waiting, reads):
    waiting.coming.began(WHAT, None, stored=False)
    with waiting.growing as file, pytest.raises(Corrupt):
        reads(file)
