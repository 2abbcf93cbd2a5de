"""A rich policy, its rulesets, ways to change one by stealth, and a tiny judge of single packets that shares nothing with the proof."""

from __future__ import annotations

import copy
import ipaddress
import json
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import pytest

from gateway.isolation import policy, ruleset
from gateway.isolation.policy import Policy
from gateway.isolation.ruleset import Rules

RICH = """\
site: rich
groups:
  subscribers: [10.20.0.50, 10.20.0.128/25, 10.20.0.60, "fd20::50"]
zones:
  management: {port: "02:68:67:28:00:0b", addresses: [10.40.0.11/24]}
  culture:
    port: "02:68:67:0a:00:0b"
    addresses: [10.10.0.11/24]
    routes: [{to: 10.11.0.0/16, via: 10.10.0.1}, {to: 0.0.0.0/0, via: 10.10.0.1}]
    neighbours: {10.10.0.1: "02:aa:00:00:00:01", 10.10.0.20: "02:aa:00:00:00:14"}
  bigscreen:
    port: "02:68:67:14:00:0b"
    addresses: [10.20.0.11/24, "fd20::11/64"]
    neighbours: {10.20.0.1: "02:aa:00:00:00:02", "fd20::1": "02:aa:00:00:00:02"}
services:
  delivery:  {zone: bigscreen,  run: delivery,  listen: tcp/80,   from: [10.20.0.0/24, "fd20::/64"]}
  resolver:  {zone: bigscreen,  run: resolver,  listen: tcp/8080, from: ["@subscribers", 10.20.0.7], log: true}
  time:      {zone: bigscreen,  run: chrony,    listen: udp/123,  from: [10.20.0.0/24]}
  ssh:       {zone: management, run: ssh,       listen: tcp/22,   from: [10.40.0.0/24]}
  far:       {zone: culture,    run: nginx,     listen: tcp/443,  from: [10.11.4.0/22]}
reach:
  origin:    {zone: culture,    run: fetch,     to: [10.10.0.20, 10.10.0.21], port: tcp/80}
  names:     {zone: management, run: dns,       to: [10.40.0.16/28], port: udp/53}
never:
  - {from: bigscreen, to: management}
"""
STATES = ("new", "established", "related", "invalid", "untracked")
FLAGS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128}
NUMBERS = {
    "lo": 0, "port0": 1, "hopopt": 0, "icmp": 1, "tcp": 6, "udp": 17, "ipv6-icmp": 58,
    "ip": 0x0800, "arp": 0x0806, "ip6": 0x86DD, "8021q": 0x8100, "8021ad": 0x88A8, "ipv4": 0x0800, "ipv6": 0x86DD,
    "nd-neighbor-solicit": 135, "nd-neighbor-advert": 136,
}  # fmt: skip
TYPES = {
    "icmp": {"echo-reply": 0, "destination-unreachable": 3, "echo-request": 8},
    "icmpv6": {
        "echo-request": 128,
        "destination-unreachable": 1,
        "packet-too-big": 2,
        "nd-neighbor-solicit": 135,
        "nd-neighbor-advert": 136,
    },
}
# What a packet has where its description says nothing.
ORDINARY = {
    "ether type": "ip", "ether header": "ip", "iif": "port0", "oif": "port0", "ct state": "new", "hdrlength": "5", "frag-off": "0",
    "nexthdr": "tcp", "proto": "tcp", "icmp type": "echo-request", "icmpv6 type": "128", "sport": "40000", "dport": "0", "tcp flags": "syn",
    "hoplimit": "64", "arp htype": "1", "arp ptype": "ip", "ether saddr": "02:00:00:00:00:01", "arp saddr ether": "02:00:00:00:00:01",
    "arp saddr": "0.0.0.0", "arp daddr": "0.0.0.0", "saddr": "", "daddr": "", "transport header": "whole",
}  # fmt: skip
NAMES = {
    "saddr ip": "arp saddr",
    "daddr ip": "arp daddr",
    "htype": "arp htype",
    "ptype": "arp ptype",
    "protocol": "proto",
}


def judge(rules: Rules, chain: str, fields: Mapping[str, str]) -> str:
    """Return what the first rule of a chain that matches one packet does with it."""
    packet = {**ORDINARY, **fields}
    if not packet["saddr"] or not packet["daddr"]:
        nobody = "::" if packet["ether type"] == "ip6" else "0.0.0.0"
        packet |= {name: packet[name] or nobody for name in ("saddr", "daddr")}
    for part in rules.objects:
        body = part.get("rule", {})
        if body.get("chain") == chain and all(
            _holds(rules, body["family"], e["match"], packet) for e in body["expr"] if "match" in e
        ):
            verdicts = [kind for e in body["expr"] for kind in e if kind in ("accept", "drop")]
            if verdicts:
                return verdicts[0]
    return "drop"


