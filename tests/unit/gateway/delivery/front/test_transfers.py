"""What nginx delivers is counted once and with what left, whatever is killed, and broken off where it is withdrawn."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from appliance.runtime.errors import Refused, Unreachable
from gateway.delivery import metrics
from gateway.delivery.front import log as logs
from gateway.delivery.front import opaque, running, transfers
from gateway.delivery.front.accounts import Accounts
from gateway.delivery.front.cutting import Gone
from gateway.delivery.front.held import LAG, LONGEST, SMALL
from gateway.delivery.front.transfers import Transfers
from gateway.delivery.metering import window as windows
from gateway.delivery.metering.meter import Meter
from gateway.delivery.metering.window import Window
from tests.unit.gateway.delivery.front.said import CARRIED, Worker, began, ended, told

SCREEN = ("10.20.0.50", 40000)
AT = 1_800_000_000.5


class Guard:
    """A guard that knows which connections there are."""

    def __init__(self) -> None:
        self.there: dict[tuple[str, int], int] = {}
        self.told: list[Gone] = []
        self.cuts: list[set[tuple[str, int]]] = []
        self.away: Exception | None = None

    async def cut(self, screens: Collection[tuple[str, int]]) -> set[tuple[str, int]]:
        self.answer()
        self.cuts.append(set(screens))
        return {screen for screen in screens if self.there.pop(screen, None) is not None}

    async def waiting(self, screens: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]:
        self.answer()
        return {screen: self.there[screen] for screen in screens if screen in self.there}

    async def gone(self) -> list[Gone]:
        self.answer()
        told, self.told = self.told, []
        return told

    def answer(self) -> None:
        if self.away is not None:
            raise self.away


class Front:
    """A box's delivery behind an nginx whose log is written here."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path, self.guard, self.now = folder, folder / "deliveries.log", Guard(), 1000.0
        self.heard: list[str] = []
        self.before = {name: value(name) for name in ("unread", "unsent_bytes", "forgotten")}
        self.start()
        self.worker = Worker(folder / "answers.0")

    def start(self) -> None:
        self.meter = Meter(self.folder / "ledger", "bigscreen", "big", None, None, survive=False)  # type: ignore[arg-type]
        self.accounts = Accounts(self.folder, 2)
        self.transfers = Transfers(
            self.path,
            self.accounts,
            self.meter,
            self.guard,
            lambda some: self.heard.extend(held.ended.id for held in some),
            lambda: self.now,  # type: ignore[arg-type]
        )

    def say(self, *said: bytes) -> None:
        with self.path.open("ab") as file:
            for line in said:
                file.write(line)

    async def later(self, seconds: float = LAG) -> None:
        """Let time pass, with a look at once and one after it."""
        await self.transfers.look()
        self.now += seconds
        await self.transfers.look()

    def figure(self, name: str) -> float:
        """Return how much a metric grew."""
        return value(name) - self.before[name]

    def counted(self) -> tuple[int, int, int]:
        """Return requests, broken ones and bytes."""
        return sums(self.folder / "ledger")


def value(name: str) -> float:
    return metrics.REGISTRY.get_sample_value(f"headgate_delivery_front_{name}_total") or 0.0


def sums(ledger: Path) -> tuple[int, int, int]:
    figures_of = [0, 0, 0]
    for path in windows.windows(ledger):
        opened = Window(path, 1)
        for _, figures in opened.cells():
            for place, one in enumerate((figures.requests, figures.broken, figures.sent)):
                figures_of[place] += one
        opened.close()
    return figures_of[0], figures_of[1], figures_of[2]


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    return Front(tmp_path)


