"""One ``match`` as nft lists it (libnftables-json(5)) -> the sets of fields' values that it asks for; what is not known is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from gateway.isolation.proof import values as sets
from gateway.isolation.proof.rules import Needs
from gateway.isolation.proof.space import FIELDS, LINK_VALUES, LINKS, TCP_FLAGS
from gateway.isolation.proof.symbols import FAMILIES, PROTOCOLS, STATES, TYPES
from gateway.isolation.proof.values import Range, Values

Lookup = Callable[[str], Values]  # the name of a set -> what is in it
Object = Mapping[str, Any]


class Unknown(Exception):
    """Something that no rule of ours holds, in words."""


IP: Needs = (("protocol", sets.of(TYPES["ip"])),)
IP6: Needs = (("protocol", sets.of(TYPES["ip6"])),)
ARP: Needs = (("protocol", sets.of(TYPES["arp"])),)
WHOLE: Needs = (("transport", sets.of(0)),)


def _carried(*protocols: str) -> Needs:
    return (("l4proto", sets.of(*(PROTOCOLS[name] for name in protocols))), *WHOLE)


# (protocol, field) as listed -> the field, and what the match asks for besides, as nft adds it by itself.
PAYLOADS: Mapping[tuple[str, str], tuple[str, Needs]] = {
    ("ether", "type"): ("ether type", ()),
    ("ether", "saddr"): ("ether saddr", ()),
    ("ether", "daddr"): ("ether daddr", ()),
    **{("arp", name): (f"arp {name}", ARP) for name in ("htype", "ptype", "hlen", "plen", "operation")},
    **{("arp", name): (f"arp {name}", ARP) for name in ("saddr ip", "daddr ip", "saddr ether", "daddr ether")},
    **{("ip", name): (f"ip {name}", IP) for name in ("hdrlength", "frag-off", "ttl", "saddr", "daddr")},
    ("ip", "protocol"): ("l4proto", IP),
    **{("ip6", name): (f"ip6 {name}", IP6) for name in ("nexthdr", "hoplimit", "saddr", "daddr")},
    ("icmp", "type"): ("icmp type", (*IP, *_carried("icmp"))),
    ("icmpv6", "type"): ("icmpv6 type", (*IP6, *_carried("ipv6-icmp"))),
    **{(name, port): (port, _carried(name)) for name in ("tcp", "udp") for port in ("sport", "dport")},
    ("tcp", "flags"): ("tcp flags", _carried("tcp")),
}
METAS = {
    "protocol": "protocol",
    "nfproto": "protocol",
    "l4proto": "l4proto",
    "iif": "iif",
    "iifname": "iif",
    "oif": "oif",
    "oifname": "oif",
    "pkttype": "pkttype",
}
NEGATIVE = ("!=", "!")


def needs_of(match: Object, lookup: Lookup) -> list[Needs]:
    """Return what a match asks for: it holds where one of these does.

    Raises:
        Unknown: it holds something that no rule of ours does.
    """
    try:
        op, left, right = match["op"], match["left"], match["right"]
        if "concat" in left:
            return _together(left["concat"], op, right)
        mask = None
        if "&" in left:
            left, mask = left["&"]
        name, besides = _field(left)
        values = _values(name, op, mask, right, lookup)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unknown(f"match {match}") from error
    return [(*besides, (name, values))]


def _together(lefts: list[Object], op: str, right: Any) -> list[Needs]:
    """Return what a match of two fields together asks for: pairs written in place, or with != none of them."""
    (first, one), (second, two) = map(_field, lefts)
    pairs: dict[Range, list[Range]] = {}
    for element in right["set"]:
        (left,), (other,) = (
            ranges_of(name, word) for name, word in zip((first, second), element["concat"], strict=True)
        )
        pairs.setdefault(left, []).append(other)
    if op not in ("==", "!=") or any(one[1] >= two[0] for one, two in pairwise(sorted(pairs))):
        raise ValueError(op)
    besides: Needs = (*one, *two)
    found = []
    for left, others in pairs.items():
        there = Values(sets.merged(others))
        found.append((*besides, (first, Values((left,))), (second, there.but() if op == "!=" else there)))
    if op == "!=":
        found.append((*besides, (first, Values(sets.merged(pairs)).but())))
    return found


def _field(left: Object) -> tuple[str, Needs]:
    ((kind, body),) = left.items()
    if kind == "payload" and set(body) == {"protocol", "field"}:
        return PAYLOADS[body["protocol"], body["field"]]
    if kind == "meta" and set(body) == {"key"}:
        return METAS[body["key"]], ()
    if kind == "ct" and set(body) == {"key"} and body["key"] == "state":
        return "ct state", ()
    raise ValueError(kind)


def _values(name: str, op: str, mask: Any, right: Any, lookup: Lookup) -> Values:
    field = FIELDS[name]
    if mask is not None or (name == "tcp flags" and op in ("in", "!")):
        bits, wanted = _bits(name, right if mask is None else mask), _bits(name, right)
        if mask is None:  # any of them
            found = sets.masked(bits, 0, field.size).but()
            return found.but() if op == "!" else found
        if field.size > 1 << 16 or op not in ("==", "!="):
            raise ValueError(op)
        found = sets.masked(bits, wanted, field.size)
        return found.but() if op == "!=" else found
    if op in ("<", ">", "<=", ">="):
        border = _number(name, right)
        low, high = {"<": (0, border - 1), "<=": (0, border), ">": (border + 1, field.top), ">=": (border, field.top)}[
            op
        ]
        return Values(((low, high),) if low <= high else ())
    if op not in ("==", "in", *NEGATIVE) or (op in ("in", "!") and name != "ct state"):
        raise ValueError(op)
    named = isinstance(right, str) and right.startswith("@")
    found = lookup(right[1:]) if named else Values(sets.merged(ranges_of(name, right)))
    return found.but() if op in NEGATIVE else found


def ranges_of(name: str, right: Any) -> list[Range]:
    """Return the ranges of a field that the right side of a match, or the elements of a set, name.

    Raises:
        KeyError, TypeError, ValueError: it is written as no rule of ours is.
    """
    if isinstance(right, list):
        return [one for part in right for one in ranges_of(name, part)]
    if isinstance(right, dict):
        ((kind, body),) = right.items()
        if kind == "set":
            return ranges_of(name, body)
        if kind == "range":
            first, last = (_number(name, end) for end in body)
            return [(first, last)]
        if kind == "prefix":
            rest = FIELDS[name].bits - body["len"]
            first = _number(name, body["addr"]) >> rest << rest
            return [(first, first + (1 << rest) - 1)]
        raise ValueError(kind)
    value = _number(name, right)
    return [(value, value)]


def _number(name: str, word: Any) -> int:
    """Return the number that stands in the packet."""
    field = FIELDS[name]
    if isinstance(word, bool) or not isinstance(word, (str, int)):
        raise TypeError(word)
    if name in ("iif", "oif"):
        return LINKS.get(str(word), LINK_VALUES - 1)
    if isinstance(word, int):
        value = word
    elif field.words is not None and word in field.words:
        value = field.words[word]
    elif name == "protocol" and word in FAMILIES:
        value = FAMILIES[word]
    elif name == "ct state":
        value = STATES[word]
    elif field.bits == 48:
        value = int(word.replace(":", ""), 16)
    elif field.bits in (32, 128):
        value = sets.number(word)
    elif name == "tcp flags":
        value = TCP_FLAGS[word]
    else:
        value = int(word)
    if not 0 <= value <= field.top:
        raise ValueError(word)
    return value


def _bits(name: str, word: Any) -> int:
    """Return the bits of one flag, of a list of them, or of an or of them."""
    if isinstance(word, dict):
        (word,) = (body for kind, body in word.items() if kind == "|")
    if isinstance(word, list):
        result = 0
        for one in word:
            result |= _bits(name, one)
        return result
    return _number(name, word)
