"""Policy -> which packets each hook must accept, straight from what the policy means; not through the compiler, whose faults this shows.

Only accepting rules, so that their order means nothing; whatever none of them accepts is dropped.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from appliance.runtime.config import Key
from gateway.isolation.groups import Hosts
from gateway.isolation.policy import Policy
from gateway.isolation.proof import values as sets
from gateway.isolation.proof.matches import ARP, IP, IP6, WHOLE, Object
from gateway.isolation.proof.rules import NOTHING, Needs, Rule, Rules
from gateway.isolation.proof.space import LINKS
from gateway.isolation.proof.symbols import ICMP, ICMP6, PROTOCOLS, STATES, TYPES
from gateway.isolation.proof.values import Values
from gateway.isolation.words import Listen, Network

LINK_LOCAL = ipaddress.ip_network("fe80::/10")
OPENING_FLAGS, OPENING = 0b00010111, 0b00000010  # of fin, syn, rst and ack a connection's first segment has syn alone
NO_FRAGMENT = 0x3FFF  # "more fragments" and the offset (RFC 791); "don't fragment" does not matter
CARRIED = {
    4: sets.of(PROTOCOLS["icmp"], PROTOCOLS["tcp"], PROTOCOLS["udp"]),
    6: sets.of(58, PROTOCOLS["tcp"], PROTOCOLS["udp"]),
}
KIND = {4: IP, 6: IP6}
TAGS = sets.of(TYPES["8021q"], TYPES["8021ad"])
UNTAGGED: Needs = (("ether type", TAGS.but()),)
NAME = {4: "ip", 6: "ip6"}


@dataclass(frozen=True)
class Intended:
    """The base chains that there must be, and what each hook must accept."""

    chains: Mapping[tuple[str, str], Object]
    hooks: Mapping[str, Rules]


def of_zone(policy: Policy, zone: str, device: str | None) -> Intended:
    """Return what the namespace of ``zone`` must do with packets; ``device`` is its port, if that is in."""
    hooks = {
        "input": (*_loopback("iif"), *_common(policy, zone, "input"), *_services(policy, zone), *NOTHING),
        "output": (*_loopback("oif"), *_common(policy, zone, "output"), *_reaches(policy, zone), *NOTHING),
        "forward": NOTHING,
    }
    chains = dict(_FILTERS)
    if device:
        chains["netdev", "ingress"] = {
            "type": "filter", "hook": "ingress", "dev": device, "prio": -500, "policy": "drop"
        }  # fmt: skip
        hooks["ingress"] = (*_port(policy, zone), *NOTHING)
    return Intended(chains, hooks)


def of_lock() -> Intended:
    """Return what a namespace must do that has no business with any network."""
    return Intended(
        _FILTERS,
        {
            "input": (*_loopback("iif"), *NOTHING),
            "output": (*_loopback("oif"), *NOTHING),
            "forward": NOTHING,
        },
    )


_FILTERS: Mapping[tuple[str, str], Object] = {
    ("inet", hook): {"type": "filter", "hook": hook, "prio": 0, "policy": "drop"}
    for hook in ("input", "output", "forward")
}


def _loopback(field: str) -> Rules:
    return (
        Rule(True, ((field, sets.of(LINKS["lo"])),), "loopback", "the box reaches itself over loopback", ("zones",)),
    )


def _common(policy: Policy, zone: str, hook: str) -> Rules:
    """Return what is accepted in every zone: replies, the errors that belong to connections, and in IPv6 neighbours."""
    home: Key = ("zones", zone)
    found = [Rule(True, _state("established"), "replies", "it belongs to a connection that was let in or out", home)]
    errors = (("icmp type", sets.of(ICMP["destination-unreachable"])), ("l4proto", sets.of(PROTOCOLS["icmp"])))
    why = "it tells of an error of a connection that was let in or out"
    if hook == "input":
        found.append(Rule(True, (*_state("related"), *IP, *errors, *WHOLE), "errors", why, home))
    if any(address.version == 6 for address in policy.zones[zone].addresses):
        known = sets.of(ICMP6["destination-unreachable"], ICMP6["packet-too-big"])
        if hook == "input":
            found.append(Rule(True, (*_state("related"), *_icmp6(known)), "errors", why, home))
        asked = _icmp6(sets.of(ICMP6["nd-neighbor-solicit"], ICMP6["nd-neighbor-advert"]))
        fresh = (("ct state", sets.of(STATES["invalid"]).but()),) if hook == "input" else ()
        found.append(
            Rule(
                True,
                (*asked, ("ip6 hoplimit", sets.of(255)), *fresh),
                "neighbours",
                "neighbours find each other's MAC",
                home,
            )
        )
    return tuple(found)


def _icmp6(types: Values) -> Needs:
    return (*IP6, ("l4proto", sets.of(PROTOCOLS["ipv6-icmp"])), *WHOLE, ("icmpv6 type", types))


def _state(name: str) -> Needs:
    return (("ct state", sets.of(STATES[name])),)


def _services(policy: Policy, zone: str) -> Iterable[Rule]:
    for name, service in policy.services.items():
        if service.zone == zone:
            why = f"service '{name}' ({service.run}) answers {service.listen} for {service.sources}"
            yield from _openings(policy, "saddr", service.sources, service.listen, why, ("services", name))


def _reaches(policy: Policy, zone: str) -> Iterable[Rule]:
    for name, reach in policy.reach.items():
        if reach.zone == zone:
            why = f"reach '{name}' lets {reach.run} open {reach.port} at {reach.to}"
            yield from _openings(policy, "daddr", reach.to, reach.port, why, ("reach", name))


def _openings(policy: Policy, field: str, hosts: Hosts, port: Listen, why: str, path: Key) -> Iterable[Rule]:
    opening: Needs = (
        ("l4proto", sets.of(PROTOCOLS[port.protocol])),
        *WHOLE,
        ("dport", sets.of(port.port)),
        *_state("new"),
    )
    if port.protocol == "tcp":
        opening += (("tcp flags", sets.masked(OPENING_FLAGS, OPENING, 256)),)
    for version in (4, 6):
        among = hosts_of(policy, hosts, version)
        if among.ranges or among.packed:
            yield Rule(
                True,
                (*KIND[version], (f"{NAME[version]} {field}", among), *opening),
                ".".join(map(str, path)),
                why,
                path,
            )


def hosts_of(policy: Policy, hosts: Hosts, version: int) -> Values:
    """Return the addresses of one IP version that a list of the policy holds."""
    networks, packed = [*hosts.networks], []
    for name in hosts.groups:
        group = policy.group(name)
        networks += group.ranges
        packed.append(group.hosts4 if version == 4 else group.hosts6)
    return sets.of_networks(networks, version, [data for data in packed if data])


def _port(policy: Policy, zone: str) -> Iterable[Rule]:
    """Yield what may come in at the port: ARP for the box, neighbours, and whole packets of its hosts to the box."""
    home: Key = ("zones", zone, "addresses")
    own = [ipaddress.ip_network(address.ip) for address in policy.zones[zone].addresses]
    inside, outside = policy.senders_of(zone)
    for version in (4, 6):
        targets = sets.of_networks(own, version)
        if not targets.ranges:
            continue
        senders = less(sets.of_networks(inside, version), sets.of_networks(outside, version))
        pinned = {int(a): mac for a, mac in policy.zones[zone].neighbours.items() if a.version == version}
        ip = NAME[version]
        to_box: Needs = (*UNTAGGED, *KIND[version], (f"{ip} daddr", targets))
        why = f"a whole packet from a host of '{zone}' to the box"
        if version == 4:
            asks: Needs = (
                *UNTAGGED,
                *ARP,
                ("arp htype", sets.of(1)),
                ("arp ptype", sets.of(TYPES["ip"])),
                ("arp daddr ip", targets),
            )
            told = f"a host of '{zone}' asks for the box's MAC"
            for one in _pinned(senders, pinned, "arp saddr ip", "arp saddr ether"):
                yield Rule(True, (*asks, *one), "arp for the box", told, home)
            shape: Needs = (("ip hdrlength", sets.of(5)), ("ip frag-off", sets.masked(NO_FRAGMENT, 0, 1 << 16)))
            shape += (("l4proto", CARRIED[4]),)
        else:
            near = (
                sets.of_networks([*inside, LINK_LOCAL], 6)
                if _leaves_out(inside, 6)
                else sets.of_ranges([(0, (1 << 128) - 1)])
            )
            asked = _icmp6(sets.of(ICMP6["nd-neighbor-solicit"], ICMP6["nd-neighbor-advert"]))
            told = f"a host of '{zone}' and the box find each other's MAC"
            for one in _pinned(near, pinned, "ip6 saddr", "ether saddr"):
                yield Rule(True, (*UNTAGGED, *asked, ("ip6 hoplimit", sets.of(255)), *one), "neighbours", told, home)
            shape = (("ip6 nexthdr", CARRIED[6]),)
        for one in _pinned(senders, pinned, f"{ip} saddr", "ether saddr"):
            yield Rule(True, (*to_box, *shape, *one), "whole packets", why, home)


def _pinned(senders: Values, pinned: Mapping[int, str], address: str, mac: str) -> Iterable[Needs]:
    """Yield ``senders`` with their MACs: any that is pinned with its own alone."""
    by_mac: dict[int, list[int]] = {}
    for one, told in pinned.items():
        if one in senders:
            by_mac.setdefault(int(told.replace(":", ""), 16), []).append(one)
    yield ((address, less(senders, sets.of(*pinned))),)
    for number, addresses in by_mac.items():
        yield ((address, sets.of(*addresses)), (mac, sets.of(number)))


def _leaves_out(networks: Iterable[Network], version: int) -> bool:
    return all(network.prefixlen for network in networks if network.version == version)


def less(values: Values, lost: Values) -> Values:
    """Return the values, none of them packed, that are not ``lost``."""
    left = []
    for first, last in values.ranges:
        for begin, end in lost.ranges:
            if end < first or begin > last:
                continue
            if begin > first:
                left.append((first, begin - 1))
            first = end + 1  # noqa: PLW2901 (what is left of it)
        if first <= last:
            left.append((first, last))
    return Values(tuple(left))