async def test_what_is_over_is_counted_with_what_it_was(front: Front):
    """Once, a moment after it was over; requests that carry nothing of ours are heard of and not counted."""
    front.say(began(), ended(subject="p1"), ended("2", meter="", status=404), b"garbage\n", began("3"))
    await front.later(LAG / 2)
    assert front.counted() == (0, 0, 0)
    await front.later()

    assert front.counted() == (1, 0, 1000)
    assert front.heard == ["1", "2"]
    assert front.figure("unread") == 1
    [path] = windows.windows(front.folder / "ledger")
    [(what, figures)] = Window(path, 1).cells()
    assert (what.release, what.path, what.body, what.zone, what.screen, what.status, what.cache, what.subject) == (
        CARRIED.release, "a.m4s", "library", "bigscreen", "big", 200, "hit", "p1",
    )  # fmt: skip
    assert (figures.first, figures.seconds) == (AT - 0.25, 0.25)


async def test_what_never_left_of_a_transfer_that_broke_off_is_not_counted(front: Front):
    """nginx has given it up: its connection is destroyed at once, and what the kernel then says is taken off."""
    front.guard.there = {SCREEN: 600}
    front.say(began(), ended(done=""))
    await front.transfers.look()
    assert front.guard.cuts == [{SCREEN}]
    front.guard.told = [Gone(SCREEN, 600, AT + 0.1)]
    await front.later()

    assert front.counted() == (1, 1, 400)
    assert front.figure("unsent_bytes") == 0


async def test_what_nginx_says_while_the_guard_is_asked_is_known_before_the_answer_is_used(front: Front):
    """A connection ends after nginx wrote its line, which may be after this looked last."""
    answer = front.guard.gone

    async def gone() -> list[Gone]:
        if not front.guard.cuts:
            front.guard.cuts.append(set())
            front.say(ended("2", done=""))
            return [Gone(SCREEN, 600, AT + 0.1)]
        return await answer()

    front.guard.gone = gone  # type: ignore[method-assign]
    front.say(ended("1", port=40001))
    await front.transfers.look()
    await front.later()

    assert front.counted() == (2, 1, 1400)


async def test_a_stream_of_several_that_broke_off_leaves_its_connection_alone(front: Front):
    """By HTTP/2 a player gives up one of many on a connection that goes on."""
    front.say(told(done="", http2="h2"))
    await front.later()

    assert front.guard.cuts == []
    assert front.counted() == (1, 1, 1000)


async def test_a_large_one_is_counted_once_nothing_of_it_waits_in_the_kernel(front: Front):
    """However slow the screen; and if it leaves meanwhile, without what waited."""
    front.guard.there = {SCREEN: 300_000, ("10.20.0.50", 40001): 300_000}
    front.say(ended(body=500_000))
    await front.transfers.look()
    front.say(ended("2", port=40001, body=500_000))
    await front.later(LAG)
    await front.later(LAG)
    assert front.counted() == (0, 0, 0)
    front.guard.there[SCREEN] = 0
    await front.later(LAG)
    await front.later(LAG)
    assert front.counted() == (1, 0, 500_000)
    front.guard.there = {}
    front.guard.told = [Gone(("10.20.0.50", 40001), 250_000, AT + 9)]
    await front.later(LAG)

    assert front.counted() == (2, 1, 750_000)


async def test_what_waits_too_long_is_counted_and_told(front: Front):
    """A bound, which is counted where it was too early."""
    front.guard.there = {SCREEN: 300_000}
    front.say(ended(body=SMALL + 1))
    await front.later(LONGEST)
    assert front.counted() == (1, 0, SMALL + 1)
    front.guard.told = [Gone(SCREEN, 300, AT + 40)]
    front.say(ended("2", port=40001))
    await front.transfers.look()

    assert front.figure("unsent_bytes") == 300


async def test_a_guard_that_is_away_keeps_nothing_from_being_counted(front: Front):
    """As nginx said it."""
    front.guard.away = Unreachable("away")
    front.say(ended(done=""))
    await front.transfers.look()
    front.say(ended("2", body=SMALL + 1))
    await front.later()
    assert front.counted() == (1, 1, 1000)
    await front.later(LONGEST)
    assert front.counted() == (2, 1, 1000 + SMALL + 1)


