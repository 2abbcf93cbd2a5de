"""What the kernel lists against what was compiled: the same meaning, and nothing besides. Pure."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.isolation.nfnl import elements
from gateway.isolation.nfnl.requests import KEY_TYPES, OWNER, PERSIST, Named, Table
from gateway.isolation.ruleset import TABLE, Object, Rules

PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
# What follows an IPv6 header, which we write as numbers and nft lists by names, those of /etc/protocols where there is one.
EXTENSIONS = {"ip": 0, "hopopt": 0, "ipv6-route": 43, "ipv6-frag": 44, "ah": 51, "ipv6-opts": 60}
SHOWN = 3  # elements named in words


@dataclass(frozen=True)
class Change:
    """Elements that a set is to have more and less, packed and in order."""

    family: str
    name: str
    add: bytes
    drop: bytes
    size: int  # bytes of one

    def __str__(self) -> str:
        told = [
            f"{verb} {words(packed, self.size)}"
            for verb, packed in (("add", self.add), ("remove", self.drop))
            if packed
        ]
        return f"set {self.name}: {', '.join(told)}"


def words(packed: bytes, size: int) -> str:
    """Return the first of packed addresses in words, and how many more there are."""
    shown = [str(ipaddress.ip_address(packed[n : n + size])) for n in range(0, min(len(packed), SHOWN * size), size)]
    more = len(packed) // size - len(shown)
    return " ".join(shown) + (f" and {more} more" if more else "")


def foreign_tables(listed: Rules) -> list[tuple[str, str]]:
    """Return (family, name) of each table that is not ours."""
    tables = (part["table"] for part in listed.objects if "table" in part)
    return [(t["family"], t["name"]) for t in tables if t["name"] != TABLE]


def questions(tables: Iterable[Table], named: Iterable[Named]) -> list[str]:
    """Return what ``nft -j`` is asked, once each, for the chains of our tables.

    Where somebody has put something there, each chain is asked for alone: nft 1.0 lists no table with a single flag whole (it uses
    freed memory, and what it prints is cut off), and of several chains in one question it tells only one.
    """
    ours = [one for one in named if one.table == TABLE and one.kind == "chain"]
    if not ours:
        return []
    if all(t.name == TABLE and t.flags in (0, OWNER | PERSIST) for t in tables) and all(map(_is_plain_name, ours)):
        return ["list ruleset"]
    return [f"list chain {one.family} {one.table} {one.name}" for one in ours if _is_plain_name(one)]


def _is_plain_name(one: Named) -> bool:
    """Return whether a name is none that would be a command to nft; the kernel takes any."""
    return PLAIN_NAME.fullmatch(one.name) is not None


def assemble(tables: Iterable[Table], named: Iterable[Named], answers: Iterable[str]) -> tuple[Object, ...]:
    """Return the objects of a ruleset: all tables, and what is in ours, its chains and rules as ``nft`` tells them.

    What a foreign table holds is not told: that it is there is a difference. nft leaves out the devices of chains; ``named`` has them.
    """
    objects: list[Object] = [{"table": {"family": table.family, "name": table.name}} for table in tables]
    devices = {(one.family, one.name): one.devices for one in named if one.kind == "chain" and one.table == TABLE}
    for one in named:
        if one.table == TABLE and not (one.kind == "chain" and _is_plain_name(one)):
            described: Object = {"family": one.family, "table": one.table, "name": one.name}
            if one.kind == "set" and one.type:
                described |= {"type": one.type} | ({"size": one.room} if one.room else {})
            objects.append({one.kind: described})
    parts = [part for answer in answers for part in json.loads(answer)["nftables"]]
    for part in parts:
        if "chain" in part:
            at = devices.get((part["chain"]["family"], part["chain"]["name"]), ())
            objects.append({"chain": part["chain"] | ({"dev": at[0] if len(at) == 1 else list(at)} if at else {})})
        elif "rule" in part:
            objects.append({"rule": {**part["rule"], "expr": [_numbered(one) for one in part["rule"]["expr"]]}})
    return tuple(objects)


def _numbered(expression: Object) -> Object:
    """Return an expression with IPv6 extension headers as numbers."""
    match = expression.get("match", {})
    if match.get("left") != {"payload": {"protocol": "ip6", "field": "nexthdr"}} or not isinstance(
        match["right"], dict
    ):
        return expression
    elements = [EXTENSIONS.get(e, e) if isinstance(e, str) else e for e in match["right"].get("set", ())]
    return {"match": {**match, "right": {"set": elements}}}


def plain_sets(objects: Iterable[Object]) -> list[tuple[str, str, int]]:
    """Return (family, name, bytes of a key) of each of our sets whose elements are listed apart."""
    sets = (part["set"] for part in objects if "set" in part)
    return [(s["family"], s["name"], KEY_TYPES[s["type"]][1]) for s in sets if is_plain(s)]


def is_plain(described: Object) -> bool:
    """Return whether a set of a listing is a plain hash set of addresses in a table of ours."""
    known = (
        described.get("table") == TABLE and isinstance(described.get("type"), str) and described["type"] in KEY_TYPES
    )
    return known and set(described) <= {"family", "name", "table", "type", "handle", "size", "count"}


def odd_families(listed: Rules) -> frozenset[str]:
    """Return the families whose table of ours holds what we never make, so that it must be made again."""
    ours = [(kind, body) for part in listed.objects for kind, body in part.items() if body.get("table") == TABLE]
    return frozenset(
        body["family"]
        for kind, body in ours
        if kind not in ("chain", "set", "rule")
        or (kind == "set" and "type" not in body)
        or (kind == "chain" and not PLAIN_NAME.fullmatch(body["name"]))
    )


def with_odd(objects: tuple[Object, ...], odd: dict[tuple[str, str], list[str]]) -> tuple[Object, ...]:
    """Return ``objects`` with the elements that are more than a key in their sets, which makes those differ from any wanted one."""
    return tuple(
        {"set": {**part["set"], "elem": odd[part["set"]["family"], part["set"]["name"]]}}
        if "set" in part and odd.get((part["set"]["family"], part["set"]["name"]))
        else part
        for part in objects
    )


def differences(wanted: Rules, listed: Rules) -> list[str]:
    """Return in words what ``listed`` has too much, lacks, or has in another order; nothing if both mean the same."""
    return structure(wanted, listed) + [f"{change.family} {change}" for change in changes(wanted, listed)]


def structure(wanted: Rules, listed: Rules) -> list[str]:
    """Return the differences of everything but sets' elements, in words."""
    want, seen = wanted.lines, listed.lines
    found = []
    for name in sorted(set(want) | set(seen)):
        if name not in want:
            found.append(f"{name} is there and should not be")
        elif name not in seen:
            found.append(f"{name} is missing")
        elif want[name] != seen[name]:
            found += _lines(name, want[name], seen[name])
    return found + [f"set {family} {name} has too little room" for family, name in too_small(wanted, listed)]


