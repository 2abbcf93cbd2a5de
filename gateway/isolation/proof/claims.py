"""Policy -> sentences about a ruleset that an auditor can read, each with the packets of which it speaks; the solver proves them.

Written from the policy by themselves, not from ``intended.py``: whoever believes these needs to believe nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.isolation.policy import Policy
from gateway.isolation.proof import values as sets
from gateway.isolation.proof.rules import Needs
from gateway.isolation.proof.space import LINKS
from gateway.isolation.proof.symbols import PROTOCOLS, STATES, TYPES
from gateway.isolation.proof.values import Values

IP, IP6, ARP = (("protocol", sets.of(TYPES[name])) for name in ("ip", "ip6", "arp"))
DISCOVERY: Needs = (IP6, ("l4proto", sets.of(58)), ("icmpv6 type", sets.of(135, 136)), ("ip6 hoplimit", sets.of(255)))
ERRORS: tuple[Needs, ...] = (
    (IP, ("l4proto", sets.of(1)), ("icmp type", sets.of(3))),
    (IP6, ("l4proto", sets.of(58)), ("icmpv6 type", sets.of(1, 2))),
)


@dataclass(frozen=True)
class Claim:
    """Of the packets with ``about``, those that the hook accepts are all among ``only``."""

    hook: str
    says: str
    about: Needs
    only: tuple[Needs, ...]


def of_zone(policy: Policy, zone: str, device: str | None) -> list[Claim]:
    """Return what must hold in the namespace of ``zone``."""
    opened = tuple(_services(policy, zone))
    reached = tuple(_reaches(policy, zone))
    six = any(address.version == 6 for address in policy.zones[zone].addresses)
    near = (DISCOVERY,) if six else ()
    outside, away = ("iif", sets.of(LINKS["lo"]).but()), ("oif", sets.of(LINKS["lo"]).but())
    found = [
        Claim("forward", "nothing is forwarded", (), ()),
        Claim(
            "input",
            "a connection is opened to a service of the policy alone, by its hosts",
            (outside, _state("new")),
            opened + near,
        ),
        Claim("input", "what belongs to no connection is not let in", (outside, _state("invalid")), ()),
        Claim("input", "what is not tracked is not let in", (outside, _state("untracked")), near),
        Claim(
            "input",
            "of what tells of a connection, errors alone are let in",
            (outside, _state("related")),
            ERRORS + near,
        ),
        Claim("output", "the box opens what the policy names alone", (away, _state("new")), reached + near),
        Claim(
            "output",
            "else the box sends replies alone",
            (away, ("ct state", sets.of(STATES["new"], STATES["established"]).but())),
            near,
        ),
    ]
    return [*found, *(_port(policy, zone) if device else ())]


def of_lock() -> list[Claim]:
    """Return what must hold in the initial namespace."""
    return [
        Claim("forward", "nothing is forwarded", (), ()),
        Claim("input", "nothing comes in", (("iif", sets.of(LINKS["lo"]).but()),), ()),
        Claim("output", "nothing goes out", (("oif", sets.of(LINKS["lo"]).but()),), ()),
    ]


def _state(name: str) -> tuple[str, Values]:
    return "ct state", sets.of(STATES[name])


def _services(policy: Policy, zone: str) -> Iterator[Needs]:
    for service in policy.services.values():
        if service.zone == zone:
            port: Needs = (
                ("l4proto", sets.of(PROTOCOLS[service.listen.protocol])),
                ("dport", sets.of(service.listen.port)),
            )
            for name in service.sources.groups:
                group = policy.group(name)
                yield (*port, IP, ("ip saddr", sets.of_networks(group.ranges, 4, [group.hosts4])))
                yield (*port, IP6, ("ip6 saddr", sets.of_networks(group.ranges, 6, [group.hosts6])))
            yield (*port, IP, ("ip saddr", sets.of_networks(service.sources.networks, 4)))
            yield (*port, IP6, ("ip6 saddr", sets.of_networks(service.sources.networks, 6)))


def _reaches(policy: Policy, zone: str) -> Iterator[Needs]:
    for reach in policy.reach.values():
        if reach.zone == zone:
            port: Needs = (("l4proto", sets.of(PROTOCOLS[reach.port.protocol])), ("dport", sets.of(reach.port.port)))
            for name in reach.to.groups:
                group = policy.group(name)
                yield (*port, IP, ("ip daddr", sets.of_networks(group.ranges, 4, [group.hosts4])))
                yield (*port, IP6, ("ip6 daddr", sets.of_networks(group.ranges, 6, [group.hosts6])))
            yield (*port, IP, ("ip daddr", sets.of_networks(reach.to.networks, 4)))
            yield (*port, IP6, ("ip6 daddr", sets.of_networks(reach.to.networks, 6)))


def _port(policy: Policy, zone: str) -> Iterator[Claim]:
    section = policy.zones[zone]
    own = {version: sets.of(*(int(a.ip) for a in section.addresses if a.version == version)) for version in (4, 6)}
    inside, _ = policy.senders_of(zone)
    senders = {version: sets.of_networks(inside, version) for version in (4, 6)}
    targets: tuple[Needs, ...] = (
        (ARP, ("arp daddr ip", own[4])),
        (IP, ("ip daddr", own[4])),
        (IP6, ("ip6 daddr", own[6])),
        DISCOVERY,
    )
    whole: Needs = (("ip hdrlength", sets.of(5)), ("ip frag-off", sets.of(0, 0x4000, 0x8000, 0xC000)))
    yield Claim("ingress", "what comes in is meant for the box", (), targets)
    yield Claim("ingress", "what comes in from IPv4 hosts is of the zone's", (IP,), ((("ip saddr", senders[4]),),))
    yield Claim("ingress", "no IPv4 packet comes in from the box's own address", (IP, ("ip saddr", own[4])), ())
    yield Claim("ingress", "IPv4 comes in without options and fragments", (IP,), (whole,))
    yield Claim("ingress", "nothing with a VLAN tag comes in", (("ether type", sets.of(0x8100, 0x88A8)),), ())
    yield Claim(
        "ingress", "what comes in from IPv6 hosts is of the zone's", (IP6,), ((("ip6 saddr", senders[6]),), DISCOVERY)
    )
    for version, (kind, name) in {4: (IP, "ip saddr"), 6: (IP6, "ip6 saddr")}.items():
        pinned = {int(address): mac for address, mac in section.neighbours.items() if address.version == version}
        if pinned:
            pairs = tuple(
                ((name, sets.of(address)), ("ether saddr", sets.of(int(mac.replace(":", ""), 16))))
                for address, mac in pinned.items()
            )
            yield Claim(
                "ingress",
                f"pinned IPv{version} neighbours come in from their own MACs alone",
                (kind, (name, sets.of(*pinned))),
                pairs,
            )
