"""One ruleset in place of another, without a moment in which more passes than one of them allows. Pure.

Table, chains and their hooks stay where they are; rules change in one transaction. A set that is new, or differs, is filled before any rule
names it: where one of that name is in use, the rules first move to sets under passing names and then back, which changes no meaning.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.isolation import listing
from gateway.isolation.canonical import definition
from gateway.isolation.nfnl import elements, requests
from gateway.isolation.nfnl.requests import Part
from gateway.isolation.nftjson import TABLE, Object
from gateway.isolation.ruleset import Rules

LEAST_ROOM = 1024  # elements of the smallest set
CHAINS, RULES = "chain", "rule"


@dataclass(frozen=True)
class Step:
    """What is sent to the kernel itself, which nothing uses yet, and then what libnftables does in one transaction."""

    first: tuple[Part, ...]
    then: tuple[Object, ...]


def replacement(
    wanted: Rules,
    seen: Rules,
    table_flags: int,
    anew: frozenset[str] = frozenset(),
    foreign: Iterable[tuple[str, str]] = (),
) -> list[Step]:
    """Return the steps that put ``wanted`` in place of ``seen``, and ``foreign`` tables out.

    Our tables of the families ``anew`` are made again, because they cannot be owned as they are: shut until their rules are in.
    """
    kept = _without(seen, anew)
    steps = []
    if busy := _busy(wanted, kept):
        passing = _renamed(wanted, _passing({name for _, name in busy}, kept))
        steps.append(_step(passing, kept, table_flags, anew, foreign))
        kept, anew, foreign = passing, frozenset(), ()
    steps.append(_step(wanted, kept, table_flags, anew, foreign))
    return steps


def room(count: int) -> int:
    """Return how many elements a set of ``count`` is made for: some may be added before it must be made again."""
    return max(LEAST_ROOM, 1 << (2 * count - 1).bit_length()) if count else LEAST_ROOM


def _step(wanted: Rules, seen: Rules, flags: int, anew: frozenset[str], foreign: Iterable[tuple[str, str]]) -> Step:
    there, want = _by_kind(seen.objects), _by_kind(wanted.objects)
    first: list[Part] = []
    for key in want.get("table", {}):
        if key not in there.get("table", {}):
            if key[0] in anew:
                first.append(requests.delete_table(*key))
            first.append(requests.new_table(*key, flags))
            # Shut from its first moment on.
            first += [
                requests.new_chain(body) for (family, _), body in want.get(CHAINS, {}).items() if family == key[0]
            ]
            there.setdefault(CHAINS, {}).update({k: b for k, b in want.get(CHAINS, {}).items() if k[0] == key[0]})
    sizes = {(family, name): size for family, name, size in listing.plain_sets(wanted.objects)}
    for number, (key, body) in enumerate(want.get("set", {}).items(), 1):
        if key not in there.get("set", {}):
            packed, size = wanted.elements.get(key, b""), sizes[key]
            first.append(requests.new_set(body, number, room(len(packed) // size)))
            first += elements.added(key[0], TABLE, key[1], packed, size)
    return Step(
        tuple(first), tuple(_commands(want, there, [part for part in wanted.objects if RULES in part], foreign))
    )


def _commands(
    want: Mapping[str, Any], there: Mapping[str, Any], rules: Iterable[Object], foreign: Iterable[tuple[str, str]]
) -> Iterable[Object]:
    gone = [key for key in there.get("table", {}) if key not in want.get("table", {})]
    chains = {key: body for key, body in there.get(CHAINS, {}).items() if key[0] not in {family for family, _ in gone}}
    yield from ({"flush": {"chain": _short(key)}} for key in chains)
    changed = {
        k
        for k, b in chains.items()
        if k not in want.get(CHAINS, {}) or definition("chain", b) != definition("chain", want[CHAINS][k])
    }
    yield from ({"delete": {"chain": _short(key)}} for key in chains if key in changed)
    for kind, objects in there.items():
        if kind not in ("table", CHAINS):
            yield from (
                {"delete": {kind: _short(key)}}
                for key in objects
                if key[0] not in {family for family, _ in gone} and key not in want.get(kind, {})
            )
    yield from ({"delete": {"table": {"family": family, "name": name}}} for family, name in (*gone, *foreign))
    for key, body in want.get(CHAINS, {}).items():
        if key not in chains or key in changed:
            yield {"add": {"chain": body}}
    yield from ({"add": part} for part in rules)


def _busy(wanted: Rules, seen: Rules) -> list[tuple[str, str]]:
    """Return the sets that are there and must be others."""
    want, there = _by_kind(wanted.objects).get("set", {}), _by_kind(seen.objects).get("set", {})
    differing = {(change.family, change.name) for change in listing.changes(wanted, seen)}
    differing |= set(listing.too_small(wanted, seen))
    return [
        key
        for key, body in want.items()
        if key in there and (key in differing or definition("set", there[key]) != definition("set", body))
    ]


def _passing(names: set[str], seen: Rules) -> dict[str, str]:
    """Return passing names that nothing bears yet; a replacement that was cut short may have left some."""
    taken = {name for _, name, _ in listing.plain_sets(seen.objects)}
    suffix = next(s for n in itertools.count() if not {name + (s := f"-passing{n or ''}") for name in names} & taken)
    return {name: name + suffix for name in names}


def _renamed(rules: Rules, names: Mapping[str, str]) -> Rules:
    def within(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: within(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [within(inner) for inner in value]
        if isinstance(value, str) and value.startswith("@"):
            return "@" + names.get(value[1:], value[1:])
        return value

    objects: list[Object] = []
    for part in rules.objects:
        if "set" in part:
            objects.append({"set": {**part["set"], "name": names.get(part["set"]["name"], part["set"]["name"])}})
        else:
            objects.append(within(part))
    return Rules(
        tuple(objects), {(family, names.get(name, name)): packed for (family, name), packed in rules.elements.items()}
    )


def _without(seen: Rules, families: frozenset[str]) -> Rules:
    """Return what is in our tables of other families."""
    ours = []
    for part in seen.objects:
        ((kind, body),) = part.items()
        name = body.get("name") if kind == "table" else body.get("table")
        if name == TABLE and body["family"] not in families:
            ours.append(part)
    return Rules(tuple(ours), {key: packed for key, packed in seen.elements.items() if key[0] not in families})


def _by_kind(objects: Iterable[Object]) -> dict[str, dict[tuple[str, str], Object]]:
    """Return kind -> (family, name) -> object, without rules."""
    found: dict[str, dict[tuple[str, str], Object]] = {}
    for part in objects:
        ((kind, body),) = part.items()
        if kind != RULES:
            found.setdefault(kind, {})[body["family"], body["name"]] = body
    return found


def _short(key: tuple[str, str]) -> Object:
    return {"family": key[0], "table": TABLE, "name": key[1]}
