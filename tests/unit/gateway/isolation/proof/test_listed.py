"""What a listing may hold and what not: an allow-list, told in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.isolation.policy import Policy
from gateway.isolation.proof.prove import prove
from gateway.isolation.ruleset import Rules

RULE = {"family": "inet", "table": "headgate", "chain": "input", "comment": "guest"}


def rule(*expressions: Any) -> dict[str, Any]:
    return {"rule": {**RULE, "expr": list(expressions)}}


def match(left: Any, right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


PORT = {"payload": {"protocol": "tcp", "field": "dport"}}
STRANGERS = [
    ({"table": {"family": "ip", "name": "nat"}}, "table ip nat"),
    ({"table": {"family": "inet", "name": "filter"}}, "table inet filter"),
    (
        {"table": {"family": "inet", "name": "headgate", "flags": ["dormant"]}},
        "table inet headgate with flags ['dormant']",
    ),
    ({"chain": {"family": "inet", "table": "headgate", "name": "denied"}}, "chain inet headgate denied"),
    (
        {"chain": {"family": "inet", "table": "headgate", "name": "early", "hook": "input", "prio": -10}},
        "chain inet headgate early",
    ),
    (
        {"chain": {"family": "netdev", "table": "headgate", "name": "egress", "hook": "egress", "dev": "port0"}},
        "chain netdev headgate egress",
    ),
    (
        {"map": {"family": "inet", "table": "headgate", "name": "m", "type": "ipv4_addr", "map": "verdict"}},
        "map inet headgate m",
    ),
    ({"flowtable": {"family": "inet", "table": "headgate", "name": "f"}}, "flowtable inet headgate f"),
    ({"ct helper": {"family": "inet", "table": "headgate", "name": "ftp"}}, "ct helper inet headgate ftp"),
    ({"counter": {"family": "inet", "table": "headgate", "name": "c"}}, "counter inet headgate c"),
    (
        {"set": {"family": "inet", "table": "headgate", "name": "s", "type": "ipv4_addr"}},
        "set inet headgate s, which no rule asks",
    ),
    (
        {"set": {"family": "inet", "table": "headgate", "name": "s", "type": "ipv4_addr", "flags": ["timeout"]}},
        "set inet headgate s of ipv4_addr",
    ),
    ({"set": {"family": "inet", "table": "headgate", "name": "s", "type": "mark"}}, "set inet headgate s of mark"),
    (
        {"set": {"family": "inet", "table": "headgate", "name": "s", "type": "ipv4_addr", "stmt": [{"limit": {}}]}},
        "s with stmt",
    ),
    (
        {"rule": {"family": "inet", "table": "headgate", "chain": "other", "expr": []}},
        "rules of chain inet headgate other",
    ),
    (rule({"jump": {"target": "denied"}}), "rule 'guest' of input: jump"),
    (rule({"goto": {"target": "denied"}}), "goto"),
    (rule({"return": None}), "return"),
    (rule({"queue": {"num": 1}}), "queue"),
    (rule({"dup": {"addr": "10.0.0.1"}}), "dup"),
    (rule({"fwd": {"dev": "port1"}}), "fwd"),
    (rule({"tproxy": {"port": 1}}), "tproxy"),
    (rule({"notrack": None}), "notrack"),
    (rule({"ct helper": "ftp"}), "ct helper"),
    (rule({"mangle": {"key": {"meta": {"key": "mark"}}, "value": 1}}), "mangle"),
    (rule({"masquerade": None}), "masquerade"),
    (rule({"flow": {"op": "add", "flowtable": "@f"}}), "flow"),
    (rule({"vmap": {"key": PORT, "data": {"set": []}}}), "vmap"),
    (rule({"xt": None}), "xt"),
    (rule({"counter": "named"}), "counter"),
    (rule({"log": {"prefix": "x"}}), "log"),
    (rule({"limit": {"rate": 1, "per": "second"}}, {"accept": None}), "a limit before a verdict"),
    (rule({"accept": None}, {"counter": None}), "counter after its verdict"),
    (rule(match({"meta": {"key": "mark"}}, 1), {"accept": None}), "match"),
    (rule(match({"ct": {"key": "status"}}, "dnat"), {"accept": None}), "match"),
    (rule(match({"ct": {"key": "state", "dir": "original"}}, "new", "in"), {"accept": None}), "match"),
    (rule(match({"payload": {"base": "nh", "offset": 96, "len": 32}}, 1), {"accept": None}), "match"),
    (rule(match({"fib": {"result": "oif", "flags": ["saddr"]}}, False), {"accept": None}), "match"),
    (rule(match(PORT, "@nowhere"), {"accept": None}), "match"),
    (rule(match(PORT, 65536), {"accept": None}), "match"),
    (rule(match(PORT, True), {"accept": None}), "match"),
    (rule(match(PORT, 80, "in"), {"accept": None}), "match"),
    (rule(match({"payload": {"protocol": "ip", "field": "saddr"}}, "10.0.0.300"), {"accept": None}), "match"),
    (
        rule(
            match({"&": [{"payload": {"protocol": "ip", "field": "saddr"}}, "255.0.255.0"]}, "10.0.0.0"),
            {"accept": None},
        ),
        "match",
    ),
]


@pytest.mark.parametrize(("part", "told"), STRANGERS, ids=[told for _, told in STRANGERS])
def test_what_is_not_ours_is_told(rich: Policy, compiled: Callable[[str], Rules], part: Any, told: str) -> None:
    """Nothing unknown is passed over, wherever it stands."""
    rules = compiled("bigscreen")
    found = prove(rich, "bigscreen", "port0", Rules((*rules.objects, part), rules.elements))
    assert not found.equal
    assert [sentence for sentence in found.unknown if told in sentence], found.unknown


@pytest.mark.parametrize(
    ("key", "value", "open_hook"),
    [
        ("prio", -300, False),
        ("policy", "accept", False),
        ("type", "route", False),
        ("hook", "postrouting", True),
        ("dev", "port9", False),
    ],
)
def test_a_chain_elsewhere_is_told(
    rich: Policy, compiled: Callable[[str], Rules], key: str, value: Any, open_hook: bool
) -> None:
    """Another priority, policy or hook is a failure; a chain that no longer hooks in leaves its hook open."""
    rules = compiled("bigscreen")
    chain = "ingress" if key == "dev" else "input"
    objects = tuple(
        {"chain": {**part["chain"], key: value}} if part.get("chain", {}).get("name") == chain else part
        for part in rules.objects
    )
    found = prove(rich, "bigscreen", "port0", Rules(objects, rules.elements))
    assert not found.equal
    assert any(f"with {key} {value} where" in sentence for sentence in found.unknown)
    assert bool(found.differences) is open_hook


def test_rules_that_do_not_decide_are_no_difference(rich: Policy, compiled: Callable[[str], Rules]) -> None:
    """Sampling and counting change no verdict."""
    rules = compiled("bigscreen")
    place = next(index for index, part in enumerate(rules.objects) if "rule" in part)
    more = rule(
        {"limit": {"rate": 5, "per": "second", "burst": 5}},
        {"log": {"prefix": "hg x", "group": 7, "snaplen": 128}},
        {"counter": None},
    )
    assert prove(
        rich, "bigscreen", "port0", Rules((*rules.objects[:place], more, *rules.objects[place:]), rules.elements)
    ).equal


def test_elements_of_no_set_are_told(rich: Policy, compiled: Callable[[str], Rules]) -> None:
    """Packed elements belong to a set that is there."""
    rules = compiled("bigscreen")
    found = prove(rich, "bigscreen", "port0", Rules(rules.objects, {**rules.elements, ("inet", "ghosts4"): bytes(4)}))
    assert found.unknown == ("elements of inet ghosts4, which is no set",)
