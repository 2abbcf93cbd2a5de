"""Policy -> the nftables ruleset of each zone, as libnftables JSON and packed set elements; everything that nothing allows is dropped.

Two tables a zone. ``netdev``, at the port before anything looks at a frame: only ARP for the box's own addresses and whole IP packets
from hosts of the zone to the box get in. ``inet``: only replies, the zone's services and what the box may reach. Rules are
written in the form in which the kernel lists them again, so that ``differences`` can compare (``listing.py``).

The hosts of a group that a zone uses are in one plain hash set a version, ``NAME4`` and ``NAME6``, however many services use it;
its networks are written into the rules. Before each rule that drops stands one that matches the same and samples (``limit``,
``log``), both with the reason as comment; a rule without a verdict decides nothing. A zone's pinned neighbours are anonymous sets
``address . MAC``.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as value
from typing import Any

from gateway.isolation.canonical import canonical
from gateway.isolation.groups import Hosts
from gateway.isolation.nftjson import (
    ACCEPT,
    COUNT,
    DROP,
    TABLE,
    Object,
    address_set,
    among,
    chain,
    field,
    meta,
    one_or_set,
    pair,
    rule,
    sample,
    some,
    state,
    table,
)
from gateway.isolation.policy import Policy, Zone
from gateway.isolation.words import Network, Rate

__all__ = ["ACCEPT", "COUNT", "DROP", "TABLE", "Object", "Rules", "compile_lock", "compile_zone"]

EARLY = -500  # before conntrack's defragmentation and all else
FILTER = {"type": "filter", "prio": 0, "policy": "drop"}
# Only the packet that opens a connection, or scans with other flags would make "new" connections (split handshakes, ACK and FIN scans).
OPENING: Object = {
    "match": {
        "op": "==",
        "left": {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, ["fin", "syn", "rst", "ack"]]},
        "right": "syn",
    }
}
NEIGHBOURS = ["nd-neighbor-solicit", "nd-neighbor-advert"]
MOST_HOPS = field("ip6", "hoplimit", 255)
NOT_FIRST: Object = {"&": [{"payload": {"protocol": "ip", "field": "frag-off"}}, 0x3FFF]}
# Hop by hop, routing (source routes, SRv6), fragment, authentication, destination options: no service needs them.
EXTENSIONS = [0, 43, 44, 51, 60]
UNSAMPLED = Rate(0)
TAGS = {"set": ["8021q", "8021ad"]}
UNTAGGED = field("ether", "type", TAGS, "!=")
HEADERS = {4: "ip", 6: "ip6"}
# What a sender's MAC stands beside its address in.
MAC_OF = {
    4: (("arp", "saddr ip", ("arp", "saddr ether")), ("ip", "saddr", ("ether", "saddr"))),
    6: (("ip6", "saddr", ("ether", "saddr")),),
}
WHOLE: dict[int, tuple[Object, ...]] = {
    4: (
        field("ip", "hdrlength", 5),
        {"match": {"op": "==", "left": NOT_FIRST, "right": 0}},
        field("ip", "protocol", {"set": ["icmp", "tcp", "udp"]}),
    ),
    6: (field("ip6", "nexthdr", {"set": ["ipv6-icmp", "tcp", "udp"]}),),
}


@dataclass(frozen=True)
class Rules:
    """A ruleset: objects without the elements of named sets, and (family, set) -> its elements, packed and in order."""

    objects: tuple[Object, ...] = ()
    elements: Mapping[tuple[str, str], bytes] = value(default_factory=dict)

    @functools.cached_property
    def lines(self) -> dict[str, list[str]]:
        """The objects in one form, by name (``canonical.py``)."""
        return canonical(self.objects)

    def with_elements(self, packed: Mapping[tuple[str, str], bytes]) -> Rules:
        """Return this ruleset with other elements in some sets; its objects, which stay, are not brought into one form again."""
        changed = Rules(self.objects, {**self.elements, **packed})
        if "lines" in self.__dict__:
            changed.__dict__["lines"] = self.lines
        return changed


def compile_zone(policy: Policy, zone: str, device: str | None) -> Rules:
    """Return the ruleset of ``zone`` whose port is ``device``; without a port there is nothing to guard at it."""
    objects, elements = _inet(policy, zone)
    return Rules((*(_port(policy, zone, device) if device else ()), *objects), elements)


def compile_lock() -> Rules:
    """Return the ruleset of a namespace that has no business with any network: loopback and nothing else."""
    incoming = _Chain("inet", "input", UNSAMPLED)
    incoming.add("loopback", meta("iifname", "lo"), ACCEPT)
    incoming.drop("default")
    outgoing = _Chain("inet", "output", UNSAMPLED)
    outgoing.add("loopback", meta("oifname", "lo"), ACCEPT)
    outgoing.drop("default")
    forward = _Chain("inet", "forward", UNSAMPLED)
    forward.drop("default")
    return Rules((table("inet"), *_hooks(), *incoming.rules, *outgoing.rules, *forward.rules))


class _Chain:
    """Rules of one chain, in order."""

    def __init__(self, family: str, name: str, rate: Rate) -> None:
        self.family, self.name, self.rate = family, name, rate
        self.rules: list[Object] = []

    def add(self, comment: str, *expressions: Object) -> None:
        """Append a rule."""
        self.rules.append(rule(self.family, self.name, comment, *expressions))

    def drop(self, reason: str, *matches: Object) -> None:
        """Append what samples, counts and drops."""
        sampling = sample(f"{self.name} {reason}", self.rate)
        if sampling:
            self.add(reason, *matches, *sampling)
        self.add(reason, *matches, COUNT, DROP)


def _hooks() -> list[Object]:
    return [chain("inet", hook, hook=hook, **FILTER) for hook in ("input", "output", "forward")]


def _port(policy: Policy, zone: str, device: str) -> tuple[Object, ...]:
    inside, outside = policy.senders_of(zone)
    section = policy.zones[zone]
    own: list[Network] = [ipaddress.ip_network(a.ip) for a in section.addresses]
    ingress = _Chain("netdev", "ingress", policy.log.denied)
    versions = sorted({n.version for n in own})
    for version in versions:
        for protocol, address, other in MAC_OF[version]:
            if wrong := _false_neighbour(section, version, protocol, address, other):
                ingress.drop("false neighbour", *wrong)
    if 4 in versions:
        ingress.add(
            "arp for the box",
            field("arp", "htype", 1),
            field("arp", "ptype", "ip"),
            UNTAGGED,
            *among("arp", "saddr ip", inside, 4),
            *among("arp", "saddr ip", outside, 4, op="!="),
            *among("arp", "daddr ip", own, 4),
            ACCEPT,
        )
    # What is good comes in by one rule; only what it does not let in is asked what is wrong with it.
    for version in versions:
        header = HEADERS[version]
        ingress.add(
            "whole packets",
            *among(header, "daddr", own, version),
            *WHOLE[version],
            UNTAGGED,
            *among(header, "saddr", inside, version),
            *among(header, "saddr", outside, version, op="!="),
            ACCEPT,
        )
    if 6 in versions:
        link: list[Network] = [*inside, ipaddress.ip_network("fe80::/10")] if some(inside, 6) else []
        solicits = field("icmpv6", "type", {"set": NEIGHBOURS})
        ingress.add("neighbours", solicits, MOST_HOPS, UNTAGGED, *among("ip6", "saddr", link, 6), ACCEPT)
    # Also a tag of priority alone (VLAN 0), which the kernel would take off and forget.
    ingress.drop("tagged", field("ether", "type", TAGS))
    for version in versions:
        header = HEADERS[version]
        if version == 4:
            ingress.drop("options", field("ip", "hdrlength", 5, "!="))
            ingress.drop("fragments", {"match": {"op": "!=", "left": NOT_FIRST, "right": 0}})
        if taken := among(header, "saddr", outside, version):
            ingress.drop("false sender", *taken)
        if some(inside, version):
            ingress.drop("false sender", *among(header, "saddr", inside, version, op="!="))
        ingress.drop("not for the box", *among(header, "daddr", own, version, op="!="))
        if version == 6:
            ingress.drop("extension headers", field("ip6", "nexthdr", {"set": EXTENSIONS}))
    ingress.drop("default")
    hook = chain("netdev", "ingress", type="filter", hook="ingress", dev=device, prio=EARLY, policy="drop")
    return (table("netdev"), hook, *ingress.rules)


def _false_neighbour(section: Zone, version: int, protocol: str, address: str, other: tuple[str, str]) -> list[Object]:
    """Return the match of a pinned neighbour's address with another MAC than its own; none where none is pinned."""
    pinned = {str(a): mac for a, mac in section.neighbours.items() if a.version == version}
    if not pinned:
        return []
    pairs = {"set": [{"concat": [a, mac]} for a, mac in pinned.items()]}
    return [field(protocol, address, one_or_set(list(pinned))), pair(protocol, address, other, pairs, "!=")]