async def test_what_cannot_be_written_down_waits(front: Front, monkeypatch: pytest.MonkeyPatch):
    """And is counted once it can, in its order."""
    add = front.meter.add_all

    def busy(*_: object) -> None:
        raise Refused("busy", "no room", 503)

    monkeypatch.setattr(front.meter, "add_all", busy)
    front.say(ended(), ended("2"))
    await front.later()
    assert front.counted() == (0, 0, 0)
    monkeypatch.setattr(front.meter, "add_all", add)
    await front.transfers.look()

    assert front.counted() == (2, 0, 2000)


async def test_what_a_worker_wrote_down_is_counted_with_the_lines_around_it(front: Front):
    """Once, and what never left is taken off what was over last, wherever that was said."""
    front.worker.answer(body=700, at=AT + 1)
    front.say(ended("2", at=AT + 3))
    front.worker.answer(body=700, at=AT + 2)
    front.worker.answer(40001, body=50)
    await front.transfers.look()
    front.guard.told = [Gone(SCREEN, 1300, AT + 4)]
    await front.later()
    await front.later()

    assert front.counted() == (4, 2, 700 + 0 + 600 + 50)
    assert front.heard == ["2", "", ""]


async def test_a_worker_has_room_again_once_what_it_wrote_is_counted(front: Front):
    """And no earlier: until then it may be needed by whoever starts anew."""
    for _ in range(10):
        front.worker.answer(subject="p1")
    await front.transfers.look()
    assert (front.worker.counts.tail, front.worker.counts.texts_tail) == (0, 0)
    await front.later()
    await front.later()
    assert (front.worker.counts.tail, front.worker.counts.texts_tail) == (10, front.worker.counts.texts_head)
    assert front.counted() == (10, 0, 10_000)


@pytest.mark.parametrize("how", ["lines", "answers"])
async def test_who_is_told_without_end_goes_on(front: Front, monkeypatch: pytest.MonkeyPatch, how: str):
    """A worker on another core writes while it is read: what it says later is for the next look, and keeps no other worker's waiting."""
    Worker(front.folder / "answers.1").answer(41000, body=3)
    said = 0

    def heard(some: object) -> None:
        nonlocal said
        said += 1
        assert said < 100
        if how == "lines":
            front.say(ended(str(said)))
        else:
            front.worker.answer()

    monkeypatch.setattr(front.transfers, "_heard", heard)
    heard(())
    front.transfers.read()
    assert front.transfers._accounts._upto[1] == 1
    front.transfers.read()
    assert said < 10


async def test_what_cannot_be_noted_waits(front: Front, monkeypatch: pytest.MonkeyPatch):
    """With the file system full it is read later."""

    def full(_: str) -> None:
        raise OSError(28, "No space left on device")

    append = front.transfers._log.append
    monkeypatch.setattr(front.transfers._log, "append", full)
    front.worker.answer()
    await front.later()
    assert front.heard == []
    monkeypatch.setattr(front.transfers._log, "append", append)
    await front.later()
    await front.later()
    assert front.counted() == (1, 0, 1000)


@pytest.mark.parametrize("after", range(0, 100, 4))
def test_a_kill_at_any_instant_neither_loses_nor_doubles(tmp_path: Path, after: int):
    """Counting and its mark hold both or neither, whatever of it was done; the next start goes on in the log."""
    folder = tmp_path / "box"
    folder.mkdir()
    child = os.fork()
    if child == 0:
        try:
            _killed(folder, after)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    front = Front(folder)
    front.say(ended("last", body=7))
    front.worker.answer(body=5)

    asyncio.run(front.later())

    waiting = [
        json.loads(line)["body"]
        for path in (folder / "ledger").glob("*.records")
        for line in path.read_text().splitlines()
    ]
    requests, _, sent = front.counted()
    assert requests + sum(record["requests"] for record in waiting) == 10
    assert sent + sum(record["bytes"] for record in waiting) == 4419


