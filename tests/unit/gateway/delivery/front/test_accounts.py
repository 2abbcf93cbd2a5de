"""Answers that nginx's workers wrote in memory are read once, with what and whose they were, whatever begins anew."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import pytest

from gateway.delivery import metrics
from gateway.delivery.front import accounts as modules
from gateway.delivery.front.accounts import (
    ANSWER,
    ANSWERS,
    AT_ONCE,
    BEHIND,
    CLOSED,
    DONE,
    RUNNING,
    SIZE,
    TEXTS,
    UNDER_WAY,
    Accounts,
    Counts,
)
from gateway.delivery.front.configuration import LUA
from gateway.delivery.front.lines import Account, Ended, noted, read
from tests.unit.gateway.delivery.front.said import CARRIED, METER, SCREEN, Worker

AT = 1_800_000_000.5


class Box:
    """Delivery's side of two accounts, and the worker that has the first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start()
        self.worker = Worker(folder / "answers.0")

    def start(self) -> None:
        self.accounts = Accounts(self.folder, 2)

    def take(self) -> list[Ended | None]:
        """Read what is new, note it and count it."""
        took = list[Ended | None]()
        for fresh in self.accounts.fresh():
            self.accounts.noted(fresh)
            took += self.accounts.read(fresh)
            self.accounts.free(fresh)
        return took


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def unread() -> float:
    return metrics.REGISTRY.get_sample_value("headgate_delivery_front_unread_total") or 0.0


def test_an_answer_is_read_as_its_line_would_be(box: Box):
    """Once."""
    box.worker.answer(subject="p1", marks="m1.m2")
    box.worker.answer(40001, 7, done=False, length=1000, at=AT + 1)
    box.worker.answer(40002, closed=True)
    assert box.take() == [
        Ended("", SCREEN, 40000, 200, 1200, 1000, 0.25, AT, True, METER, "p1", "m1.m2", length=1000),
        Ended("", SCREEN, 40001, 200, 207, 7, 0.25, AT + 1, False, METER, "", "", length=1000),
        Ended("", SCREEN, 40002, 200, 1200, 1000, 0.25, AT, True, METER, "", "", length=1000, closed=True),
    ]
    assert box.take() == []


def test_what_is_alike_is_told_as_one_at_the_place_of_the_first(box: Box):
    """With when the first was over and the last; where the clock was set back, the last says when."""
    for at in (AT + 1, AT + 2, AT + 5):
        box.worker.answer(at=at)
        box.worker.answer(40001, at=AT + 6 - at + AT)
    one, other = box.take()
    assert one is not None
    assert other is not None
    assert (one.port, one.requests, one.since, one.at) == (40000, 3, AT + 1, AT + 5)
    assert (other.port, other.requests, other.since, other.at) == (40001, 3, AT + 1, AT + 1)


def test_what_was_not_counted_is_there_at_the_next_start(box: Box):
    """What was noted and not counted is read by the note; what was counted is not there any more, though it is noted still."""
    box.worker.answer(body=1)
    [first] = box.accounts.fresh()
    assert first == Account(0, 0, 1, int(box.worker.counts.texts_head))
    box.accounts.noted(first)
    assert box.accounts.fresh() == []
    box.worker.answer(body=2)
    [second] = box.accounts.fresh()
    box.accounts.noted(second)
    box.accounts.free(first)
    box.worker.answer(body=3)

    box.start()

    with pytest.raises(ValueError, match="not there"):
        box.accounts.read(first)
    box.accounts.free(first)
    assert [one and one.body for one in box.accounts.read(second)] == [2]
    assert [one and one.body for one in box.take()] == [3]


def test_each_worker_has_its_own(box: Box):
    """What both wrote is read, and told apart."""
    box.worker.answer(body=1)
    Worker(box.folder / "answers.1").answer(body=2)
    assert [one and one.body for one in box.take()] == [1, 2]


def test_it_goes_round(box: Box, monkeypatch: pytest.MonkeyPatch):
    """Behind the last place comes the first, of answers and of texts, and each text is whole."""
    box.worker.counts.head = box.worker.counts.tail = float(ANSWERS - 2 + 5 * ANSWERS)
    box.worker.counts.texts_head = box.worker.counts.texts_tail = float(TEXTS - 50 + 3 * TEXTS)
    box.start()
    for number in range(5):
        box.worker.answer(40000 + number, body=number, subject="s" * 40)
    read = box.take()
    assert [(one.port, one.body, one.subject) for one in read if one] == [(40000 + n, n, "s" * 40) for n in range(5)]


def test_what_is_too_much_is_read_in_pieces(box: Box, monkeypatch: pytest.MonkeyPatch):
    """Others run in between; texts that the next piece may need are not given back with the first."""
    monkeypatch.setattr(modules, "AT_ONCE", 3)
    for number in range(5):
        box.worker.answer(body=number)
    assert box.accounts.fresh() == [Account(0, 0, 3, 0), Account(0, 3, 5, int(box.worker.counts.texts_head))]
    assert [one and one.body for one in box.take()] == list(range(5))


