"""Rulesets in one form, so that two that mean the same are equal. Pure."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from typing import Any

from gateway.isolation.nftjson import TABLE, Object

# nft lists a protocol by its number on a box that has no /etc/protocols.
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "ipv6-icmp": 58}
PASSING = ("handle", "packets", "bytes", "metainfo", "index")  # what changes by itself and means nothing


def canonical(objects: Iterable[Object]) -> dict[str, list[str]]:
    """Return object name -> lines; a chain's lines are its definition and its rules in order."""
    result: dict[str, list[str]] = {}
    for part in objects:
        ((kind, body),) = part.items()
        result.setdefault(name_of(kind, body), []).append(definition(kind, body))
    return result


def name_of(kind: str, body: Object) -> str:
    """Return the name under which an object is told to people; a rule has its chain's."""
    if kind == "rule":
        return f"chain {body['family']} {body['table']} {body['chain']}"
    return f"{kind} {body['family']} {body.get('table', '')} {body.get('name', '')}".replace("  ", " ")


def definition(kind: str, body: Object) -> str:
    """Return what an object means, without what it is called by and without what changes by itself."""
    told = {key: body[key] for key in ("comment", "expr") if key in body} if kind == "rule" else body
    if kind == "set" and body.get("table") == TABLE:
        told = {key: inner for key, inner in body.items() if key not in ("size", "count")}  # room in it means nothing
    return json.dumps(_plain(told), sort_keys=True, ensure_ascii=False)


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
        plain = (_element(PROTOCOLS.get(e, e) if isinstance(e, str) else e) for e in elements)
        return sorted(plain, key=lambda e: json.dumps(e, sort_keys=True))
    merged: list[list[int]] = []
    for version, first, last in ranges:
        if merged and merged[-1][0] == version and first <= merged[-1][2] + 1:
            merged[-1][2] = max(merged[-1][2], last)
        else:
            merged.append([version, first, last])
    return merged


def _element(element: Any) -> Any:
    """Return an element that is no address; the parts of a concatenation keep their order."""
    if isinstance(element, dict) and set(element) == {"concat"}:
        return {"concat": [_plain(part) for part in element["concat"]]}
    return _plain(element)


def _range(element: Any) -> tuple[int, int, int]:
    if isinstance(element, str):
        address = ipaddress.ip_address(element)
        return address.version, int(address), int(address)
    if "prefix" in element:
        network = ipaddress.ip_network(f"{element['prefix']['addr']}/{element['prefix']['len']}")
        return network.version, int(network.network_address), int(network.broadcast_address)
    first, last = (ipaddress.ip_address(end) for end in element["range"])
    return first.version, int(first), int(last)
