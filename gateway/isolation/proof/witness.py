"""A second reader, which shares nothing with the first: nft's numeric listing (``nft -n -j list ruleset``) -> a diagram for each hook.

It knows no words for numbers, looks into headers bit by bit, and takes only what it knows; whatever else is there, it tells.
"""

from __future__ import annotations

import ipaddress
import operator
from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any

from gateway.isolation.proof.headers import Headers, Node

TABLE = "headgate"
PLACES = {
    ("netdev", "ingress"): -500,
    ("inet", "input"): 0,
    ("inet", "output"): 0,
    ("inet", "forward"): 0,
}  # and their priorities
# What nft asks by itself before it looks into a header: (field, value), all of them.
BEFORE: Mapping[str, tuple[tuple[str, int], ...]] = {
    "ether": (),
    "arp": (("protocol", 0x0806),),
    "ip": (("protocol", 0x0800),),
    "ip6": (("protocol", 0x86DD),),
    "icmp": (("protocol", 0x0800), ("l4proto", 1), ("transport", 0)),
    "icmpv6": (("protocol", 0x86DD), ("l4proto", 58), ("transport", 0)),
    "tcp": (("l4proto", 6), ("transport", 0)),
    "udp": (("l4proto", 17), ("transport", 0)),
}
NAMED = {
    ("ip", "protocol"): "l4proto",
    ("icmp", "type"): "icmp type",
    ("icmpv6", "type"): "icmpv6 type",
    ("tcp", "flags"): "tcp flags",
}
NAMED |= {(protocol, port): port for protocol in ("tcp", "udp") for port in ("sport", "dport")}
METAS = {"iifname": "iif", "oifname": "oif", "l4proto": "l4proto", "protocol": "protocol", "nfproto": "protocol"}
STATES = {8: 0, 2: 1, 4: 2, 1: 3, 64: 4}  # the kernel's bit -> the place among the states
LINKS = {"lo": 0, "port0": 1}
TYPE_FIELDS = ("ether type", "arp ptype", "protocol")  # nft lists their numbers in the machine's order
LITTLE = {int.from_bytes(one.to_bytes(2, "big"), "little"): one for one in (0x0800, 0x0806, 0x86DD, 0x8100, 0x88A8)}
NFPROTO = {2: 0x0800, 10: 0x86DD}


class Strange(Exception):
    """Something that this reader does not know."""


