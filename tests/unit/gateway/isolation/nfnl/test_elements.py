"""Packed elements: as a set of keys would be, and written so that they are read again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.isolation.nfnl import elements
from gateway.isolation.nfnl.messages import Damaged, attribute, nested
from gateway.isolation.nfnl.requests import DELSETELEM, NEWSETELEM

SIZES = st.sampled_from([4, 16])


def packed(keys: set[bytes]) -> bytes:
    return b"".join(sorted(keys))


@st.composite
def two_sets(draw: st.DrawFn) -> tuple[int, set[bytes], set[bytes]]:
    """Return the size of a key, and two sets of keys that have some in common; zeros at either end are frequent."""
    size = draw(SIZES)
    key = st.binary(min_size=size, max_size=size) | st.integers(0, 300).map(lambda n: n.to_bytes(size, "big"))
    key |= st.integers(0, 300).map(lambda n: n.to_bytes(size, "little"))
    one, other = draw(st.sets(key, max_size=20)), draw(st.sets(key, max_size=20))
    return size, one, other | set(list(one)[::2])


@given(two_sets())
def test_a_difference_is_what_sets_of_keys_say(given_sets: tuple[int, set[bytes], set[bytes]]) -> None:
    """And making it makes them equal."""
    size, wanted, seen = given_sets
    add, drop = elements.difference(packed(wanted), packed(seen), size)
    assert (add, drop) == (packed(wanted - seen), packed(seen - wanted))
    assert elements.changed(packed(seen), add, drop, size) == packed(wanted)


@given(two_sets())
def test_adding_twice_and_removing_what_is_not_there_change_nothing(
    given_sets: tuple[int, set[bytes], set[bytes]],
) -> None:
    """A change is a set's union and difference."""
    size, one, other = given_sets
    assert elements.changed(packed(one), packed(other), b"", size) == packed(one | other)
    assert elements.changed(packed(one), b"", packed(other), size) == packed(one - other)


@given(two_sets())
def test_elements_are_read_as_they_are_written(given_sets: tuple[int, set[bytes], set[bytes]]) -> None:
    """In order, each once."""
    size, keys, _ = given_sets
    told = [body for _, _, _, body in elements.added("inet", "headgate", "x", packed(keys), size)]
    read = [elements.keys_of(memoryview(bytes(4) + body), size) for body in told]
    assert [odd for _, more in read for odd in more] == []
    assert elements.in_order([plain for plain, _ in read], size) == packed(keys)
    assert not elements.repeated(packed(keys), size)
    assert elements.repeated(packed(keys) + packed(keys)[-size:], size) is bool(keys)


def test_many_elements_are_several_messages_of_one_transaction() -> None:
    """No attribute is longer than 64 KiB."""
    keys = packed({n.to_bytes(16, "big") for n in range(5000)})
    parts = list(elements.added("inet", "headgate", "x", keys, 16))
    assert [kind for kind, *_ in parts] == [NEWSETELEM] * 3
    assert all(len(body) < 1 << 16 for *_, body in parts)
    assert [kind for kind, *_ in elements.removed("inet", "headgate", "x", keys[:16], 16)] == [DELSETELEM]


def test_elements_that_are_more_than_a_key_are_told_apart() -> None:
    """One that stands for all addresses has no key; another goes after a time."""
    plain = nested(1, nested(1, attribute(1, b"\x0a\x14\0\1")))
    everything = nested(1, attribute(3, b"\0\0\0\2"))
    passing = nested(1, nested(1, attribute(1, b"\x0a\x14\0\2")), attribute(4, bytes(8)))
    body = bytes(4) + nested(3, plain, everything, passing)
    keys, odd = elements.keys_of(memoryview(body), 4)
    assert keys == b"\x0a\x14\0\1"
    assert len(odd) == 2
    assert odd[0].startswith("*")


@given(st.binary(max_size=120), SIZES)
def test_any_bytes_are_elements_or_damage(data: bytes, size: int) -> None:
    """Nothing else is raised."""
    try:
        plain, _ = elements.keys_of(memoryview(bytes(4) + data), size)
    except Damaged:
        return
    assert len(plain) % size == 0


def test_half_a_key_is_damaged() -> None:
    """It is never taken for another."""
    with pytest.raises(Damaged):
        elements.difference(b"\1\2\3", b"", 4)
