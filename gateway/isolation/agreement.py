"""Does the proof over all packets find exactly the differences between two policies that ``changes.py`` tells?

Both sides are brought into one form: for each opening (zone, direction, protocol, port, the box's own address) the hosts' addresses.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.isolation import spans
from gateway.isolation.policy import Policy
from gateway.isolation.proof import compare
from gateway.isolation.question import Address
from gateway.isolation.spans import Span, Spans

Verb = Literal["gains", "loses"]


@dataclass(frozen=True, order=True)
class Packets:
    """Packets that open a connection, from or to any of some addresses."""

    verb: Verb
    zone: str
    hook: str
    version: int
    protocol: str
    port: int
    own: int  # the box's address; 0 where the box opens


Openings = Mapping[Packets, list[Span]]


def proven(old: Policy, new: Policy) -> tuple[bool, int]:
    """Return whether the proof finds the same differences between two policies as the words tell, and between how many kinds of packets.

    Of a neighbour whose MAC is pinned otherwise, packets of some MACs pass and others do not: the words tell so, and it is left out here.
    """
    told = {**_differing(new, old, "gains"), **_differing(old, new, "loses")}
    pins = _pins(old, new)
    one, other = _without(told, pins), _without(_found(old, new), pins)
    return one == other, len(one)


def _pins(old: Policy, new: Policy) -> Mapping[str, frozenset[Address]]:
    """Return by zone the neighbours that are not pinned alike."""
    before, after = ({name: zone.neighbours.items() for name, zone in policy.zones.items()} for policy in (old, new))
    return {
        name: frozenset(address for address, _ in before.get(name, {}.items()) ^ after.get(name, {}.items()))
        for name in before.keys() | after.keys()
    }


def _without(openings: Openings, pins: Mapping[str, frozenset[Address]]) -> Openings:
    rest = {}
    for kind, found in openings.items():
        pinned = Spans(kind.version)
        if kind.hook == "input":
            pinned.add(ipaddress.ip_network(address) for address in pins.get(kind.zone, ()))
        left = Spans(kind.version, frozenset(), found).less(pinned)
        if left:
            rest[kind] = left
    return rest


def _differing(one: Policy, other: Policy, verb: Verb) -> dict[Packets, list[Span]]:
    mine, theirs = (dict(_granted(policy, verb)) for policy in (one, other))
    found = {}
    for packets, hosts in mine.items():
        rest = hosts.less(theirs.get(packets, Spans(packets.version)))
        if rest:
            found[packets] = rest
    return found


def _granted(policy: Policy, verb: Verb) -> Iterator[tuple[Packets, Spans]]:
    """Yield what a policy lets through: what it grants, to those who can be senders at the zone's port."""
    found: dict[Packets, Spans] = {}
    for service in policy.services.values():
        _, outside = policy.senders_of(service.zone)
        for own in policy.zones[service.zone].addresses:
            kind = Packets(
                verb, service.zone, "input", own.version, service.listen.protocol, service.listen.port, int(own.ip)
            )
            hosts, false = Spans(own.version), Spans(own.version)
            hosts.add(service.sources.networks, [policy.group(name) for name in service.sources.groups])
            false.add(outside)
            found[kind] = Spans(own.version, frozenset(), hosts.less(false))
    for reach in policy.reach.values():
        for version in (4, 6):
            kind = Packets(verb, reach.zone, "output", version, reach.port.protocol, reach.port.port, 0)
            hosts = found.setdefault(kind, Spans(version))
            hosts.add(reach.to.networks, [policy.group(name) for name in reach.to.groups])
    yield from found.items()


def _found(old: Policy, new: Policy) -> Openings:
    """Return what the proof finds."""
    found: dict[Packets, list[Span]] = {}
    for one in compare.compare(old, new):
        policy = new if one.verb == "gains" else old
        own = [a.ip for a in policy.zones[one.zone].addresses if a.version == one.version]
        boxes = [int(ip) for ip in own if _among(one.own, int(ip))] if one.hook == "input" else [0]
        for port in (number for first, last in one.ports for number in range(first, last + 1)):
            for box in boxes:
                kind = Packets(one.verb, one.zone, one.hook, one.version, one.protocol, port, box)
                found.setdefault(kind, []).extend(one.addresses)
    return {kind: spans.joined(addresses) for kind, addresses in found.items()}


def _among(ranges: Iterable[Span], number: int) -> bool:
    return any(first <= number <= last for first, last in ranges)