def test_what_nobody_wrote_is_not_given_back(box: Box):
    """A note of more than there is moves nothing."""
    box.worker.answer(body=1)
    box.accounts.free(Account(0, 0, 2, 1))
    assert box.worker.counts.tail == 0
    assert [one and one.body for one in box.take()] == [1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 0},
        {"at": float("nan")},
        {"at": -1.0},
        {"at": 1e12},
        {"meter": "a b"},
        {"screen": "nobody's"},
        {"subject": "a b c"},
        {"meter": "\xe9"},
        {"meter": "m" * (1 << 15)},
    ],
)
def test_what_says_nothing_is_told_as_such(box: Box, wrong: dict[str, object]):
    """And hides no other."""
    box.worker.answer(**wrong)  # type: ignore[arg-type]
    box.worker.answer(body=5)
    read = box.take()
    assert read[0] is None
    assert [one and one.body for one in read[1:]] == [5]


@pytest.mark.parametrize(
    ("head", "texts"), [(-1.0, 0.0), (float("nan"), 0.0), (ANSWERS + 1.0, 0.0), (5.0, -9.0), (5.0, float("inf"))]
)
def test_counts_that_cannot_be_are_left_behind(box: Box, head: float, texts: float):
    """A worker that writes nonsense keeps delivery from nothing."""
    before = unread()
    box.worker.counts.head, box.worker.counts.texts_head = head, texts
    assert box.take() == []
    assert unread() == before + 1
    box.worker.places.clear()
    box.worker.answer(body=5)
    assert [one and one.body for one in box.take()] == [5]
    assert unread() == before + 1


@pytest.mark.parametrize(
    "account", [(2, 0, 1, 0), (0, 1, 1, 0), (0, 2, 1, 0), (0, 0, AT_ONCE + 1, 0), (0, 0, 2, 0), (9999, 0, 1, 0)]
)
def test_a_note_of_what_is_not_there_is_refused(box: Box, account: tuple[int, int, int, int]):
    """Nothing is made of what nobody wrote."""
    box.worker.answer()
    with pytest.raises(ValueError, match="not there"):
        box.accounts.read(Account(*account))


def test_a_note_is_a_line():
    """As it is written, so it is read."""
    assert read(noted(Account(3, 12, 4000, 77)).encode()) == Account(3, 12, 4000, 77)
    assert read(b"a 3 12 4000") is None


def test_what_runs_is_told_with_what_it_carries(box: Box):
    """As long as it does."""
    box.worker.begin(3, 40001, subject="s", marks="m1.m2")
    box.worker.begin(4095, 40002)
    first = (SCREEN, 40001), CARRIED._replace(subject="s", marks="m1.m2")
    assert list(box.accounts.running()) == [first, ((SCREEN, 40002), CARRIED)]
    box.worker.leave(4095)
    assert list(box.accounts.running()) == [first]


@pytest.mark.parametrize("wrong", [{"meter": "%"}, {"meter": "!!!"}, {"screen": "nobody"}, {"meter": "A" * 600}])
def test_what_runs_and_says_nothing_is_told_as_such(box: Box, wrong: dict[str, str]):
    """And keeps nothing else from being told."""
    before = unread()
    box.worker.begin(0, **wrong)
    box.worker.begin(1)
    assert list(box.accounts.running()) == [((SCREEN, 40000), CARRIED)]
    assert unread() == before + 1


def test_what_was_lost_with_its_worker_is_told_once(box: Box):
    """The next worker says so."""
    box.worker.counts.lost += 2
    assert (box.accounts.lost(), box.accounts.lost()) == (2, 0)
    assert Accounts(box.folder, 2).lost() == 0


def test_its_file_takes_no_room_before_a_worker_has_it(box: Box):
    """But for its counts, and for nobody else to read."""
    told = (box.folder / "answers.1").stat()
    assert (told.st_size, told.st_mode & 0o777) == (SIZE, 0o660)
    assert 0 < told.st_blocks * 512 < 1 << 16


def test_nginx_writes_it_as_it_is_read():
    """Its words are C's, in Lua's file."""
    text = (LUA / "account.lua").read_text()
    assert "typedef struct { double head, texts_head, lost, spare[5], tail, texts_tail; } headgate_account;" in text
    fields = "uint32_t what, whose, sent, body, milliseconds; uint16_t port; uint8_t how, spare; double at;"
    assert f"typedef struct {{ {fields} }} headgate_answer;" in text
    assert f"ANSWERS, TEXTS = 2 ^ {ANSWERS.bit_length() - 1}, 2 ^ {TEXTS.bit_length() - 1} " in text
    assert re.search(rf"BEHIND = {BEHIND} .*DONE, CLOSED = {DONE}, {CLOSED} ", text, re.DOTALL)
    fields = "uint8_t runs, spare; uint16_t port, what, whose; char text[504];"
    assert f"typedef struct {{ {fields} }} headgate_running;" in text
    assert f"RUNNING, TEXT = {RUNNING}, 504 " in text
    assert UNDER_WAY.size == 512
    assert (ANSWER.size, Counts.tail.offset, Counts.texts_tail.offset) == (32, 64, 72)
    assert ctypes.sizeof(Counts) <= BEHIND