def too_small(wanted: Rules, listed: Rules) -> list[tuple[str, str]]:
    """Return (family, name) of the sets that are there and cannot take what is wanted in them."""
    rooms = {(s["family"], s["name"]): s.get("size") for s in (p["set"] for p in listed.objects if "set" in p)}
    sizes = {(family, name): size for family, name, size in plain_sets(wanted.objects)}
    return [
        key
        for key, packed in wanted.elements.items()
        if key in sizes and rooms.get(key) is not None and len(packed) // sizes[key] > rooms[key]
    ]


def changes(wanted: Rules, listed: Rules) -> tuple[Change, ...]:
    """Return what the sets that are in both lack and have too much."""
    sizes = {(family, name): size for family, name, size in plain_sets(wanted.objects)}
    found = []
    for key in sorted(set(wanted.elements) & set(listed.elements)):
        add, drop = elements.difference(wanted.elements[key], listed.elements[key], sizes[key])
        if add or drop:
            found.append(Change(*key, add, drop, sizes[key]))
    return tuple(found)


def _lines(name: str, want: list[str], seen: list[str]) -> list[str]:
    lacking = [line for line in want if line not in seen]
    surplus = [line for line in seen if line not in want]
    found = [f"{name} lacks {line}" for line in lacking] + [f"{name} has besides {line}" for line in surplus]
    return found or [f"{name} has its rules in another order or number"]
