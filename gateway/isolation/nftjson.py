"""Words of libnftables' JSON (libnftables-json(5)): tables, chains, sets, rules and what rules are made of."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from gateway.isolation.words import Network, Rate

TABLE = "headgate"
LOG_GROUP = 7
SNAPLEN = 128  # bytes of a sampled packet: its headers and a little more
BURST = 5
Object = dict[str, Any]

ACCEPT: Object = {"accept": None}
COUNT: Object = {"counter": {"packets": 0, "bytes": 0}}
DROP: Object = {"drop": None}
SET_TYPES = {4: "ipv4_addr", 6: "ipv6_addr"}
PER = {"s": "second", "min": "minute"}


def table(family: str) -> Object:
    """Return our table of a family."""
    return {"table": {"family": family, "name": TABLE}}


def chain(family: str, name: str, **hook: Any) -> Object:
    """Return a base chain."""
    return {"chain": {"family": family, "table": TABLE, "name": name, **hook}}


def address_set(family: str, name: str, version: int) -> Object:
    """Return a plain hash set of addresses; without an interval flag a lookup costs the same whatever is in it."""
    return {"set": {"family": family, "table": TABLE, "name": name, "type": SET_TYPES[version]}}


def rule(family: str, within: str, comment: str, *expressions: Object) -> Object:
    """Return a rule of a chain."""
    return {"rule": {"family": family, "table": TABLE, "chain": within, "comment": comment, "expr": list(expressions)}}


def field(protocol: str, name: str, right: Any, op: str = "==") -> Object:
    """Return the match of a header's field."""
    return {"match": {"op": op, "left": {"payload": {"protocol": protocol, "field": name}}, "right": right}}


def pair(protocol: str, one: str, other: tuple[str, str], right: Any, op: str = "==") -> Object:
    """Return the match of two fields together, the second one's protocol with it."""
    fields = [{"payload": {"protocol": p, "field": f}} for p, f in ((protocol, one), other)]
    return {"match": {"op": op, "left": {"concat": fields}, "right": right}}


def meta(key: str, right: str) -> Object:
    """Return the match of what the kernel knows of a packet."""
    return {"match": {"op": "==", "left": {"meta": {"key": key}}, "right": right}}


def state(name: str) -> Object:
    """Return the match of the connection's state."""
    return {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": name}}


def sample(prefix: str, rate: Rate) -> list[Object]:
    """Return what logs a few packets for ``nflog``; nothing if the rate is zero."""
    if not rate.count:
        return []
    limit = {"limit": {"rate": rate.count, "burst": BURST, "per": PER[rate.unit]}}
    return [limit, {"log": {"prefix": f"hg {prefix}", "group": LOG_GROUP, "snaplen": SNAPLEN}}]


def some(networks: Iterable[Network], version: int) -> bool:
    """Return whether ``networks`` of an IP version leave anything out."""
    chosen = [n for n in networks if n.version == version]
    return bool(chosen) and all(n.prefixlen for n in chosen)


def among(protocol: str, name: str, networks: Iterable[Network], version: int, op: str = "==") -> list[Object]:
    """Return the match of an address field with the ``networks`` of one IP version; none where they are everything."""
    chosen = list(ipaddress.collapse_addresses(n for n in networks if n.version == version))  # type: ignore[type-var]
    if not chosen or not all(n.prefixlen for n in chosen):
        return []
    words = [_word(n) for n in sorted(chosen)]
    return [field(protocol, name, one_or_set(words), op)]


def one_or_set(words: list[Any]) -> Any:
    """Return what a field is compared with: a set, unless there is but one value."""
    return words[0] if len(words) == 1 else {"set": words}


def _word(network: Network) -> Any:
    if network.num_addresses == 1:
        return str(network.network_address)
    return {"prefix": {"addr": str(network.network_address), "len": network.prefixlen}}