def _inet(policy: Policy, zone: str) -> tuple[tuple[Object, ...], dict[tuple[str, str], bytes]]:
    six = any(a.version == 6 for a in policy.zones[zone].addresses)
    rate = policy.log.denied
    incoming, outgoing, forward = (_Chain("inet", hook, rate) for hook in ("input", "output", "forward"))
    groups = _Groups(policy)
    incoming.add("loopback", meta("iifname", "lo"), ACCEPT)
    outgoing.add("loopback", meta("oifname", "lo"), ACCEPT)
    incoming.add("replies", state("established"), ACCEPT)
    incoming.add("errors", state("related"), field("icmp", "type", "destination-unreachable"), ACCEPT)
    outgoing.add("replies", state("established"), ACCEPT)
    if six:
        errors = {"set": ["destination-unreachable", "packet-too-big"]}
        neighbours = field("icmpv6", "type", {"set": NEIGHBOURS})
        incoming.add("errors", state("related"), field("icmpv6", "type", errors), ACCEPT)
        outgoing.add("neighbours", neighbours, MOST_HOPS, ACCEPT)
    for name, service in policy.services.items():
        if service.zone == zone:
            opening = _opening(service.listen.protocol, service.listen.port)
            path = f"services.{name}"
            for matches in groups.matches("saddr", service.sources):
                # The port first: who asks at another one costs no look into a large set.
                if service.log and rate.count:
                    incoming.add(path, *opening, *matches, *sample(path, rate))
                incoming.add(path, *opening, *matches, ACCEPT)
    for name, reach in policy.reach.items():
        if reach.zone == zone:
            opening = _opening(reach.port.protocol, reach.port.port)
            for matches in groups.matches("daddr", reach.to):
                outgoing.add(f"reach.{name}", *opening, *matches, ACCEPT)
    incoming.drop("invalid", state("invalid"))
    if six:
        incoming.add("neighbours", field("icmpv6", "type", {"set": NEIGHBOURS}), MOST_HOPS, ACCEPT)
    for hook in (incoming, outgoing, forward):
        hook.drop("default")
    objects = (table("inet"), *_hooks(), *groups.sets, *incoming.rules, *outgoing.rules, *forward.rules)
    return objects, groups.elements


