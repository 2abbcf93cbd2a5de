"""What the kernel tells of tables, sets and rules, in its own bytes."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from gateway.isolation.nfnl import requests
from gateway.isolation.nfnl.messages import Damaged, attribute, nested, number, text
from gateway.isolation.nfnl.requests import OWNER, PERSIST, Counter, Named, Table

INET = b"\1\0\0\0"


def told(body: bytes) -> memoryview:
    return memoryview(INET + body)


def test_a_table_tells_who_owns_it() -> None:
    """And whether it outlives its owner."""
    table = requests.table_of(told(text(1, "headgate") + number(2, OWNER | PERSIST) + number(7, 4711)))
    assert table == Table("inet", "headgate", 4711, OWNER | PERSIST)
    assert table.persists
    assert not requests.table_of(told(text(1, "mine"))).persists


def test_only_a_plain_set_of_addresses_has_a_type() -> None:
    """Intervals, time-outs and other keys are something else; a set in a rule is no set of its own."""
    head = text(1, "headgate") + text(2, "x")
    plain = number(4, 7) + number(5, 4)
    assert requests.set_of(told(head + number(3, 0) + plain)) == Named("set", "inet", "headgate", "x", (), "ipv4_addr")
    sized = requests.set_of(told(head + number(3, 0) + plain + nested(9, number(1, 1024))))
    assert sized is not None
    assert (sized.type, sized.room) == ("ipv4_addr", 1024)
    for more in (number(3, 4) + plain, number(3, 0) + plain + attribute(11, bytes(8)), number(3, 0) + number(4, 9)):
        other = requests.set_of(told(head + more))
        assert other is not None
        assert other.type == ""
    assert requests.set_of(told(head + number(3, 1 | 2) + plain)) is None


def test_a_set_is_made_as_it_is_described() -> None:
    """What we ask for is what would be told again."""
    described = {"family": "inet", "table": "headgate", "name": "screens6", "type": "ipv6_addr"}
    kind, _, family, body = requests.new_set(described, 1, 2048)
    assert (kind, family) == (requests.NEWSET, 1)
    assert requests.set_of(told(body)) == Named("set", "inet", "headgate", "screens6", (), "ipv6_addr", 2048)


def test_a_chain_tells_its_devices() -> None:
    """One, as we make it, or a list."""
    chain = {
        "family": "netdev",
        "table": "headgate",
        "name": "ingress",
        "type": "filter",
        "hook": "ingress",
        "prio": -500,
    }
    _, _, _, body = requests.new_chain({**chain, "dev": "port0", "policy": "drop"})
    assert requests.chain_of(memoryview(b"\5\0\0\0" + body)).devices == ("port0",)
    several = text(1, "headgate") + text(3, "ingress") + nested(4, nested(4, text(1, "a"), text(1, "b")))
    assert requests.chain_of(told(several)).devices == ("a", "b")


def rule(*expressions: tuple[str, bytes], comment: bytes = b"\0\x08default\0") -> memoryview:
    told_ones = [nested(1, text(1, name), nested(2, data)) for name, data in expressions]
    return told(text(1, "headgate") + text(2, "input") + nested(4, *told_ones) + attribute(7, comment))


def test_a_rule_tells_what_it_counted_and_whether_it_drops() -> None:
    """With its comment; a rule without a counter tells nothing."""
    count = ("counter", attribute(1, struct.pack(">Q", 640)) + attribute(2, struct.pack(">Q", 10)))
    drop = ("immediate", nested(2, nested(2, number(1, 0))))
    accept = ("immediate", nested(2, nested(2, number(1, 1))))
    assert list(requests.counters_of(rule(count, drop))) == [Counter("input", "default", 10, drops=True)]
    assert list(requests.counters_of(rule(count, accept))) == [Counter("input", "default", 10, drops=False)]
    assert list(requests.counters_of(rule(drop))) == []


@given(st.binary(max_size=120))
def test_any_bytes_are_read_or_damaged(data: bytes) -> None:
    """Nothing else is raised, whatever is told."""
    for read in (requests.table_of, requests.chain_of, requests.set_of, requests.other_of, requests.generation_of):
        try:
            read(told(data))
        except Damaged:
            continue
    try:
        list(requests.counters_of(told(data)))
    except Damaged:
        return


@given(st.binary(max_size=60))
def test_any_user_data_is_a_comment_or_none(data: bytes) -> None:
    """A comment is never longer than what it was read from."""
    assert len(requests.comment_of(data)) <= len(data)
