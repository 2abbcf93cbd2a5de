"""Any bytes are messages or damage; what we write, we read."""

from __future__ import annotations

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.isolation.nfnl import messages
from gateway.isolation.nfnl.messages import Damaged


@given(st.binary(max_size=200))
def test_any_bytes_are_messages_or_damage(data: bytes) -> None:
    """Nothing else is raised, and each message lies within the bytes."""
    try:
        found = list(messages.messages(data))
    except Damaged:
        return
    assert sum(len(message.body) + messages.HEADER for message in found) <= len(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_attributes_or_damage(data: bytes) -> None:
    """Nothing else is raised."""
    try:
        found = list(messages.each_attribute(data))
    except Damaged:
        return
    assert sum(len(value) + 4 for _, value in found) <= len(data)


@given(st.lists(st.tuples(st.integers(1, 0x3FFF), st.binary(max_size=40)), max_size=8))
def test_attributes_come_back(told: list[tuple[int, bytes]]) -> None:
    """In order, whatever their lengths."""
    data = b"".join(messages.attribute(kind, value) for kind, value in told)
    assert [(kind, bytes(value)) for kind, value in messages.each_attribute(data)] == told


def test_a_transaction_begins_with_the_generation_it_is_for() -> None:
    """Each of its parts asks for an answer, and has a number of its own."""
    data, numbers = messages.batch([(9, 0x400, 1, b""), (12, 0, 1, b"")], 5, 7)
    begin, one, other, end = messages.messages(data)
    assert [m.sequence for m in (begin, one, other, end)] == [5, 6, 7, 8]
    assert list(numbers) == [5, 6, 7]
    assert (begin.kind, end.kind) == (messages.BATCH_BEGIN, messages.BATCH_END)
    assert messages.attributes(begin.body[4:])[messages.BATCH_GENERATION] == struct.pack(">I", 7)
    assert one.flags == messages.REQUEST | messages.ACK | 0x400
    assert (one.kind >> 8, one.kind & 0xFF, one.body[0]) == (messages.NFTABLES, 9, 1)


def test_a_value_that_is_too_long_is_no_attribute() -> None:
    """Its length has 16 bits."""
    with pytest.raises(ValueError, match="do not fit"):
        messages.attribute(1, bytes(0x10000))


def test_an_answer_tells_its_error() -> None:
    """As a positive number; one without is damaged."""
    (answer,) = messages.messages(messages.message(messages.ERROR, 0, 1, struct.pack("=i", -errno.EPERM)))
    assert answer.error == errno.EPERM
    (cut,) = messages.messages(messages.message(messages.ERROR, 0, 1, b""))
    with pytest.raises(Damaged):
        _ = cut.error