def _holds(rules: Rules, family: str, match: Any, packet: Mapping[str, str]) -> bool:
    left, right, op = match["left"], match["right"], match["op"]
    if "concat" in left:
        pair = [_value(one, packet) for one in left["concat"]]
        if None in pair:
            return False
        found = any([_number(a), _number(b)] == pair for a, b in (e["concat"] for e in right["set"]))
        return found == (op == "==")
    mask = None
    if "&" in left:
        left, bits = left["&"]
        mask = bits if isinstance(bits, int) else sum(FLAGS[flag] for flag in bits)
    value = _value(left, packet)
    if value is None:
        return False
    if mask is not None:
        wanted = FLAGS.get(right, right)
        return (value & mask == wanted) == (op == "==")
    if isinstance(right, str) and right.startswith("@"):
        found = value in _elements(rules, family, right[1:])
    else:
        kind = left.get("payload", {}).get("protocol", "")
        found = any(_in(value, one, TYPES.get(kind, {})) for one in _listed(right))
    return found == (op in ("==", "in"))


def _value(left: Any, packet: Mapping[str, str]) -> int | None:
    """Return a field of the packet; None where the packet does not have it."""
    if "ct" in left:
        return STATES.index(packet["ct state"])
    if "meta" in left:
        key = {
            "iifname": "iif",
            "oifname": "oif",
            "protocol": "ether type",
            "nfproto": "ether type",
            "l4proto": "proto",
        }[left["meta"]["key"]]
        return _number(packet[key])
    protocol, name = left["payload"]["protocol"], left["payload"]["field"]
    if protocol == "ether":
        return _number(packet["ether header" if name == "type" else f"ether {name}"])
    carried = {"tcp": ("tcp",), "udp": ("udp",), "icmp": ("icmp",), "icmpv6": ("ipv6-icmp",)}.get(protocol)
    below = {"ip": "ip", "icmp": "ip", "ip6": "ip6", "icmpv6": "ip6", "arp": "arp"}.get(protocol)
    if (below and packet["ether type"] != below) or (carried and packet["proto"] not in carried):
        return None
    if carried and packet["transport header"] != "whole":
        return None
    if protocol == "tcp" and name == "flags":
        return sum(FLAGS[flag] for flag in packet["tcp flags"].split("+") if flag != "none")
    if protocol in TYPES and name == "type":
        word = packet[f"{protocol} type"]
        return TYPES[protocol].get(word) if word in TYPES[protocol] else int(word.removeprefix("other (").rstrip(")"))
    if protocol == "arp":
        return _number(packet[NAMES.get(name, f"arp {name}")])
    return _number(packet[NAMES.get(name, name)])


def _number(word: Any) -> int:
    if isinstance(word, int):
        return word
    if word in NUMBERS:
        return NUMBERS[word]
    if word.startswith("other ("):
        return int(word[7:-1])
    if word.count(":") == 5 and len(word) == 17:
        return int(word.replace(":", ""), 16)
    return int(word) if word.isdigit() else int(ipaddress.ip_address(word))


def _listed(right: Any) -> list[Any]:
    if isinstance(right, dict) and "set" in right:
        return list(right["set"])
    return right if isinstance(right, list) else [right]


def _in(value: int, one: Any, words: Mapping[str, int]) -> bool:
    if isinstance(one, dict) and "prefix" in one:
        network = ipaddress.ip_network(f"{one['prefix']['addr']}/{one['prefix']['len']}", strict=False)
        return int(network.network_address) <= value <= int(network.broadcast_address)
    if isinstance(one, dict) and "range" in one:
        first, last = map(_number, one["range"])
        return first <= value <= last
    if isinstance(one, str) and one in STATES:
        return value == STATES.index(one)
    return value == words.get(one, None) if one in words else value == _number(one)


def _elements(rules: Rules, family: str, name: str) -> set[int]:
    data = rules.elements.get((family, name), b"")
    (kind,) = (part["set"]["type"] for part in rules.objects if part.get("set", {}).get("name") == name)
    size = 4 if kind == "ipv4_addr" else 16
    return {int.from_bytes(data[at : at + size], "big") for at in range(0, len(data), size)}


@pytest.fixture
def rich() -> Policy:
    """Return the rich policy."""
    return policy.parse(RICH.encode(), "rich.yaml")


@pytest.fixture
def rich_text() -> str:
    """Return its text."""
    return RICH


@pytest.fixture
def judged() -> Callable[[Rules, str, Mapping[str, str]], str]:
    """Return the tiny judge."""
    return judge


@pytest.fixture
def compiled(rich: Policy) -> Callable[[str], Rules]:
    """Return the compiled ruleset of a zone, copied so that a test may change it."""
    return lambda zone: copy.deepcopy(ruleset.compile_zone(rich, zone, "port0"))