class Witness:
    """What a listing says, as diagrams."""

    def __init__(self, headers: Headers) -> None:
        self.headers = headers
        self.unknown: list[str] = []
        self.sets: dict[tuple[str, str], Node] = {}
        self.policies: dict[str, Node] = {}
        self.rules: dict[str, list[Any]] = {}
        self.count = 0
        self.elements = 0

    def read(self, objects: Iterable[Mapping[str, Any]]) -> dict[str, Node]:
        """Return hook -> the packets that it accepts."""
        for part in objects:
            for kind, body in part.items():
                try:
                    self._object(kind, body)
                except (Strange, KeyError, TypeError, ValueError, AttributeError) as error:
                    place = body.get("chain") or body.get("name") if isinstance(body, dict) else ""
                    self.unknown.append(f"{kind} {place}: {error}")
        return {hook: self._decided(hook) for _, hook in PLACES}

    def _object(self, kind: str, body: Mapping[str, Any]) -> None:
        if kind == "metainfo":
            return
        table = body["name"] if kind == "table" else body["table"]
        if table != TABLE or body["family"] not in ("inet", "netdev") or kind not in ("table", "chain", "set", "rule"):
            raise Strange(f"{body['family']} {table} is not ours")
        if kind == "chain":
            if (
                body.get("prio") != PLACES[body["family"], body["name"]]
                or body.get("type") != "filter"
                or body["hook"] != body["name"]
            ):
                raise Strange("hooks in elsewhere")
            if body["policy"] != "drop":
                raise Strange("lets through what no rule decides")
            self.policies[body["hook"]] = self.headers.false
        elif kind == "set":
            self._set(body)
        elif kind == "rule":
            self._rule(body)

    def _set(self, body: Mapping[str, Any]) -> None:
        # A size bounds how many fit, not which are in.
        if set(body) - {"family", "table", "name", "type", "handle", "size", "elem"} or body["type"] not in (
            "ipv4_addr",
            "ipv6_addr",
        ):
            raise Strange("is no plain set of addresses")
        values = [int(ipaddress.ip_address(element)) for element in body.get("elem", [])]
        self.elements += len(values)
        values.sort()
        kind = "ip" if body["type"] == "ipv4_addr" else "ip6"
        for end in ("saddr", "daddr"):
            self.sets[body["name"], f"{kind} {end}"] = self.headers.members(f"{kind} {end}", values)

    def _rule(self, body: Mapping[str, Any]) -> None:
        self.count += 1
        condition, verdict, limited = self.headers.true, None, False
        for expression in body["expr"]:
            ((kind, told),) = expression.items()
            if verdict is not None:
                raise Strange(f"{kind} behind the verdict")
            if kind == "match":
                condition &= self._match(told)
            elif kind in ("accept", "drop"):
                verdict = kind
            elif kind == "limit":
                limited = True
            elif not (kind == "counter" and isinstance(told, dict)) and not (kind == "log" and "group" in told):
                raise Strange(kind)
        if limited and verdict is not None:
            raise Strange("a limit before a verdict")
        if verdict is not None:
            self.rules.setdefault(body["chain"], []).append((condition, verdict == "accept"))

    def _decided(self, hook: str) -> Node:
        """Return what a hook accepts: everything where no chain of ours is in it."""
        accepted = self.policies.get(hook, self.headers.true)
        if hook in self.policies:
            for condition, accept in reversed(self.rules.get(hook, [])):
                accepted = accepted | condition if accept else accepted & ~condition
        return accepted

    def _match(self, told: Mapping[str, Any]) -> Node:
        left, right, op = told["left"], told["right"], told["op"]
        if "concat" in left:
            found, besides = self._pairs(left["concat"], right["set"])
        else:
            mask = None
            if "&" in left:
                left, bits = left["&"]
                mask = _bits(bits)
            name, besides = self._field(left)
            words = (
                right["set"]
                if isinstance(right, dict) and "set" in right
                else right
                if isinstance(right, list)
                else [right]
            )
            found = self.headers.false
            for word in words:
                found |= self._word(name, word, mask, left)
        if op in ("==", "in"):
            return besides & found
        if op == "!=":
            return besides & ~found
        raise Strange(f"operator {op}")

    def _pairs(self, lefts: list[Any], elements: list[Any]) -> tuple[Node, Node]:
        (one, first), (two, second) = map(self._field, lefts)
        found = self.headers.false
        for element in elements:
            a, b = element["concat"]
            found |= self._word(one, a, None, lefts[0]) & self._word(two, b, None, lefts[1])
        return found, first & second

    def _field(self, left: Mapping[str, Any]) -> tuple[str, Node]:
        besides = self.headers.true
        if "payload" in left:
            protocol, name = left["payload"]["protocol"], left["payload"]["field"]
            for field, value in BEFORE[protocol]:
                besides &= self.headers.equals(field, value)
            return NAMED.get((protocol, name), f"{protocol} {name}"), besides
        if "meta" in left:
            return METAS[left["meta"]["key"]], besides
        if left["ct"] == {"key": "state"}:
            return "ct state", besides
        raise Strange(str(left))

    def _word(self, name: str, word: Any, mask: int | None, left: Mapping[str, Any]) -> Node:
        if isinstance(word, str) and word.startswith("@"):
            return self.sets[word[1:], name]
        if isinstance(word, dict) and "prefix" in word:
            network = ipaddress.ip_network(f"{word['prefix']['addr']}/{word['prefix']['len']}")
            ones = int(network.netmask)
            return self.headers.equals(name, int(network.network_address), ones)
        if isinstance(word, dict) and "range" in word:
            first, last = (self._number(name, end, left) for end in word["range"])
            return self.headers.between(name, first, last)
        return self.headers.equals(name, self._number(name, word, left), mask)

    def _number(self, name: str, word: Any, left: Mapping[str, Any]) -> int:
        if name in ("iif", "oif"):
            return LINKS.get(word, 2)
        if name == "ct state":
            return STATES[word]
        if isinstance(word, str):
            if len(word) == 17 and word.count(":") == 5:
                return int(word.replace(":", ""), 16)
            return int(ipaddress.ip_address(word))
        if not isinstance(word, int) or isinstance(word, bool):
            raise Strange(f"{word} of {name}")
        if left == {"meta": {"key": "nfproto"}}:
            return NFPROTO[word]
        return LITTLE.get(word, word) if name in TYPE_FIELDS else word


def _bits(told: Any) -> int:
    """Return a mask as a number: nft 1.0 lists its bits, later ones write them as nested ``{"|": [...]}``."""
    if isinstance(told, dict) and set(told) == {"|"}:
        told = told["|"]
    if isinstance(told, list):
        return reduce(operator.or_, map(_bits, told), 0)
    if not isinstance(told, int) or isinstance(told, bool):
        raise Strange(f"{told} is no mask")
    return told
