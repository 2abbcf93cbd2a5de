"""Two policies -> for which openings of connections the answer differs, over all packets: exact boxes, not samples."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Literal

from gateway.isolation.policy import Policy
from gateway.isolation.proof import algebra, intended
from gateway.isolation.proof import values as sets
from gateway.isolation.proof.rules import NOTHING, Needs, Rules, within
from gateway.isolation.proof.space import FIELDS, LINKS
from gateway.isolation.proof.symbols import PROTOCOLS, STATES, TYPES
from gateway.isolation.proof.values import Range
from gateway.isolation.topology import PORT

TRANSPORTS = ("tcp", "udp")
# What an honest host's first packet of a connection looks like beside its addresses and ports.
HONEST: Needs = (
    ("iif", sets.of(LINKS[PORT])),
    ("oif", sets.of(LINKS[PORT])),
    ("ct state", sets.of(STATES["new"])),
    ("pkttype", sets.of(0)),
    ("ether type", intended.TAGS.but()),
    ("ip hdrlength", sets.of(5)),
    ("ip frag-off", sets.of(0)),
    ("ip6 nexthdr", intended.CARRIED[6]),
    ("transport", sets.of(0)),
    ("tcp flags", sets.of(2)),
)


@dataclass(frozen=True)
class Reach:
    """Openings that one policy lets through and the other does not: each of ``addresses`` to or from each of ``ports``."""

    verb: Literal["gains", "loses"]
    zone: str
    hook: Literal["input", "output"]  # of the zone's hosts to the box, or of the box to hosts of the zone
    version: Literal[4, 6]
    protocol: str
    ports: tuple[Range, ...]
    addresses: tuple[Range, ...]  # the hosts'
    own: tuple[Range, ...] = ()  # the box's, for ``input``


def compare(old: Policy, new: Policy) -> list[Reach]:
    """Return what hosts and the box can open under ``new`` and not under ``old``, and the other way round; losses first."""
    found = []
    for zone in dict.fromkeys((*old.zones, *new.zones)):
        for hook, reader in (("input", _inward), ("output", _outward)):
            found += _merged(_differing(reader(old, zone), reader(new, zone), zone, hook))
    return sorted(found, key=lambda one: one.verb != "loses")


def _inward(policy: Policy, zone: str) -> tuple[Rules, ...]:
    if zone not in policy.zones:
        return NOTHING, NOTHING
    hooks = intended.of_zone(policy, zone, PORT).hooks
    return hooks["ingress"], within(hooks["input"], HONEST)


def _outward(policy: Policy, zone: str) -> tuple[Rules, ...]:
    return (
        (within(intended.of_zone(policy, zone, PORT).hooks["output"], HONEST),) if zone in policy.zones else (NOTHING,)
    )


def _differing(old: tuple[Rules, ...], new: tuple[Rules, ...], zone: str, hook: str) -> Iterator[Reach]:
    for version, kind in ((4, "ip"), (6, "ip6")):
        for protocol in TRANSPORTS:
            box: Needs = (("protocol", sets.of(TYPES[kind])), ("l4proto", sets.of(PROTOCOLS[protocol])))
            lists = [(*before, within(last, box)) for *before, last in (old, new)]
            half = len(lists[0])
            questions = (_both(half, operator.gt), _both(half, operator.lt))
            for found in algebra.search([*lists[0], *lists[1]], questions, whole=True):
                sides = [_of(found.ranges, name) for name in (f"{kind} saddr", f"{kind} daddr", "dport")]
                hosts, own = sides[:2] if hook == "input" else (sides[1], ())
                verb = ("loses", "gains")[found.question]
                yield Reach(verb, zone, hook, version, protocol, sides[2], hosts, own)  # type: ignore[arg-type]


def _both(half: int, differs: algebra.Question) -> algebra.Question:
    """Return the question whether all of the first ``half`` of verdicts accept and not all of the second, or the other way round."""

    def ask(*verdicts: Any) -> Any:
        return differs(reduce(operator.and_, verdicts[:half]), reduce(operator.and_, verdicts[half:]))

    return ask


def _of(ranges: Mapping[str, tuple[Range, ...]], name: str) -> tuple[Range, ...]:
    return ranges.get(name, ((0, FIELDS[name].top),))


def _merged(found: Iterable[Reach]) -> list[Reach]:
    """Return the same with equal boxes side by side as one: first their addresses, then the box's own, then their ports."""
    result = list(found)
    for field in ("addresses", "own", "ports"):
        joined: dict[Reach, list[Range]] = {}
        for one in result:
            joined.setdefault(_with(one, field, ()), []).extend(getattr(one, field))
        result = [_with(one, field, sets.merged(ranges)) for one, ranges in joined.items()]
    return result


def _with(one: Reach, field: str, ranges: tuple[Range, ...]) -> Reach:
    return replace(one, **{field: ranges})  # type: ignore[arg-type]
