"""One ruleset in place of another: what is sent first, what in the one transaction, and never anything open between."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.isolation import policy as policies
from gateway.isolation import ruleset
from gateway.isolation.nfnl.requests import DELTABLE, NEWCHAIN, NEWSET, NEWSETELEM, NEWTABLE
from gateway.isolation.replacement import LEAST_ROOM, replacement, room
from gateway.isolation.ruleset import Rules
from gateway.isolation.topology import PORT

OWNED = 6


def compiled(members: int, device: str | None = PORT, port: int = 80) -> Rules:
    hosts = ", ".join(f"10.20.1.{n}" for n in range(members))
    text = f"""\
site: many
zones: {{bigscreen: {{port: "02:68:67:14:00:0b", addresses: [10.20.0.11/16]}}}}
groups: {{televisions: [{hosts}]}}
services: {{films: {{zone: bigscreen, run: nginx, listen: tcp/{port}, from: ["@televisions"]}}}}
never: [{{from: bigscreen, to: culture}}]
"""
    return ruleset.compile_zone(policies.parse(text.encode()), "bigscreen", device)


def with_room(rules: Rules, size: int) -> Rules:
    """Return a ruleset as the kernel lists it: sets tell for how many they were made."""
    objects = tuple({"set": {**part["set"], "size": size}} if "set" in part else part for part in rules.objects)
    return Rules(objects, rules.elements)


def kinds(step: Any) -> list[int]:
    return [kind for kind, *_ in step.first]


def verbs(step: Any) -> list[tuple[str, str]]:
    found = [(verb, next(iter(what))) for command in step.then for verb, what in command.items()]
    return [pair for n, pair in enumerate(found) if n == 0 or found[n - 1] != pair]


def test_new_tables_are_shut_before_their_rules_are_in() -> None:
    """Table and chains that drop come in one transaction, then the sets, and the rules last."""
    (step,) = replacement(compiled(3), Rules(), OWNED)
    assert kinds(step) == [NEWTABLE, NEWCHAIN, NEWTABLE, NEWCHAIN, NEWCHAIN, NEWCHAIN, NEWSET, NEWSETELEM]
    assert verbs(step) == [("flush", "chain"), ("add", "rule")]


def test_other_rules_are_one_transaction_and_no_chain_is_touched() -> None:
    """Nothing is sent before it, and neither table nor chain nor set goes away meanwhile."""
    (step,) = replacement(compiled(3, port=81), with_room(compiled(3), 1024), OWNED)
    assert step.first == ()
    assert verbs(step) == [("flush", "chain"), ("add", "rule")]


def test_a_set_in_use_that_must_be_another_is_changed_by_way_of_a_passing_one() -> None:
    """Rules name a full set at every moment: first the passing one, then the new one of the old name."""
    there, back = replacement(compiled(5, port=81), with_room(compiled(3), 1024), OWNED)
    assert kinds(there) == kinds(back) == [NEWSET, NEWSETELEM]
    assert verbs(there) == verbs(back) == [("flush", "chain"), ("delete", "set"), ("add", "rule")]
    deleted = [[c["delete"]["set"]["name"] for c in step.then if "delete" in c] for step in (there, back)]
    assert deleted == [["televisions4"], ["televisions4-passing"]]
    named = [str(step.then).count("@televisions4'") for step in (there, back)]
    assert named == [0, 1]


def test_a_passing_name_that_something_bears_is_not_taken() -> None:
    """A replacement that was cut short left it."""
    left = {
        "set": {"family": "inet", "table": "headgate", "name": "televisions4-passing", "type": "ipv4_addr", "size": 9}
    }
    seen = with_room(compiled(3), 1024)
    seen = Rules((*seen.objects, left), {**seen.elements, ("inet", "televisions4-passing"): b"\1\2\3\4"})
    there, back = replacement(compiled(5), seen, OWNED)
    assert "@televisions4-passing1" in str(there.then)
    gone = {c["delete"]["set"]["name"] for step in (there, back) for c in step.then if "delete" in c}
    assert gone == {"televisions4", "televisions4-passing", "televisions4-passing1"}


def test_what_is_not_wanted_goes_in_the_same_transaction() -> None:
    """A zone's port table, when its port is gone, and foreign tables."""
    (step,) = replacement(compiled(3, None), with_room(compiled(3), 1024), OWNED, foreign=[("ip", "mine")])
    gone = [c["delete"]["table"] for c in step.then if "table" in c.get("delete", {})]
    assert [(t["family"], t["name"]) for t in gone] == [("netdev", "headgate"), ("ip", "mine")]
    assert not [c for c in step.then if "chain" in str(c) and "netdev" in str(c)]


def test_a_chain_that_became_another_is_made_again() -> None:
    """Its policy, hook or device."""
    seen = with_room(compiled(3), 1024)
    open_one = tuple(
        {"chain": {**part["chain"], "policy": "accept"}} if part.get("chain", {}).get("name") == "input" else part
        for part in seen.objects
    )
    (step,) = replacement(compiled(3), Rules(open_one, seen.elements), OWNED)
    assert verbs(step) == [("flush", "chain"), ("delete", "chain"), ("add", "chain"), ("add", "rule")]


def test_tables_that_cannot_be_owned_are_made_again_in_one_transaction() -> None:
    """Removed, made and shut at once."""
    seen = with_room(compiled(3), 1024)
    (step,) = replacement(compiled(3), seen, OWNED, frozenset({"inet"}))
    assert kinds(step)[:5] == [DELTABLE, NEWTABLE, NEWCHAIN, NEWCHAIN, NEWCHAIN]
    assert NEWSETELEM in kinds(step)


@pytest.mark.parametrize("count", [0, 1, 500, 512, 513, 1000, 100_000])
def test_a_set_has_room_for_more(count: int) -> None:
    """At least as many again may be added before it must be replaced."""
    assert room(count) >= max(LEAST_ROOM, 2 * count)
    assert room(count) <= max(LEAST_ROOM, 4 * count)
