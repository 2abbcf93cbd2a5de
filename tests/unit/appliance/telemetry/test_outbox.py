from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.telemetry.outbox import BATCH, WINDOW, Outbox, fitting
from appliance.telemetry.records import Numbered, Record


def items(first: int, count: int, size: int = 0) -> list[Numbered]:
    return [Numbered(n, Record.new("event", "guard", {"x": "x" * size})) for n in range(first, first + count)]


def test_sends_on_after_what_was_sent() -> None:
    """The next look into the spool starts after the last record sent, and acknowledgements make room."""
    sent = items(5, 3)
    box = Outbox().sent(sent, 10.0)
    assert box.after == 7
    assert box.room() == BATCH
    assert box.acknowledged([sent[0].record.id]).flying.keys() == {i.record.id for i in sent[1:]}


def test_the_window_closes() -> None:
    """No more than the window is on its way."""
    box = Outbox().sent(items(1, WINDOW), 0.0)
    assert box.room() == 0


def test_patience_ends() -> None:
    """A record without acknowledgement is overdue after the patience, not before; an acknowledged one never."""
    sent = items(1, 1)
    box = Outbox().sent(sent, 100.0)
    assert not box.overdue(109.0, 10)
    assert box.overdue(110.0, 10)
    assert not box.acknowledged([sent[0].record.id]).overdue(1000.0, 10)


def test_batches_are_bounded_in_bytes() -> None:
    """A message takes what fits, and one record at least."""
    many = items(1, 10, 1000)
    assert len(fitting(many, 5000)) == 4
    assert fitting(many, 10) == many[:1]
    assert fitting([], 10) == []


@given(st.lists(st.sampled_from(["send", "ack", "lose", "wait"]), max_size=30))
@settings(max_examples=60)
def test_every_record_arrives_whatever_is_lost(steps: list[str]) -> None:
    """Whatever messages and acknowledgements are lost, once both pass every record is acknowledged and forgotten."""
    waiting = items(1, 7)
    box, now, stored = Outbox(), 0.0, set[str]()
    for step in [*steps, *["wait", "send", "ack"] * 8]:
        now += 11.0 if step == "wait" else 0.1
        if box.overdue(now):
            box = Outbox()
        if step in ("send", "lose"):
            batch = [i for i in waiting if i.seq > box.after][: min(3, box.room())]
            box = box.sent(batch, now)
            if step == "send":
                stored |= {i.record.id for i in batch}
        elif step == "ack":
            waiting = [i for i in waiting if i.record.id not in stored]
            box = box.acknowledged(stored)
    assert not waiting
