"""Sets of addresses, and what one has that another has not."""

from __future__ import annotations

import ipaddress
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.isolation import spans
from gateway.isolation.groups import pack
from gateway.isolation.spans import Spans

networks = st.lists(
    st.tuples(st.integers(0, 63), st.integers(0, 4)).map(lambda n: (n[0] & ~((1 << n[1]) - 1), n[1])), max_size=5
)


def made(version: int, hosts: set[int], written: list[tuple[int, int]]) -> tuple[Spans, set[int]]:
    """Return addresses half in a group and half written in place, and the same as plain numbers."""
    bits = 32 if version == 4 else 128
    network = ipaddress.IPv4Network if version == 4 else ipaddress.IPv6Network
    ranges = [network((first, bits - size)) for first, size in written]
    result = Spans(version)
    result.add(ranges[::2], [pack([*(network((host, bits)) for host in hosts), *ranges[1::2]])])
    return result, hosts | {first + n for first, size in written for n in range(1 << size)}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([4, 6]), st.sets(st.integers(0, 63)), networks, st.sets(st.integers(0, 63)), networks)
def test_the_difference_is_that_of_sets(
    version: int, hosts: set[int], written: list[tuple[int, int]], others: set[int], unwritten: list[tuple[int, int]]
) -> None:
    """Exactly, in order, and in spans that do not touch."""
    (one, mine), (other, theirs) = made(version, hosts, written), made(version, others, unwritten)
    found = one.less(other)
    assert {n for first, last in found for n in range(first, last + 1)} == mine - theirs
    assert all(before[1] + 1 < after[0] for before, after in itertools.pairwise(found))


@pytest.mark.parametrize(
    ("first", "last", "version", "word"),
    [
        ("10.0.0.1", "10.0.0.1", 4, "10.0.0.1"),
        ("10.0.0.0", "10.0.0.255", 4, "10.0.0.0/24"),
        ("10.0.0.1", "10.0.0.2", 4, "10.0.0.1-10.0.0.2"),
        ("0.0.0.0", "255.255.255.255", 4, "0.0.0.0/0"),
        ("fd00::", "fd00::ffff", 6, "fd00::/112"),
    ],
)
def test_a_span_in_words(first: str, last: str, version: int, word: str) -> None:
    """An address, a network, or its ends."""
    assert spans.word_of((int(ipaddress.ip_address(first)), int(ipaddress.ip_address(last))), version) == word
