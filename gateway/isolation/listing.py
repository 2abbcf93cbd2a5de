"""What the kernel lists (``nft -j list ruleset``) against what was compiled: the same meaning, and nothing besides."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable
from typing import Any

from gateway.isolation.ruleset import TABLE, Object, Ruleset

# nft lists a protocol by its number on a box that has no /etc/protocols.
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "ipv6-icmp": 58}
PASSING = ("handle", "packets", "bytes", "metainfo", "index")  # what changes by itself and means nothing


def foreign_tables(listed: Ruleset) -> list[tuple[str, str]]:
    """Return (family, name) of each table that is not ours."""
    return [
        (t["family"], t["name"]) for t in (part["table"] for part in listed if "table" in part) if t["name"] != TABLE
    ]


def parse(text: str) -> Ruleset:
    """Return the objects of a JSON listing."""
    return tuple(part for part in json.loads(text)["nftables"] if "metainfo" not in part)


def with_devices(listed: Ruleset, text: str) -> Ruleset:
    """Return ``listed`` with the devices of its netdev chains, which nft 1.0 tells in its ``text`` listing only."""
    devices: dict[tuple[str, str], str] = {}
    table = chain = ""
    for line in text.splitlines():
        words = line.split()
        if words[:2] == ["table", "netdev"]:
            table = words[2]
        elif words[:1] == ["chain"]:
            chain = words[1]
        elif found := re.search(r"hook \w+ devices? (?:= )?(.+?) priority", line):
            devices[table, chain] = found.group(1).strip('"')
    parts = []
    for part in listed:
        body = part.get("chain", {})
        device = devices.get((body.get("table", ""), body.get("name", "")))
        known = body.get("family") != "netdev" or "dev" in body or device is None
        parts.append(part if known else {"chain": {**body, "dev": device}})
    return tuple(parts)


def differences(wanted: Ruleset, listed: Ruleset) -> list[str]:
    """Return in words what ``listed`` has too much, lacks, or has in another order; nothing if both mean the same."""
    want, seen = _canonical(wanted), _canonical(listed)
    found = []
    for name in sorted(set(want) | set(seen)):
        if name not in want:
            found.append(f"{name} is there and should not be")
        elif name not in seen:
            found.append(f"{name} is missing")
        elif want[name] != seen[name]:
            found += _lines(name, want[name], seen[name])
    return found


def _lines(name: str, want: list[str], seen: list[str]) -> list[str]:
    lacking = [line for line in want if line not in seen]
    surplus = [line for line in seen if line not in want]
    found = [f"{name} lacks {line}" for line in lacking] + [f"{name} has besides {line}" for line in surplus]
    return found or [f"{name} has its rules in another order or number"]


def _canonical(ruleset: Iterable[Object]) -> dict[str, list[str]]:
    """Return object name -> lines; a chain's lines are its definition and its rules in order."""
    result: dict[str, list[str]] = {}
    for part in ruleset:
        ((kind, body),) = part.items()
        if kind == "rule":
            name = f"chain {body['family']} {body['table']} {body['chain']}"
            told = {key: body[key] for key in ("comment", "expr") if key in body}
        else:
            name = f"{kind} {body['family']} {body.get('table', '')} {body.get('name', '')}".replace("  ", " ")
            told = body
        result.setdefault(name, []).append(json.dumps(_plain(told), sort_keys=True, ensure_ascii=False))
    return result


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"set"} and isinstance(value["set"], list):
            return {"set": _elements(value["set"])}
        if set(value) == {"|"}:
            return _flags(value)
        return {key: _plain(inner) for key, inner in value.items() if key not in PASSING}
    if isinstance(value, list):
        if value and all(isinstance(inner, str) for inner in value):
            return sorted(value)  # flags: nft 1.0 lists them so, later ones as {"|": [...]}
        return [_plain(inner) for inner in value]
    return value


def _flags(value: Any) -> list[Any]:
    """Return the operands of nested ors, sorted."""
    if isinstance(value, dict) and set(value) == {"|"}:
        return sorted(flag for inner in value["|"] for flag in _flags(inner))
    return [value]


def _elements(elements: list[Any]) -> list[Any]:
    """Return a set's elements in one form: addresses as merged ranges, everything else sorted."""
    try:
        ranges = sorted(_range(element) for element in elements)
    except (ValueError, KeyError, TypeError):
        plain = (_plain(PROTOCOLS.get(e, e) if isinstance(e, str) else e) for e in elements)
        return sorted(plain, key=lambda e: json.dumps(e, sort_keys=True))
    merged: list[list[int]] = []
    for version, first, last in ranges:
        if merged and merged[-1][0] == version and first <= merged[-1][2] + 1:
            merged[-1][2] = max(merged[-1][2], last)
        else:
            merged.append([version, first, last])
    return merged


def _range(element: Any) -> tuple[int, int, int]:
    if isinstance(element, str):
        address = ipaddress.ip_address(element)
        return address.version, int(address), int(address)
    if "prefix" in element:
        network = ipaddress.ip_network(f"{element['prefix']['addr']}/{element['prefix']['len']}")
        return network.version, int(network.network_address), int(network.broadcast_address)
    first, last = (ipaddress.ip_address(end) for end in element["range"])
    return first.version, int(first), int(last)
