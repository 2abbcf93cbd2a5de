"""What the kernel tells, put together and compared."""

from __future__ import annotations

import ipaddress
import json

import pytest

from gateway.isolation import listing
from gateway.isolation.listing import Change
from gateway.isolation.nfnl.requests import OWNER, PERSIST, Named, Table
from gateway.isolation.ruleset import Rules

OURS = Table("inet", "headgate", 7, OWNER | PERSIST)
INPUT = Named("chain", "inet", "headgate", "input")
PORT_CHAIN = Named("chain", "netdev", "headgate", "ingress", ("port0",))
SET = {"set": {"family": "inet", "table": "headgate", "name": "screens4", "type": "ipv4_addr"}}


def packed(*addresses: str) -> bytes:
    return b"".join(ipaddress.ip_address(address).packed for address in addresses)


@pytest.mark.parametrize(
    ("tables", "named", "asked"),
    [
        ([OURS], [INPUT], ["list ruleset"]),
        ([OURS], [], []),
        ([OURS, Table("ip", "mine", 0, 1)], [INPUT], ["list chain inet headgate input"]),
        ([Table("inet", "headgate", 0, PERSIST)], [INPUT], ["list chain inet headgate input"]),
        ([OURS, Table("ip", "mine")], [Named("chain", "ip", "mine", "input")], []),
        ([OURS], [Named("chain", "inet", "headgate", "x; flush ruleset"), INPUT], ["list chain inet headgate input"]),
    ],
)
def test_nft_is_asked_only_for_what_it_can_list(tables: list[Table], named: list[Named], asked: list[str]) -> None:
    """Never for a foreign table, never a name that would be a command, and tables with one flag chain by chain."""
    assert listing.questions(tables, named) == asked


def test_a_ruleset_is_put_together_from_what_is_told() -> None:
    """Tables and sets by the kernel, chains and rules by nft, devices by the kernel; foreign tables by name alone."""
    rule = {"family": "netdev", "table": "headgate", "chain": "ingress", "comment": "x", "handle": 3}
    match = {
        "match": {
            "op": "==",
            "left": {"payload": {"protocol": "ip6", "field": "nexthdr"}},
            "right": {"set": ["ip", "ipv6-route", 51]},
        }
    }
    chain = {"family": "netdev", "table": "headgate", "name": "ingress", "handle": 1}
    answer = json.dumps(
        {"nftables": [{"metainfo": {}}, {"table": {}}, {"chain": chain}, {"rule": {**rule, "expr": [match]}}]}
    )
    named = [
        PORT_CHAIN,
        Named("set", "inet", "headgate", "screens4", (), "ipv4_addr", 1024),
        Named("set", "inet", "headgate", "ranges"),
        Named("object", "inet", "headgate", "count"),
        Named("set", "ip", "mine", "theirs"),
        Named("chain", "inet", "headgate", "x; y"),
    ]
    objects = listing.assemble([OURS, Table("ip", "mine")], named, [answer])
    assert [next(iter(part)) for part in objects] == [
        "table",
        "table",
        "set",
        "set",
        "object",
        "chain",
        "chain",
        "rule",
    ]
    assert objects[2]["set"] | {"size": 1024} == objects[2]["set"]
    assert listing.plain_sets(objects) == [("inet", "screens4", 4)]
    assert objects[6]["chain"]["dev"] == "port0"
    assert objects[7]["rule"]["expr"][0]["match"]["right"] == {"set": [0, 43, 51]}
    assert listing.foreign_tables(Rules(objects)) == [("ip", "mine")]
    assert listing.odd_families(Rules(objects)) == frozenset({"inet"})


def test_elements_that_differ_are_a_change_of_elements_and_nothing_else() -> None:
    """In words with the first of them."""
    wanted = Rules(
        (SET,), {("inet", "screens4"): packed("10.20.0.1", "10.20.0.2", "10.20.0.3", "10.20.0.4", "10.20.0.5")}
    )
    listed = Rules((SET,), {("inet", "screens4"): packed("10.20.0.5", "10.20.0.9")})
    assert listing.structure(wanted, listed) == []
    (change,) = listing.changes(wanted, listed)
    assert change == Change(
        "inet", "screens4", packed("10.20.0.1", "10.20.0.2", "10.20.0.3", "10.20.0.4"), packed("10.20.0.9"), 4
    )
    assert str(change) == "set screens4: add 10.20.0.1 10.20.0.2 10.20.0.3 and 1 more, remove 10.20.0.9"
    assert listing.differences(wanted, wanted) == []


def test_a_set_that_cannot_take_what_is_wanted_is_another() -> None:
    """Room to spare means nothing."""
    wanted = Rules((SET,), {("inet", "screens4"): packed("10.20.0.1", "10.20.0.2")})
    small, large = (Rules(({"set": {**SET["set"], "size": size}},), wanted.elements) for size in (1, 4096))
    assert listing.structure(wanted, large) == []
    assert listing.structure(wanted, small) == ["set inet screens4 has too little room"]


def test_an_element_that_is_more_than_a_key_makes_its_set_another() -> None:
    """One that stands for every address is never taken for none."""
    odd = listing.with_odd((SET,), {("inet", "screens4"): ["* with attributes [3]"]})
    assert listing.structure(Rules((SET,)), Rules(odd)) != []
    assert listing.with_odd((SET,), {("inet", "screens4"): []}) == (SET,)


def test_changed_elements_keep_what_was_brought_into_one_form() -> None:
    """The objects are the very same, and so are their lines."""
    rules = Rules((SET,), {("inet", "screens4"): b""})
    lines = rules.lines
    changed = rules.with_elements({("inet", "screens4"): packed("10.20.0.1")})
    assert changed.lines is lines
    assert changed.elements == {("inet", "screens4"): packed("10.20.0.1")}
    assert changed.objects is rules.objects