def mutations(rules: Rules) -> Iterator[tuple[str, Rules]]:
    """Yield rulesets that differ from ``rules`` in one place each, with what was done."""
    parts = list(rules.objects)
    rule_places = [place for place, part in enumerate(parts) if "rule" in part]

    def put(place: int, *new: Any) -> Rules:
        return Rules((*parts[:place], *new, *parts[place + 1 :]), rules.elements)

    for place in rule_places:
        body = parts[place]["rule"]
        name = f"{body['chain']} {body['comment']} ({place})"
        yield f"drop {name}", put(place)
        for number, expression in enumerate(body["expr"]):
            rest = [e for index, e in enumerate(body["expr"]) if index != number]
            if "match" in expression:
                yield f"drop match {number} of {name}", put(place, {"rule": {**body, "expr": rest}})
                for words, changed in _changed(expression["match"]):
                    new = [*body["expr"][:number], {"match": changed}, *body["expr"][number + 1 :]]
                    yield f"{words} in {name}", put(place, {"rule": {**body, "expr": new}})
            elif "accept" in expression or "drop" in expression:
                other = {"drop": None} if "accept" in expression else {"accept": None}
                yield f"turn the verdict of {name}", put(place, {"rule": {**body, "expr": [*rest, other]}})
    for one, two in pairwise(rule_places):
        swapped = list(parts)
        swapped[one], swapped[two] = swapped[two], swapped[one]
        yield f"swap rules {one} and {two}", Rules(tuple(swapped), rules.elements)
    for name, data in rules.elements.items():
        size = 4 if name[1].endswith("4") else 16
        last = (int.from_bytes(data[-size:], "big") + 1).to_bytes(size, "big")
        yield f"add an element to {name[1]}", Rules(rules.objects, {**rules.elements, name: data + last})
        yield f"lose an element of {name[1]}", Rules(rules.objects, {**rules.elements, name: data[size:]})


def _changed(match: Any) -> Iterator[tuple[str, Any]]:
    """Yield the match with one thing changed."""
    turned = {"==": "!=", "!=": "==", "in": "!="}[match["op"]]
    yield "turn the operator", {**match, "op": turned}
    right = match["right"]
    if isinstance(right, int):
        yield "another number", {**match, "right": right ^ 1}
    if isinstance(right, dict) and "set" in right and "concat" not in match["left"]:
        yield "a smaller set", {**match, "right": {"set": right["set"][1:]}}
    if isinstance(right, dict) and "prefix" in right:
        for words, longer in (("half the network", 1), ("twice the network", -1)):
            told = f"{right['prefix']['addr']}/{right['prefix']['len'] + longer}"
            network = ipaddress.ip_network(told, strict=False)
            yield (
                words,
                {**match, "right": {"prefix": {"addr": str(network.network_address), "len": network.prefixlen}}},
            )


@pytest.fixture
def mutated() -> Callable[[Rules], Iterator[tuple[str, Rules]]]:
    """Return what makes the changed rulesets."""
    return mutations


WORDS = {
    **NUMBERS, **FLAGS, "new": 8, "established": 2, "related": 4, "invalid": 1, "untracked": 64,
    "ip": 8, "arp": 1544, "8021q": 129, "8021ad": 43144, "ipv4": 2, "ipv6": 10,
}  # fmt: skip


def numeric(rules: Rules) -> str:
    """Return a ruleset as ``nft -n -j list ruleset`` prints it: types of packets in the machine's order, states as bits."""

    def plain(value: Any, kind: str = "") -> Any:
        if isinstance(value, dict):
            if value.keys() & {"payload", "meta", "ct"}:
                return value
            kind = value.get("left", {}).get("payload", {}).get("protocol", kind)
            return {key: plain(inner, kind) for key, inner in value.items()}
        if isinstance(value, list):
            return [plain(inner, kind) for inner in value]
        return (
            TYPES.get(kind, WORDS).get(value, WORDS.get(value, value))
            if isinstance(value, str) and value not in ("lo", "port0")
            else value
        )

    parts: list[Any] = [{"metainfo": {"version": "1.0.6"}}]
    for part in rules.objects:
        if "set" in part:
            found = sorted(_elements(rules, "inet", part["set"]["name"]))
            kind = ipaddress.IPv4Address if part["set"]["type"] == "ipv4_addr" else ipaddress.IPv6Address
            parts.append({"set": {**part["set"], "handle": 1, "elem": [str(kind(value)) for value in found]}})
        elif "rule" in part:
            expressions = [{"match": plain(e["match"])} if "match" in e else e for e in part["rule"]["expr"]]
            parts.append({"rule": {**part["rule"], "expr": expressions}})
        else:
            parts.append(part)
    return json.dumps({"nftables": parts})


@pytest.fixture
def listing() -> Callable[[Rules], str]:
    """Return what writes a ruleset as nft's numeric listing."""
    return numeric