def _killed(folder: Path, after: int) -> None:
    """Count transfers in three steps; be killed in the middle of the second, of two, ``after`` so many lines of code."""
    front = Front(folder)
    other = opaque.told(CARRIED._replace(path="b.m4s"))
    steps, adds, add = 0, 0, front.meter.add_all

    def counting(*args: object) -> None:
        nonlocal adds
        adds += 1
        add(*args)  # type: ignore[arg-type]

    def step(*_: object) -> None:
        nonlocal steps
        if adds == 2:
            if steps == after:
                os.kill(os.getpid(), signal.SIGKILL)
            steps += 1

    front.meter.add_all = counting  # type: ignore[method-assign]
    for said in ([ended("1")], [ended("2"), ended("3", meter=other)], [ended("4")]):
        front.say(*said)
        front.worker.answer(body=100)
        asyncio.run(front.transfers.look())
    front.worker.answer(body=107)
    front.now += LAG

    def trace(frame, event, arg):
        if frame.f_code.co_name in ("add_all", "free", "_count", "about_to_mark", "count", "marked"):
            step()
        return trace

    sys.settrace(trace)
    asyncio.run(front.transfers.look())
    sys.settrace(None)
    os.kill(os.getpid(), signal.SIGKILL)


async def test_a_withdrawn_release_is_broken_off_where_it_runs_and_nowhere_else(front: Front):
    """Also what nginx began a moment ago and nobody has read yet; what is over is over."""
    other = opaque.told(CARRIED._replace(release="other"))
    front.guard.there = {("10.20.0.50", port): 0 for port in range(40000, 40004)}
    front.say(began("1", 40000), began("2", 40001, meter=other), began("3", 40002), ended("3", 40002))
    await front.transfers.look()
    front.say(began("4", 40003))

    assert await front.transfers.withdraw([CARRIED.release]) == 2

    assert front.guard.cuts == [{("10.20.0.50", 40000), ("10.20.0.50", 40003)}]
    assert await front.transfers.withdraw(["nothing"]) == 0


async def test_a_withdrawn_release_is_broken_off_where_a_worker_s_account_says_that_it_runs(front: Front):
    """Whoever the worker is, and nowhere else; also where it was over when nothing was read of it yet."""
    front.guard.there = {("10.20.0.50", port): 5 for port in range(40000, 40003)}
    front.worker.begin(0, 40000)
    front.worker.begin(1, 40001, meter=opaque.told(CARRIED._replace(release="other")))
    front.worker.answer(40002, body=1 << 20)

    assert await front.transfers.withdraw([CARRIED.release]) == 2
    assert front.guard.cuts == [{("10.20.0.50", 40000), ("10.20.0.50", 40002)}]


async def test_a_withdrawn_release_is_broken_off_where_nginx_is_done_with_it_and_the_kernel_is_not(front: Front):
    """A slow screen's connection holds megabytes that nginx has forgotten."""
    front.guard.there = {SCREEN: 5, ("10.20.0.50", 40001): 0}
    front.say(began("1"), ended("1"), began("2", 40001), ended("2", 40001))

    assert await front.transfers.withdraw([CARRIED.release]) == 1
    assert front.guard.cuts == [{SCREEN}]


async def test_what_delivery_passed_and_broke_off_is_broken_off_behind_nginx_too(front: Front):
    """Its bytes wait in the screen's connection; it is not told again, since delivery tells of it."""
    front.guard.there = {SCREEN: 5, ("10.20.0.50", 40001): 5}
    front.say(began("1"), ended("2", 40001, done=""))

    assert await front.transfers.cut(lambda carried: True, {("10.20.0.50", 40001)}) == 1
    assert front.guard.cuts == [{SCREEN, ("10.20.0.50", 40001)}]


async def test_what_carries_a_subject_is_broken_off_too(front: Front):
    """Whatever a transfer carries may be asked for."""
    front.guard.there = {SCREEN: 0}
    front.say(began(subject="p1", marks="m"), began("2", 40001, subject="p2"))

    assert await front.transfers.cut(lambda carried: (carried.subject, carried.marks) == ("p1", "m")) == 1
    assert front.guard.cuts == [{SCREEN}]
    front.guard.there = {("10.20.0.50", 40001): 9}
    front.say(ended("2", 40001, subject="p2"))
    assert await front.transfers.cut(lambda carried: carried.subject == "p2") == 1


