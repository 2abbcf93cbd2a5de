"""Wanted against seen -> the actions that make them equal, in a safe order; no actions where they are equal.

A port enters its zone with the door shut: it is down while it moves, and goes up only after its ruleset stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway.isolation import listing, ruleset
from gateway.isolation import settings as kernel_settings
from gateway.isolation.actions import (
    HOME,
    Action,
    AddAddress,
    AddLookup,
    AddRoute,
    ChangeElements,
    DropAddress,
    DropLookup,
    DropRoute,
    LoadRules,
    MakeZone,
    MovePort,
    NamePort,
    OwnTables,
    Pin,
    RemoveZone,
    Set,
    SetDown,
    SetUp,
    Unpin,
)
from gateway.isolation.ruleset import TABLE, Rules
from gateway.isolation.topology import LOOKUPS, PORT, Link, Place, Seen

__all__ = [
    "FALLBACK",
    "HOME",
    "Action",
    "AddAddress",
    "AddLookup",
    "AddRoute",
    "ChangeElements",
    "DropAddress",
    "DropLookup",
    "DropRoute",
    "LoadRules",
    "MakeZone",
    "MovePort",
    "NamePort",
    "OwnTables",
    "Pin",
    "RemoveZone",
    "Set",
    "SetDown",
    "SetUp",
    "Unpin",
    "missing_ports",
    "reconcile",
]

# Devices that the kernel puts into each namespace by itself; they are harmless while down.
FALLBACK = frozenset({"ipip", "sit", "gre", "gretap", "erspan", "ip6tnl", "ip6gre", "ip6gretap", "vti", "vti6"})


def missing_ports(wanted: Mapping[str, Place], seen: Mapping[str, Seen]) -> dict[str, str]:
    """Return zone -> sentence for each zone whose port is nowhere, in doubt, or another card than the policy says."""
    links = [link for space in seen.values() for link in space.links]
    told = {}
    for zone, place in wanted.items():
        port = place.port
        found = [link.name for link in links if link.is_port(port)]
        if len(found) == 1:
            continue
        known_by = " and ".join(
            [*([f"the MAC {port.mac}"] if port.mac else []), *([f"the PCI address {port.pci}"] if port.pci else [])]
        )
        if found:
            told[zone] = f"more than one link ({', '.join(found)}) has {known_by}"
        else:
            told[zone] = _swapped(place, links) or f"no link has {known_by}"
    return told


def _swapped(place: Place, links: list[Link]) -> str:
    """Return in words which cards have what the policy says of one, where it says two things; empty where none has either."""
    port = place.port
    if not (port.mac and port.pci):
        return ""
    by_mac = next((link for link in links if link.mac == port.mac), None)
    by_pci = next((link for link in links if link.pci == port.pci), None)
    told = []
    if by_mac is not None:
        told.append(f"the MAC {port.mac} is on {by_mac.name} at {by_mac.pci or 'no PCI address'}")
    if by_pci is not None:
        told.append(f"at {port.pci} is {by_pci.name} with the MAC {by_pci.mac}")
    return f"{', and '.join(told)}: were cards swapped?" if told else ""


def reconcile(wanted: Mapping[str, Place], seen: Mapping[str, Seen]) -> list[Action]:
    """Return the actions that bring the namespaces ``seen`` (the home under ``HOME``) to ``wanted``."""
    absent = missing_ports(wanted, seen)
    actions: list[Action] = [*_rules(HOME, ruleset.compile_lock(), seen.get(HOME, Seen()))]
    for zone, place in wanted.items():
        space = seen.get(zone, Seen())
        if zone not in seen:
            actions += [MakeZone(zone), SetUp(zone, "lo")]
        actions += _settings(zone, place.settings, space)
        actions += _lookups(zone, space)
        if zone in absent or space.link(place.port) is None:  # the door is shut before a port comes in
            actions += _rules(zone, place.rules_without_port, space)
    homes = {zone: place for zone, place in wanted.items() if zone not in absent}
    for zone, space in seen.items():
        for link in space.links:
            actions += _link(zone, link, homes, wanted)
    actions += [RemoveZone(zone) for zone in seen if zone != HOME and zone not in wanted]
    for zone, place in homes.items():
        link = next(link for space in seen.values() for link in space.links if link.is_port(place.port))
        actions += _port(place, seen.get(zone, Seen()), link)
    return actions


def _link(zone: str, link: Link, homes: Mapping[str, Place], wanted: Mapping[str, Place]) -> Iterator[Action]:
    """Yield what to do with a link because of where it is."""
    target = next((name for name, place in homes.items() if link.is_port(place.port)), HOME)
    if link.name == "lo":
        if not link.up and (zone == HOME or zone in wanted):
            yield SetUp(zone, "lo")
        if zone in wanted:
            yield from (DropAddress(zone, address, "lo") for address in link.addresses)
    elif link.kind in FALLBACK:
        if link.up:
            yield SetDown(zone, link.name)
    elif target != zone:
        yield MovePort(link.name, link.mac, zone, target)
    elif zone == HOME and link.up:
        yield SetDown(zone, link.name)


def _port(place: Place, space: Seen, anywhere: Link) -> Iterator[Action]:
    """Yield what brings a zone's port, which is in the zone by now, to what is wanted."""
    link = space.link(place.port) or Link("", anywhere.mac)
    if link.name != PORT:
        yield NamePort(place.zone, anywhere.mac)
    yield from _settings(place.zone, place.port_settings, space)
    # Rules come back without those at the port where the port is not in yet.
    known = space if link.name == PORT else Seen(rules=space.rules, tables=space.tables, can_own=space.can_own)
    yield from _rules(place.zone, place.rules, known)
    yield from (DropAddress(place.zone, a) for a in link.addresses if a not in place.addresses)
    yield from (AddAddress(place.zone, a) for a in place.addresses if a not in link.addresses)
    if not link.up:
        yield SetUp(place.zone, PORT)
    # A link that was down has neither.
    routes = space.routes if link.up else ()
    yield from (DropRoute(place.zone, route) for route in routes if route not in place.routes)
    yield from (AddRoute(place.zone, route) for route in place.routes if route not in routes)
    neighbours = space.neighbours if link.up else ()
    pinned = {(entry.address, entry.link, entry.proxy) for entry in place.neighbours}
    yield from (Unpin(place.zone, n) for n in neighbours if (n.address, n.link, n.proxy) not in pinned)
    yield from (Pin(place.zone, n) for n in place.neighbours if n not in neighbours)


def _settings(zone: str, settings: Mapping[str, str], space: Seen) -> Iterator[Action]:
    for key, value in settings.items():
        found = space.settings.get(key)
        # Of those that not every kernel has, one that was read differs; of the others, one that is not there too.
        if found != value and not (found is None and kernel_settings.may_lack(key)):
            yield Set(zone, key, value)


def _lookups(zone: str, space: Seen) -> Iterator[Action]:
    yield from (AddLookup(zone, one) for one in LOOKUPS if one not in space.lookups)
    yield from (DropLookup(zone, one) for one in space.lookups if one not in LOOKUPS)


def _rules(zone: str, rules: Rules, space: Seen) -> Iterator[Action]:
    why = listing.structure(rules, space.rules)
    orphans = [t for t in space.tables if t.name == TABLE and t.owner == 0] if space.can_own else []
    if not why and any(not table.persists for table in orphans):
        why = ["our tables were made without an owner"]
    if why:
        yield LoadRules(zone, rules, tuple(listing.foreign_tables(space.rules)), tuple(why))
        return
    if orphans:
        yield OwnTables(zone)
    if changes := listing.changes(rules, space.rules):
        yield ChangeElements(zone, changes)
