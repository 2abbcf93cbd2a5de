"""What is compiled: groups in hash sets, each reason sampled before it drops, neighbours by their MAC."""

from __future__ import annotations

import ipaddress
import itertools
from typing import Any

import pytest

from gateway.isolation import policy as policies
from gateway.isolation import ruleset
from gateway.isolation.policy import Policy
from gateway.isolation.ruleset import Rules
from gateway.isolation.topology import PORT

TEXT = """\
site: groups
zones:
  bigscreen:
    port: "02:68:67:14:00:0b"
    addresses: [10.20.0.11/24, "fd20::11/64"]
    neighbours: {10.20.0.1: "02:aa:00:00:00:14"}
groups:
  televisions: [10.20.0.70, 10.20.0.71, 10.20.0.80/30, "fd20::70"]
services:
  films:  {zone: bigscreen, run: nginx, listen: tcp/80, from: ["@televisions", 10.20.0.7], log: true}
  time:   {zone: bigscreen, run: chrony, listen: udp/123, from: ["@televisions"]}
never: [{from: bigscreen, to: culture}]
"""


@pytest.fixture
def grouped() -> Policy:
    return policies.parse(TEXT.encode())


def rules_of(rules: Rules, chain: str) -> list[dict[str, Any]]:
    return [part["rule"] for part in rules.objects if part.get("rule", {}).get("chain") == chain]


def rights(rule: dict[str, Any]) -> list[Any]:
    return [e["match"]["right"] for e in rule["expr"] if "match" in e]


def kinds(rule: dict[str, Any]) -> list[str]:
    return [next(iter(e)) for e in rule["expr"]]


def test_a_group_is_one_set_a_version_however_many_services_use_it(grouped: Policy) -> None:
    """Its hosts are elements, its networks are in the rules; no set has an interval flag."""
    rules = ruleset.compile_zone(grouped, "bigscreen", PORT)
    hosts = b"".join(ipaddress.ip_address(f"10.20.0.{n}").packed for n in (70, 71))
    assert rules.elements == {
        ("inet", "televisions4"): hosts,
        ("inet", "televisions6"): ipaddress.ip_address("fd20::70").packed,
    }
    sets = [part["set"] for part in rules.objects if "set" in part]
    assert [(s["name"], s["type"], "flags" in s) for s in sets] == [
        ("televisions4", "ipv4_addr", False),
        ("televisions6", "ipv6_addr", False),
    ]
    accepting = [rule for rule in rules_of(rules, "input") if rule["comment"] == "services.time"]
    told = [rights(rule)[-1] for rule in accepting]
    assert told == [{"prefix": {"addr": "10.20.0.80", "len": 30}}, "@televisions4", "@televisions6"]


def test_the_port_is_asked_for_before_a_large_set(grouped: Policy) -> None:
    """Who asks at another port costs no look into it."""
    for rule in rules_of(ruleset.compile_zone(grouped, "bigscreen", PORT), "input"):
        right = rights(rule)
        if "@televisions4" in right:
            assert right.index("@televisions4") > right.index(80 if 80 in right else 123)


def test_one_admission_more_changes_elements_alone(grouped: Policy) -> None:
    """However the policy is written, the rules stay the very same."""
    more = policies.parse(TEXT.replace("10.20.0.71,", "10.20.0.71, 10.20.0.72,").encode())
    before, after = (ruleset.compile_zone(p, "bigscreen", PORT) for p in (grouped, more))
    assert before.objects == after.objects
    assert before.elements != after.elements


@pytest.mark.parametrize("device", [PORT, None])
def test_each_drop_is_counted_and_sampled_with_the_same_reason_just_before(grouped: Policy, device: str | None) -> None:
    """So that what was recorded of what was denied can be told by reason."""
    rules = ruleset.compile_zone(grouped, "bigscreen", device)
    chains = ["input", "output", "forward", *(["ingress"] if device else [])]
    for chain in chains:
        listed = rules_of(rules, chain)
        for before, rule in itertools.pairwise(listed):
            if "drop" in kinds(rule):
                assert kinds(rule)[-2:] == ["counter", "drop"]
                assert kinds(before)[-2:] == ["limit", "log"]
                assert before["expr"][:-2] == rule["expr"][:-2]
                assert before["expr"][-1]["log"]["prefix"] == f"hg {chain} {rule['comment']}"
                assert before["comment"] == rule["comment"]
        assert kinds(listed[-1]) == ["counter", "drop"]


def test_sampling_follows_the_policy() -> None:
    """At its rate; at none, everything is still counted."""
    slow = ruleset.compile_zone(policies.parse((TEXT + "log: {denied: 6/min}\n").encode()), "bigscreen", PORT)
    limits = [
        e["limit"] for chain in ("input", "ingress") for r in rules_of(slow, chain) for e in r["expr"] if "limit" in e
    ]
    assert {(limit["rate"], limit["per"]) for limit in limits} == {(6, "minute")}
    none = ruleset.compile_zone(policies.parse((TEXT + "log: {denied: 0/s}\n").encode()), "bigscreen", PORT)
    assert not [e for part in none.objects for e in part.get("rule", {}).get("expr", ()) if "log" in e]
    assert sum("drop" in kinds(rule) for rule in rules_of(none, "ingress")) == sum(
        "drop" in kinds(rule) for rule in rules_of(slow, "ingress")
    )


def test_opened_connections_are_sampled_where_the_service_says_so(grouped: Policy) -> None:
    """Before they are accepted, under the service's path; the other service's are not."""
    listed = rules_of(ruleset.compile_zone(grouped, "bigscreen", PORT), "input")
    prefixes = {
        e["log"]["prefix"] for rule in listed for e in rule["expr"] if "log" in e and "accept" not in kinds(rule)
    }
    assert "hg services.films" in prefixes
    assert "hg services.time" not in prefixes


def test_everything_of_one_version_is_not_everything_of_the_other() -> None:
    """A service for all of IPv4 does not answer IPv6."""
    text = TEXT.replace('from: ["@televisions"]', "from: [0.0.0.0/0]").replace(
        'addresses: [10.20.0.11/24, "fd20::11/64"]',
        'addresses: [10.20.0.11/24, "fd20::11/64"]\n    routes: [{to: 0.0.0.0/0, via: 10.20.0.1}]',
    )
    rules = ruleset.compile_zone(policies.parse(text.encode()), "bigscreen", PORT)
    (rule,) = [rule for rule in rules_of(rules, "input") if rule["comment"] == "services.time"]
    assert rights(rule)[-1] == "ipv4"


def test_pinned_neighbours_are_held_to_their_mac(grouped: Policy) -> None:
    """For ARP and for IP; where none is pinned, nothing is asked."""
    listed = rules_of(ruleset.compile_zone(grouped, "bigscreen", PORT), "ingress")
    dropping = [rule for rule in listed if rule["comment"] == "false neighbour" and "drop" in kinds(rule)]
    pairs = {"set": [{"concat": ["10.20.0.1", "02:aa:00:00:00:14"]}]}
    assert [rights(rule) for rule in dropping] == [["10.20.0.1", pairs]] * 2
    without = policies.parse(TEXT.replace('    neighbours: {10.20.0.1: "02:aa:00:00:00:14"}\n', "").encode())
    comments = {rule["comment"] for rule in rules_of(ruleset.compile_zone(without, "bigscreen", PORT), "ingress")}
    assert "false neighbour" not in comments