async def test_a_withdrawal_that_cannot_be_carried_out_is_no_success(front: Front):
    """The guard's refusal goes to whoever would confirm."""
    front.guard.away = Refused("cannot-cut", "no", 501)
    front.say(began())

    with pytest.raises(Refused):
        await front.transfers.withdraw([CARRIED.release])


async def test_the_next_start_knows_what_runs(front: Front):
    """Also what began before the last line that was counted."""
    front.say(began("1"), ended("2", 40001), began("3", 40002), ended("3", 40002))
    await front.later()
    front.meter._ledger.__exit__()
    front.start()
    front.guard.there = {SCREEN: 0}

    assert await front.transfers.withdraw([CARRIED.release]) == 1
    await front.later()
    assert front.counted() == (0, 0, 0)  # in the new window: nothing again


async def test_the_log_stays_small_and_what_runs_is_said_again(front: Front, monkeypatch: pytest.MonkeyPatch):
    """However long a transfer runs, and whatever starts anew meanwhile."""
    monkeypatch.setattr(transfers, "FURTHEST", 64 << 10)
    monkeypatch.setattr(logs, "HOLE", logs.PAGE)
    front.say(began("slow", 40009))
    for number in range(3000):
        front.say(began(str(number), subject="s" * 150), ended(str(number)))
        if number % 300 == 0:
            await front.later()
    await front.later()
    blocks = front.path.stat().st_blocks * 512
    assert front.path.stat().st_size > 1 << 20
    assert blocks < 300 << 10
    front.meter._ledger.__exit__()
    front.start()
    front.guard.there = {("10.20.0.50", 40009): 0}

    assert await front.transfers.withdraw([CARRIED.release]) == 1
    assert front.guard.cuts[-1] == {("10.20.0.50", 40009)}


async def test_what_was_said_again_after_it_was_over_is_not_taken_for_running(front: Front):
    """nginx may say that it is over while delivery says it again."""
    again = b"c" + began("1")[1:]
    front.say(began("1"), ended("1"), again)
    await front.transfers.look()
    assert await front.transfers.withdraw([CARRIED.release]) == 0
    front.meter._ledger.__exit__()
    front.start()
    assert await front.transfers.withdraw([CARRIED.release]) == 0


async def test_what_a_killed_nginx_began_is_forgotten(front: Front):
    """Its connections are gone, and it says nothing of them any more."""
    front.guard.there = {SCREEN: 0}
    front.say(began("1"), began("2", 40001))
    await front.later(transfers.SWEEP + 1)

    assert front.figure("forgotten") == 1
    assert await front.transfers.withdraw([CARRIED.release]) == 1
    assert front.guard.cuts == [{SCREEN}]


async def test_what_a_killed_worker_s_account_had_running_is_told(front: Front):
    """The next worker says how much that was."""
    front.worker.counts.lost = 3
    await front.later(transfers.SWEEP + 1)

    assert front.figure("forgotten") == 3


async def test_nginx_is_told_to_begin_nothing_more_than_can_be_broken_off(
    front: Front, monkeypatch: pytest.MonkeyPatch
):
    """The table of what runs is bounded, and so is the log that waits."""
    monkeypatch.setattr(running, "MOST", 2)
    front.say(began("1"))
    await front.transfers.look()
    assert not front.transfers.full
    front.say(began("2"))
    await front.transfers.look()
    assert front.transfers.full
    front.say(ended("1"))
    await front.transfers.look()
    assert not front.transfers.full
    monkeypatch.setattr(transfers, "UNREAD", 10)
    front.say(began("3"))
    assert front.transfers.full


async def test_nginx_is_told_to_begin_nothing_where_its_log_has_no_room(front: Front, monkeypatch: pytest.MonkeyPatch):
    """It would go on without a line where the file system is full."""
    assert not front.transfers.full
    monkeypatch.setattr(transfers, "ROOM", 1 << 62)
    assert front.transfers.full
