"""Wanted against seen: what is done, in which order, and nothing where nothing differs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from gateway.isolation import listing, ruleset
from gateway.isolation.nfnl.requests import Table
from gateway.isolation.policy import Policy
from gateway.isolation.reconcile import (
    HOME,
    AddAddress,
    AddLookup,
    DropAddress,
    DropLookup,
    DropRoute,
    LoadRules,
    MakeZone,
    MovePort,
    NamePort,
    OwnTables,
    Pin,
    RemoveZone,
    Set,
    SetDown,
    SetUp,
    Unpin,
    missing_ports,
    reconcile,
)
from gateway.isolation.ruleset import Rules
from gateway.isolation.topology import PORT, Link, Lookup, Neighbour, Path, Place, Seen, topology_of

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
        (
            {"settings": lambda settings: {k: v for k, v in settings.items() if k != "net/ipv4/ip_forward"}},
            Set("culture", "net/ipv4/ip_forward", "0"),
        ),
        (
            {
                "links": lambda links: (
                    dataclasses.replace(links[0], addresses=("10.9.9.9/32",)),
                    links[1],
                )
            },
            DropAddress("culture", "10.9.9.9/32", "lo"),
        ),
        (
            {"routes": lambda routes: (*routes, Path("10.77.0.0/16", "10.10.0.1", 77))},
            DropRoute("culture", Path("10.77.0.0/16", "10.10.0.1", 77)),
        ),
        ({"lookups": lambda lookups: (*lookups, Lookup(4, 7, 77))}, DropLookup("culture", Lookup(4, 7, 77))),
        ({"lookups": lambda lookups: lookups[1:]}, AddLookup("culture", Lookup(4, 0, 255))),
        (
            {"neighbours": lambda _: (Neighbour("10.10.0.9", "02:00:00:00:00:09"),)},
            Unpin("culture", Neighbour("10.10.0.9", "02:00:00:00:00:09")),
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


def test_what_only_some_kernels_know_is_set_where_it_is_and_left_where_it_is_not(
    wanted: dict[str, Place], seen: dict[str, Seen]
) -> None:
    """A setting that is not there differs only if every kernel has it."""
    key = "net/mptcp/enabled"
    settings = dict(seen["culture"].settings)
    settings.pop(key)
    seen["culture"] = dataclasses.replace(seen["culture"], settings=settings)
    assert reconcile(wanted, seen) == []
    seen["culture"] = dataclasses.replace(seen["culture"], settings={**settings, key: "1"})
    assert reconcile(wanted, seen) == [Set("culture", key, "0")]


def test_a_neighbour_is_pinned_again_where_it_is_missing_or_another(
    edited: Callable[[str, str], Policy], seen: dict[str, Seen]
) -> None:
    """A permanent entry with another MAC is replaced, not removed before."""
    wanted = topology_of(
        edited(
            "addresses: [10.10.0.11/24],", 'addresses: [10.10.0.11/24], neighbours: {10.10.0.1: "02:aa:00:00:00:01"},'
        )
    )
    pinned = Neighbour("10.10.0.1", "02:aa:00:00:00:01")
    for there, expected in (
        ((), [Pin("culture", pinned)]),
        ((Neighbour("10.10.0.1", "02:00:00:00:00:01"),), [Pin("culture", pinned)]),
        ((pinned,), []),
        ((pinned, Neighbour("10.10.0.1", "", proxy=True)), [Unpin("culture", Neighbour("10.10.0.1", "", proxy=True))]),
    ):
        seen["culture"] = dataclasses.replace(as_wanted(wanted["culture"]), neighbours=there)
        assert reconcile(wanted, seen) == expected


@pytest.mark.parametrize(
    ("table", "can_own", "expected"),
    [
        (Table("inet", "headgate", 4711, 6), True, None),
        (Table("inet", "headgate", 0, 4), True, OwnTables),
        (Table("inet", "headgate", 0, 0), True, LoadRules),
        (Table("inet", "headgate", 0, 0), False, None),
        (Table("inet", "other", 0, 0), True, None),
    ],
)
def test_tables_that_nobody_owns_are_taken_over_or_made_again(
    wanted: dict[str, Place], seen: dict[str, Seen], table: Table, can_own: bool, expected: type | None
) -> None:
    """What was made to be owned is taken over as it is; the rest is loaded anew, where the kernel knows owners."""
    seen["culture"] = dataclasses.replace(seen["culture"], tables=(table,), can_own=can_own)
    assert [type(action) for action in reconcile(wanted, seen)] == ([expected] if expected else [])


def test_one_admission_is_one_element(edited: Callable[[str, str], Policy], seen: dict[str, Seen]) -> None:
    """And no reload of rules."""

    def grouped(hosts: str) -> dict[str, Place]:
        return topology_of(edited("from: [10.40.0.20]}", f"from: ['@screens']}}\ngroups: {{screens: [{hosts}]}}"))

    before, after = grouped("10.40.0.20, 10.40.0.21"), grouped("10.40.0.20, 10.40.0.22")
    seen["management"] = as_wanted(before["management"])
    (action,) = reconcile(after, seen)
    assert str(action) == "management: set screens4: add 10.40.0.22, remove 10.40.0.21"


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