class _Groups:
    """The sets of the groups that a zone uses."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.sets: list[Object] = []
        self.elements: dict[tuple[str, str], bytes] = {}

    def matches(self, name: str, hosts: Hosts) -> Iterator[list[Object]]:
        """Yield the matches of an address field with ``hosts``, of which one is enough."""
        groups = {group: self.policy.group(group) for group in hosts.groups}
        networks = [*hosts.networks, *(n for group in groups.values() for n in group.ranges)]
        for header, version in (("ip", 4), ("ip6", 6)):
            chosen = [n for n in networks if n.version == version]
            everything = any(not n.prefixlen for n in chosen)
            if chosen:
                # The IP version must be told where the networks are everything.
                yield among(header, name, chosen, version) or [meta("nfproto", f"ipv{version}")]
            for group, members in groups.items():
                packed = members.hosts4 if version == 4 else members.hosts6
                if packed and not everything:
                    yield [field(header, name, f"@{self._set(f'{group}{version}', version, packed)}")]

    def _set(self, name: str, version: int, packed: bytes) -> str:
        if ("inet", name) not in self.elements:
            self.sets.append(address_set("inet", name, version))
            self.elements["inet", name] = packed
        return name


def _opening(protocol: str, port: int) -> list[Any]:
    flags = [OPENING] if protocol == "tcp" else []
    return [field(protocol, "dport", port), *flags, state("new")]
