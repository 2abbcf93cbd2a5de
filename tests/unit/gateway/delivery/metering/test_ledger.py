"""The ledger: whatever instant a process is killed at, each delivery is counted once, with what is known of it."""

from __future__ import annotations

import os
import signal
from uuid import uuid4

import pytest

from appliance.runtime.errors import Refused
from gateway.delivery.metering import window as windows
from gateway.delivery.metering.delivery import What
from gateway.delivery.metering.handing import RECORDS, look, seal
from gateway.delivery.metering.ledger import Ledger
from gateway.delivery.metering.recover import RUNNING, noted, recover
from gateway.delivery.metering.slots import Slots
from gateway.delivery.metering.window import Window

NOW = 1_800_000_000.0


def what(path="a.m4s", **more):
    return What("999999-100000000000001-4", path, "library", "bigscreen", "big", 200, "hit")._replace(**more)


def told(folder):
    """Return requests, broken ones and bytes of the windows in ``folder``."""
    figures = []
    for path in windows.windows(folder):
        opened = Window(path, 1)
        figures += [one for _, one in opened.cells()]
        opened.close()
    return tuple(sum(one[part] for one in figures) for part in (1, 2, 3))


def killed(folder, do):
    """Do something in a process that kills itself with -9 right after."""
    child = os.fork()
    if child == 0:
        try:
            do(Ledger(folder))
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


def begin(ledger, count=1000, *, first=True):
    ticket = ledger.ticket()
    cell = ledger.cell(what())
    return ticket, cell, ledger.slots.put(ticket, 50, count, cell, NOW, 7, first)


def test_what_ran_is_counted_as_noted(tmp_path):
    """A delivery that ran is counted with the bytes noted last, as broken off, and once however often one looks."""

    def do(ledger):
        _, _, slot = begin(ledger)
        ledger.slots.note(slot, 600)

    killed(tmp_path, do)
    assert recover(tmp_path, noted) == 1
    assert recover(tmp_path, noted) == 0
    assert told(tmp_path) == (1, 1, 600)


def test_what_was_counted_but_not_cleared_is_not_counted_again(tmp_path):
    """Killed between counting and clearing: the cell knows the ticket."""

    def do(ledger):
        ticket, cell, _ = begin(ledger)
        ledger.count(cell, ticket, 1, 1000, NOW, 0.5, 0)

    killed(tmp_path, do)
    assert recover(tmp_path, noted) == 0
    assert told(tmp_path) == (1, 0, 1000)


def test_figures_half_written_do_not_count(tmp_path):
    """Killed while the other half of a cell was written: the half that counts is as it was."""

    def do(ledger):
        ticket, cell, slot = begin(ledger)
        ledger.count(cell, ticket, 1, 1000, NOW, 0.5, 0)
        ledger.slots.clear(slot)
        at = windows._CELLS
        other = 1 - ledger.window._map[at + windows._WHICH]
        ledger.window._map[at + other * 56 : at + other * 56 + 20] = b"\xff" * 20

    killed(tmp_path, do)
    assert recover(tmp_path, noted) == 0
    assert told(tmp_path) == (1, 0, 1000)


def test_a_part_of_a_request_is_no_request(tmp_path):
    """A further stretch of the same answer adds bytes only."""

    def do(ledger):
        _, _, slot = begin(ledger)
        ledger.slots.note(slot, 10)
        _, _, slot = begin(ledger, first=False)
        ledger.slots.note(slot, 20)

    killed(tmp_path, do)
    recover(tmp_path, noted)
    assert told(tmp_path) == (1, 1, 30)


@pytest.mark.parametrize("counted", [0, 1, 2])
def test_a_mark_holds_with_all_that_it_marks(tmp_path, counted):
    """Somebody else's deliveries: killed in the middle, all of them hold and the mark, or none."""

    def do(ledger):
        cells = [ledger.cell(what()), ledger.cell(what("b.m4s"))]
        ledger.slots.about_to_mark(100, ledger.last + 1)
        ledger.count(cells[0], ledger.ticket(), 1, 5, NOW, 0.0, 0)
        ledger.slots.marked()
        ledger.slots.about_to_mark(200, ledger.last + 1)
        for cell in cells[:counted]:
            ledger.count(cell, ledger.ticket(), 1, 7, NOW, 0.0, 0)

    killed(tmp_path, do)
    recover(tmp_path, noted)
    with Slots(tmp_path / RUNNING) as slots:
        assert slots.mark == 100
    assert told(tmp_path) == (1, 0, 5)
    recover(tmp_path, noted)
    assert told(tmp_path) == (1, 0, 5)


def test_a_killed_window_waits_as_records(tmp_path):
    """The next start makes records of what the last one counted, with the same ids however often it is killed at that."""

    def do(ledger):
        ledger.count(ledger.cell(what()), ledger.ticket(), 1, 5, NOW, 0.0, 0)

    killed(tmp_path, do)
    (path,) = windows.windows(tmp_path)
    kept = path.read_bytes()
    with Ledger(tmp_path) as ledger:
        (sealed,) = ledger.sealed
        records = sealed.path.read_bytes()
    path.write_bytes(kept)  # killed before the window was thrown away
    with Ledger(tmp_path) as ledger:
        assert [one.path for one in ledger.sealed] == [sealed.path]
    assert sealed.path.read_bytes() == records
    assert not path.exists()


def test_sealing_tells_the_same_ids(tmp_path):
    """A window that is sealed again after its records were lost on the way gives records with the ids of before."""
    made = Window.make(tmp_path, 1, uuid4())
    for n in range(200):
        made.count(made.cell(what(f"{n}.m4s")) or 0, n + 1, 1, n, NOW, 0.1, 0)
    kept = made.path.read_bytes()
    first = seal(made)
    ids = [line.split(b'"')[3] for line in first.path.read_bytes().splitlines()]
    first.path.unlink()
    made.path.write_bytes(kept)
    again = seal(Window(made.path, 1))
    assert [line.split(b'"')[3] for line in again.path.read_bytes().splitlines()] == ids
    assert again == look(again.path)
    assert again.records == 4  # of at most 64 files each
    assert again.path.suffix == RECORDS


def test_a_full_window_is_followed_by_the_next(tmp_path, monkeypatch):
    """What does not fit begins another window; a name too long for any is refused."""
    monkeypatch.setattr(windows, "MOST", 3)
    with Ledger(tmp_path) as ledger:
        cells = [ledger.cell(what(f"{n}.m4s")) for n in range(5)]
        assert [cell >> 32 for cell in cells] == [1, 1, 1, 2, 2]
        assert ledger.what(cells[0]).path == "0.m4s"
        with pytest.raises(Refused) as refused:
            ledger.cell(what("x" * 9000))
        assert refused.value.reason == "busy"


def test_slots_are_bounded(tmp_path, monkeypatch):
    """Without a free slot nothing begins; one given back is taken again."""
    monkeypatch.setattr("gateway.delivery.metering.slots.MOST", 2)
    with Ledger(tmp_path) as ledger:
        _, _, slot = begin(ledger)
        begin(ledger)
        with pytest.raises(Refused):
            begin(ledger)
        ledger.slots.clear(slot)
        begin(ledger)


def test_one_process_at_a_time(tmp_path, monkeypatch):
    """A second process waits for the first one's end, and says so when that does not come."""
    monkeypatch.setattr("gateway.delivery.metering.ledger.PATIENCE", 0.05)
    with Ledger(tmp_path), pytest.raises(Exception, match="another process"):
        Ledger(tmp_path)
