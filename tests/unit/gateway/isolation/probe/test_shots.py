"""Frames are known again by nonce and marks alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.isolation.probe.shots import Reader, Shot, nonce_of

RUN = b"\xa1\xb2\xc3\xd4\xe5\xf6"
PORTS, NUMBER = b"\x00\x50\x4e\x20", b"\x11\x22\x33\x44"
READER = Reader(
    RUN,
    [
        Shot(7, "ack-scan", "bigscreen", (), ((PORTS, NUMBER),)),
        Shot(9, "arp-unasked", "bigscreen", (), ((b"stranger",),)),
    ],
)


@given(st.binary(max_size=90), st.binary(max_size=90), st.integers(0, 0xFFFF))
def test_a_nonce_is_found_wherever_it_stands(before: bytes, behind: bytes, number: int):
    """In a payload, in a quotation, in an address."""
    assert number in set(READER.numbers(before + nonce_of(RUN, number) + behind))


@pytest.mark.parametrize(
    ("frame", "numbers"),
    [
        (b"", []),
        (RUN, []),
        (RUN + b"\x00", []),
        (nonce_of(RUN, 3) + b"x" + nonce_of(RUN, 4) + nonce_of(RUN, 3), [3, 4]),
        (b"head" + PORTS + b"between" + NUMBER, [7]),
        (b"head" + PORTS + b"between", []),
        (b"head" + NUMBER, []),
        (b"a stranger says", [9]),
        (b"stranger" + PORTS + NUMBER, [7, 9]),
        (b"strange", []),
    ],
)
def test_a_mark_is_found_where_all_of_its_parts_are(frame: bytes, numbers: list[int]):
    """An answer has no room for a nonce, but turns our ports and numbers round."""
    assert sorted(READER.numbers(frame)) == numbers
