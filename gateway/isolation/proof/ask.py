"""One question about reach, asked of a ruleset as it is listed: what an opening meets on its way, and which rule decides."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from gateway.isolation.policy import Policy
from gateway.isolation.proof import algebra, intended
from gateway.isolation.proof import values as sets
from gateway.isolation.proof.compare import HONEST
from gateway.isolation.proof.dumped import Dump
from gateway.isolation.proof.prove import read, words_of
from gateway.isolation.proof.rules import Needs, Rules, first, within
from gateway.isolation.proof.space import FIELDS
from gateway.isolation.proof.symbols import PROTOCOLS, TYPES
from gateway.isolation.question import Question
from gateway.isolation.ruleset import Rules as Ruleset


@dataclass(frozen=True)
class Answer:
    """What the live rules do: with the packets asked for, or with one of them that they let through."""

    allowed: bool
    hook: str  # where it is decided
    rule: str  # the comment of the rule that decides
    packet: Mapping[str, str]
    unknown: tuple[
        str, ...
    ] = ()  # what else stands in the ruleset and may do anything: then the answer is worth nothing


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
    last = len(lists) - 1
    stopped: list[Answer] = []
    for box in _boxes(policy, zone, asked, inward=inward):
        narrowed = [within(one, box) if place == last else one for place, one in enumerate(lists)]
        for found in algebra.search(narrowed, (_all_accept,)):
            return Answer(True, hooks[-1], found.deciders[-1].name, words_of(found.values), tuple(live.unknown))
        stopped.append(_stopped(hooks, lists, box, live.unknown))
    return stopped[0] if stopped else Answer(False, hooks[0], "", {}, tuple(live.unknown))


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
        own = [address.ip for address in policy.zones[zone].addresses if address.version == version]
        if mine.address is not None:
            own = [mine.address] if mine.address.version == version else []
        if not own or (other.address is not None and other.address.version != version):
            continue
        far, near = ("saddr", "daddr") if inward else ("daddr", "saddr")
        ends: Needs = ((f"{kind} {near}", sets.of(*map(int, own))),)
        if other.address is not None:
            ends += ((f"{kind} {far}", sets.of(int(other.address))),)
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


def _all_accept(*verdicts: Any) -> Any:
    return reduce(operator.and_, verdicts)


def _stopped(hooks: Sequence[str], lists: Sequence[Rules], box: Needs, unknown: Sequence[str]) -> Answer:
    """Return where the smallest packet of ``box`` is dropped."""
    values = {name: field.natural for name, field in FIELDS.items()}
    told = {name: next((lowest for lowest, _ in needed.ranges), 0) for name, needed in box}
    values |= {name: values[name] if values[name] in dict(box)[name] else lowest for name, lowest in told.items()}
    deciders = [first(rules, values) for rules in lists]
    place = next((place for place, rule in enumerate(deciders) if not rule.accept), len(deciders) - 1)
    return Answer(
        False, hooks[place], deciders[place].name, words_of({name: values[name] for name in told}), tuple(unknown)
    )
