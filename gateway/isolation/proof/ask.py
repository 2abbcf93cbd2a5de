"""One question about reach, asked of a ruleset as it is listed: what an opening meets on its way, and which rule decides."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from gateway.isolation.policy import Policy
from gateway.isolation.proof import algebra, intended
from gateway.isolation.proof import values as sets
from gateway.isolation.proof.compare import HONEST
from gateway.isolation.proof.dumped import Dump
from gateway.isolation.proof.prove import read, words_of
from gateway.isolation.proof.rules import NOTHING, Needs, Rule
from gateway.isolation.proof.symbols import PROTOCOLS, TYPES
from gateway.isolation.proof.values import Values
from gateway.isolation.question import End, Question
from gateway.isolation.ruleset import Rules as Ruleset


@dataclass(frozen=True)
class Answer:
    """What the live rules do: with the packets asked for, or with one of them that they let through."""

    allowed: bool
    hook: str  # where it is decided
    rule: str  # the comment of the rule that decides
    packet: Mapping[str, str]
    unknown: tuple[str, ...] = ()  # what else stands there and may do anything: then the answer is worth nothing


def ask(policy: Policy, device: str | None, rules: Mapping[str, Ruleset | Dump], asked: Question) -> Answer:
    """Return what the ``rules`` of each zone do with an opening; ``policy`` tells the box's addresses alone.

    Raises:
        KeyError: the box has no such zone.
    """
    inward = asked.source.zone is not None
    zone = asked.source.zone or asked.target.zone or ""
    wanted = intended.of_zone(policy, zone, device)
    live = read(rules[zone], wanted)
    hooks = _way(asked, inward=inward, port="ingress" in live.hooks)
    lists = [live.hooks[hook] for hook in hooks]
    boxes = [(Rule(True, box), *NOTHING) for box in _boxes(policy, zone, asked, inward=inward)]
    # Let through by all hooks; else stopped as late as any of these packets is.
    for count, question in ((len(lists), _all_accept), *((count, _last_drops) for count in range(len(lists), 0, -1))):
        for box in boxes:
            for found in algebra.search((box, *lists[:count]), (question,)):
                rule = found.deciders[-1]
                return Answer(rule.accept, hooks[count - 1], rule.name, words_of(found.values), tuple(live.unknown))
    return Answer(False, hooks[0], "", {}, tuple(live.unknown))


def _way(asked: Question, *, inward: bool, port: bool) -> list[str]:
    """Return the hooks that the opening passes."""
    if not inward:
        return ["output"]
    through = asked.target.zone is not None and asked.target.zone != asked.source.zone
    return [*(["ingress"] if port else []), "forward" if through else "input"]


def _boxes(policy: Policy, zone: str, asked: Question, *, inward: bool) -> Iterator[Needs]:
    """Yield the packets that are asked for: one box for each IP version, transport and address that comes into question."""
    mine, other = (asked.target, asked.source) if inward else (asked.source, asked.target)
    transports = (asked.protocol,) if asked.protocol else ("tcp", "udp", "icmp")
    for version, kind in ((4, "ip"), (6, "ip6")):
        here, there = _addresses(policy, zone, mine, version), _addresses(policy, zone, other, version)
        if not here.ranges or not there.ranges:
            continue
        far, near = ("saddr", "daddr") if inward else ("daddr", "saddr")
        ends: Needs = ((f"{kind} {near}", here), (f"{kind} {far}", there))
        if asked.port is not None:
            ends += (("dport", sets.of(asked.port)),)
        for transport in transports:
            name = "ipv6-icmp" if (transport, version) == ("icmp", 6) else transport
            echo = (
                ((("icmp type", sets.of(8)) if version == 4 else ("icmpv6 type", sets.of(128))),)
                if transport == "icmp"
                else ()
            )
            yield (*HONEST, ("protocol", sets.of(TYPES[kind])), ("l4proto", sets.of(PROTOCOLS[name])), *echo, *ends)


def _addresses(policy: Policy, zone: str, end: End, version: int) -> Values:
    """Return the addresses of an end: the box's own in ``zone``, or, of a zone, those of its networks that are not the box's."""
    if end.address is not None:
        return sets.of(int(end.address)) if end.address.version == version else Values()
    own = sets.of(*(int(a.ip) for a in policy.zones[zone].addresses if a.version == version))
    if end.zone is None or end.zone not in policy.zones:
        return own
    return intended.less(sets.of_networks(policy.zones[end.zone].networks, version), own)


def _all_accept(*verdicts: Any) -> Any:
    return reduce(operator.and_, verdicts)


def _last_drops(*verdicts: Any) -> Any:
    return reduce(operator.and_, verdicts[:-1]) & (verdicts[-1] ^ True)
