"""The log of transfers: by offset, in a file that stays small, whatever it looks like."""

from __future__ import annotations

import os

import pytest

from gateway.delivery.front import log as logs
from gateway.delivery.front.lines import LONGEST
from gateway.delivery.front.log import Log


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deliveries.log"


def say(path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


def texts(log):
    return [text for block in log.blocks() for text in block.texts]


def ends(log):
    """Return the marks of where lines end."""
    return [begins + len(text) + 1 for block in log.blocks() for text, begins in block.places()]


def test_whole_lines_are_read_once_and_the_rest_when_it_is_whole(path):
    """A line that is half there waits for its end."""
    log = Log(path)
    say(path, b"one\ntwo\nthr")
    assert texts(log) == [b"one", b"two"]
    assert log.unread == 3
    say(path, b"ee\n")
    assert texts(log) == [b"three"]
    assert texts(log) == []
    log.close()


def test_lines_longer_than_a_read_come_whole(path, monkeypatch):
    """Where a read ends has no meaning."""
    monkeypatch.setattr(logs, "AT_ONCE", 5)
    log = Log(path)
    say(path, b"a line of some length\nb\n\nc\n")
    assert texts(log) == [b"a line of some length", b"b", b"", b"c"]
    log.close()


def test_of_lines_that_are_alike_more_are_read_at_a_time(path, monkeypatch):
    """They take as long as fewer that are not."""
    monkeypatch.setattr(logs, "AT_ONCE", 8)
    monkeypatch.setattr(logs, "ALIKE", 16)
    log = Log(path)
    say(path, b"line\n" * 6)
    assert [len(block.texts) for block in (log.some(), log.some(alike=True), log.some()) if block] == [1, 3, 2]
    log.close()


def test_a_line_that_never_ends_is_one_without_text(path, monkeypatch):
    """It is not kept in memory, and what comes after its end is read."""
    monkeypatch.setattr(logs, "AT_ONCE", 1000)
    log = Log(path)
    say(path, b"x" * (3 * LONGEST) + b"\nafter\n")
    assert texts(log) == [b"", b"after"]
    log.close()


def test_marks_say_what_was_counted(path):
    """A reader that begins anew finds by the last mark which lines are counted."""
    first = Log(path)
    say(path, b"one\ntwo\nthree\n")
    marks = ends(first)
    first.close()

    again = Log(path)
    assert [again.covers(marks[1], mark) for mark in ends(again)] == [True, True, False]
    assert not any(again.covers(0, mark) for mark in marks)
    again.close()


def test_a_file_in_its_place_is_read_from_its_beginning_and_nothing_of_it_is_counted(path):
    """After a boot, or whoever renamed it: the old one is read to its end first."""
    log = Log(path)
    say(path, b"one\n")
    line = list(log.blocks())[-1]
    say(path, b"two\n")
    os.rename(path, path.with_suffix(".old"))  # noqa: PTH104
    say(path, b"three\n")
    assert texts(log) == [b"two", b"three"]
    log.close()
    again = Log(path)
    assert [again.covers(line.mark, mark) for mark in ends(again)] == [False]
    again.close()


def test_a_file_that_was_cut_short_is_begun_anew(path):
    """Its offsets mean nothing any more."""
    log = Log(path)
    say(path, b"one\ntwo\n")
    [last] = log.blocks()
    path.write_bytes(b"new\n")
    assert texts(log) == [b"new"]
    assert not log.covers(last.mark, log.mark)
    log.close()


def test_what_was_counted_gives_its_memory_back(path, monkeypatch):
    """A hole from the beginning; a reader that begins anew loses no line behind it."""
    monkeypatch.setattr(logs, "HOLE", logs.PAGE)
    log = Log(path)
    rows = [b"%06d" % number + b"x" * 57 for number in range(1024)]  # of 64 bytes: each 64th begins a page
    say(path, b"\n".join(rows) + b"\n")
    found = [begins for block in log.blocks() for _, begins in block.places()]
    before = path.stat()

    log.punch(found[512])
    log.punch(found[512])

    after = path.stat()
    assert (after.st_size, after.st_ino) == (before.st_size, before.st_ino)
    assert after.st_blocks < before.st_blocks * 0.6
    again = Log(path)
    kept = texts(again)
    assert kept[-512:] == rows[512:]
    assert len(kept) < 512 + logs.PAGE // 64 + 1
    say(path, b"more\n")
    assert texts(log) == texts(again) == [b"more"]
    log.close()
    again.close()


def test_nothing_is_taken_from_a_file_by_marks_of_another(path, monkeypatch):
    """What is held of the file before says nothing of this one."""
    monkeypatch.setattr(logs, "HOLE", 1)
    log = Log(path)
    say(path, b"x" * 99_999 + b"\n")
    line = list(log.blocks())[-1]
    os.rename(path, path.with_suffix(".old"))  # noqa: PTH104
    say(path, b"y" * 99_999 + b"\n")
    list(log.blocks())
    blocks = path.stat().st_blocks
    log.punch(line.mark)
    assert path.stat().st_blocks == blocks
    log.close()
