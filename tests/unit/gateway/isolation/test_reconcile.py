"""Wanted against seen: what is done, in which order, and nothing where nothing differs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from gateway.isolation import listing, ruleset
from gateway.isolation.policy import Policy
from gateway.isolation.reconcile import (
    HOME,
    AddAddress,
    DropAddress,
    LoadRules,
    MakeZone,
    MovePort,
    NamePort,
    RemoveZone,
    Set,
    SetDown,
    SetUp,
    missing_ports,
    reconcile,
)
from gateway.isolation.ruleset import Rules
from gateway.isolation.topology import PORT, Link, Place, Seen, topology_of

LOOPBACK = Link("lo", "00:00:00:00:00:00", up=True)


def as_wanted(place: Place) -> Seen:
    """Return a namespace that is as it should be."""
    port = Link(PORT, place.mac, "veth", up=True, addresses=place.addresses)
    return Seen((LOOPBACK, port), place.routes, {**place.settings, **place.port_settings}, place.rules)


@pytest.fixture
def wanted(site: Policy) -> dict[str, Place]:
    return topology_of(site)


@pytest.fixture
def seen(wanted: dict[str, Place]) -> dict[str, Seen]:
    home = Seen((LOOPBACK,), rules=ruleset.compile_lock())
    return {HOME: home, **{zone: as_wanted(place) for zone, place in wanted.items()}}


def test_nothing_is_done_where_nothing_differs(wanted: dict[str, Place], seen: dict[str, Seen]) -> None:
    """Applying twice changes nothing."""
    assert reconcile(wanted, seen) == []


def test_a_port_goes_up_only_behind_its_ruleset(wanted: dict[str, Place]) -> None:
    """On a new box each zone is made, locked, given its port, and only then opened."""
    ports = tuple(Link(f"eth{n}", place.mac, "", up=True) for n, place in enumerate(wanted.values()))
    actions = reconcile(wanted, {HOME: Seen((LOOPBACK, *ports))})
    for zone, place in wanted.items():
        mine = [a for a in actions if getattr(a, "zone", None) == zone or getattr(a, "target", None) == zone]
        moved = next(n for n, a in enumerate(mine) if isinstance(a, MovePort))
        opened = next(n for n, a in enumerate(mine) if a == SetUp(zone, PORT))
        loads = [n for n, a in enumerate(mine) if isinstance(a, LoadRules)]
        assert mine[0] == MakeZone(zone)
        assert loads[0] < moved < loads[-1] < opened
        assert mine[loads[-1]].rules == place.rules  # type: ignore[union-attr]
        assert NamePort(zone, place.mac) in mine[moved:opened]
        assert all(n < moved or "port0" in a.key for n, a in enumerate(mine) if isinstance(a, Set))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"links": lambda links: (links[0], dataclasses.replace(links[1], addresses=()))},
            AddAddress("culture", "10.10.0.11/24"),
        ),
        (
            {
                "links": lambda links: (
                    links[0],
                    dataclasses.replace(links[1], addresses=("10.10.0.11/24", "10.9.0.1/8")),
                )
            },
            DropAddress("culture", "10.9.0.1/8"),
        ),
        ({"links": lambda links: (dataclasses.replace(links[0], up=False), links[1])}, SetUp("culture", "lo")),
        (
            {"links": lambda links: (*links, Link("x", "02:00:00:00:00:01", "macvlan"))},
            MovePort("x", "02:00:00:00:00:01", "culture", HOME),
        ),
        ({"links": lambda links: (*links, Link("sit0", "", "sit", up=True))}, SetDown("culture", "sit0")),
        (
            {"settings": lambda settings: {**settings, "net/ipv4/ip_forward": "1"}},
            Set("culture", "net/ipv4/ip_forward", "0"),
        ),
    ],
)
def test_one_difference_is_one_action(
    wanted: dict[str, Place], seen: dict[str, Seen], change: dict[str, Any], expected: object
) -> None:
    """What differs is put right, and nothing else is touched."""
    ((name, alter),) = change.items()
    seen["culture"] = dataclasses.replace(seen["culture"], **{name: alter(getattr(seen["culture"], name))})
    assert reconcile(wanted, seen) == [expected]


def test_a_foreign_table_is_taken_out_with_the_reload(wanted: dict[str, Place], seen: dict[str, Seen]) -> None:
    """A table that is not ours is a difference and goes in the same transaction."""
    foreign = {"table": {"family": "inet", "name": "mine", "handle": 7}}
    seen["culture"] = dataclasses.replace(seen["culture"], rules=Rules((*seen["culture"].rules.objects, foreign)))
    (action,) = reconcile(wanted, seen)
    assert isinstance(action, LoadRules)
    assert action.foreign == (("inet", "mine"),)
    assert action.why == ("table inet mine is there and should not be",)


def test_a_zone_that_the_policy_lacks_gives_its_port_back_first(
    wanted: dict[str, Place], seen: dict[str, Seen]
) -> None:
    """The port leaves before the namespace goes, or the kernel would take a veth with it."""
    seen["smallscreen"] = Seen((LOOPBACK, Link(PORT, "02:68:67:1e:00:0b", "veth")))
    actions = reconcile(wanted, seen)
    assert actions == [MovePort(PORT, "02:68:67:1e:00:0b", "smallscreen", HOME), RemoveZone("smallscreen")]


def test_a_missing_port_and_a_doubled_one_are_told(wanted: dict[str, Place], seen: dict[str, Seen]) -> None:
    """Neither is guessed at."""
    seen["culture"] = dataclasses.replace(seen["culture"], links=(LOOPBACK,))
    twin = Link("eth9", wanted["bigscreen"].mac)
    seen[HOME] = dataclasses.replace(seen[HOME], links=(LOOPBACK, twin))
    told = missing_ports(wanted, seen)
    assert told["culture"] == "no link has the MAC 02:68:67:0a:00:0b"
    assert "more than one link" in told["bigscreen"]
    assert "management" not in told


@pytest.mark.parametrize(
    ("edit", "same"),
    [
        (lambda rules: rules, True),
        (lambda rules: tuple({k: {**v, "handle": 9} for k, v in part.items()} for part in rules), True),
        (lambda rules: rules[:-1], False),
        (
            lambda rules: (*rules[:-4], *rules[-2:], *rules[-4:-2]),
            True,
        ),  # rules of other chains: their order means nothing
        (lambda rules: (*rules, rules[-1]), False),
    ],
)
def test_rulesets_are_compared_by_meaning(site: Policy, edit: Callable[[Any], Any], same: bool) -> None:
    """Handles mean nothing; a missing or doubled rule does."""
    rules = ruleset.compile_zone(site, "culture", PORT)
    assert (listing.differences(rules, Rules(edit(rules.objects))) == []) is same


def test_sets_are_compared_as_addresses() -> None:
    """Neighbouring prefixes and the range that the kernel makes of them are the same set."""

    def rule(elements: list[Any]) -> Rules:
        match = {"match": {"op": "==", "left": {}, "right": {"set": elements}}}
        return Rules(({"rule": {"family": "inet", "table": "t", "chain": "c", "expr": [match]}},))

    prefixes = rule([{"prefix": {"addr": "10.0.0.0", "len": 25}}, "10.0.0.128"])
    assert listing.differences(prefixes, rule([{"range": ["10.0.0.0", "10.0.0.128"]}])) == []
    assert listing.differences(prefixes, rule([{"range": ["10.0.0.0", "10.0.0.129"]}])) != []


def test_flags_are_the_same_however_they_are_listed() -> None:
    """As a list by nft 1.0, as nested ors by later ones."""

    def rule(flags: object) -> Rules:
        return Rules(({"rule": {"family": "inet", "table": "t", "chain": "c", "expr": [{"&": [{"x": "y"}, flags]}]}},))

    listed = rule(["fin", "syn", "ack"])
    assert listing.differences(listed, rule({"|": [{"|": ["syn", "fin"]}, "ack"]})) == []
    assert listing.differences(listed, rule({"|": ["syn", "fin"]})) != []
