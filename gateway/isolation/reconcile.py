"""Wanted against seen -> the actions that make them equal, in a safe order; no actions where they are equal.

A port enters its zone with the door shut: it is down while it moves, and goes up only after its ruleset stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.isolation import listing, ruleset
from gateway.isolation.ruleset import Ruleset
from gateway.isolation.topology import PORT, Link, Path, Place, Seen

HOME = ""  # the name of the namespace in which ports begin
# Devices that the kernel puts into each namespace by itself; they are harmless while down.
FALLBACK = frozenset({"ipip", "sit", "gre", "gretap", "erspan", "ip6tnl", "ip6gre", "ip6gretap", "vti", "vti6"})


@dataclass(frozen=True)
class MakeZone:
    """Make the namespace of a zone."""

    zone: str

    def __str__(self) -> str:
        return f"make zone {self.zone}"


@dataclass(frozen=True)
class RemoveZone:
    """Remove the namespace of a zone that the policy does not have; its ports were taken out before."""

    zone: str

    def __str__(self) -> str:
        return f"remove zone {self.zone}"


@dataclass(frozen=True)
class MovePort:
    """Set a link down and bring it, under a passing name, from one namespace into another."""

    link: str
    mac: str
    source: str
    target: str

    def __str__(self) -> str:
        return f"move port {self.link} ({self.mac}) from {self.source or 'home'} to {self.target or 'home'}"


@dataclass(frozen=True)
class NamePort:
    """Give the link with this MAC its name in the zone."""

    zone: str
    mac: str

    def __str__(self) -> str:
        return f"{self.zone}: name port {self.mac} {PORT}"


@dataclass(frozen=True)
class SetDown:
    """Set a link down that has no business in the zone and cannot leave it."""

    zone: str
    link: str

    def __str__(self) -> str:
        return f"{self.zone or 'home'}: set {self.link} down"


@dataclass(frozen=True)
class SetUp:
    """Set a link up."""

    zone: str
    link: str

    def __str__(self) -> str:
        return f"{self.zone or 'home'}: set {self.link} up"


@dataclass(frozen=True)
class Set:
    """Write a kernel setting below /proc/sys."""

    zone: str
    key: str
    value: str

    def __str__(self) -> str:
        return f"{self.zone or 'home'}: {self.key.replace('/', '.')} = {self.value}"


@dataclass(frozen=True)
class LoadRules:
    """Put a ruleset in place of what is there, in one transaction."""

    zone: str
    rules: Ruleset
    foreign: tuple[tuple[str, str], ...] = ()
    why: tuple[str, ...] = ()

    def __str__(self) -> str:
        rules = sum("rule" in part for part in self.rules)
        besides = f", remove {', '.join(' '.join(t) for t in self.foreign)}" if self.foreign else ""
        return f"{self.zone or 'home'}: load ruleset ({rules} rules){besides}"


@dataclass(frozen=True)
class AddAddress:
    """Give the port an address."""

    zone: str
    address: str

    def __str__(self) -> str:
        return f"{self.zone}: add address {self.address}"


@dataclass(frozen=True)
class DropAddress:
    """Take an address from the port."""

    zone: str
    address: str

    def __str__(self) -> str:
        return f"{self.zone}: remove address {self.address}"


@dataclass(frozen=True)
class AddRoute:
    """Add a route."""

    zone: str
    route: Path

    def __str__(self) -> str:
        return f"{self.zone}: add route {self.route.to} via {self.route.via}"


@dataclass(frozen=True)
class DropRoute:
    """Remove a route."""

    zone: str
    route: Path

    def __str__(self) -> str:
        return f"{self.zone}: remove route {self.route.to} via {self.route.via or 'the link'}"


Action = (
    MakeZone
    | RemoveZone
    | MovePort
    | NamePort
    | SetDown
    | SetUp
    | Set
    | LoadRules
    | AddAddress
    | DropAddress
    | AddRoute
    | DropRoute
)


def missing_ports(wanted: Mapping[str, Place], seen: Mapping[str, Seen]) -> dict[str, str]:
    """Return zone -> sentence for each zone whose port is nowhere, or whose MAC more than one link carries."""
    told = {}
    for zone, place in wanted.items():
        found = [
            name for space in seen.values() for name in (link.name for link in space.links if link.mac == place.mac)
        ]
        if len(found) != 1:
            count = "no link" if not found else f"more than one link ({', '.join(found)})"
            told[zone] = f"{count} has the MAC {place.mac}"
    return told


def reconcile(wanted: Mapping[str, Place], seen: Mapping[str, Seen]) -> list[Action]:
    """Return the actions that bring the namespaces ``seen`` (the home under ``HOME``) to ``wanted``."""
    absent = missing_ports(wanted, seen)
    homes = {place.mac: zone for zone, place in wanted.items() if zone not in absent}
    actions: list[Action] = [*_rules(HOME, ruleset.compile_lock(), seen.get(HOME, Seen()))]
    for zone, place in wanted.items():
        space = seen.get(zone, Seen())
        if zone not in seen:
            actions += [MakeZone(zone), SetUp(zone, "lo")]
        actions += _settings(zone, place.settings, space)
        if space.link(place.mac) is None:  # the door is shut before a port comes in
            actions += _rules(zone, place.rules_without_port, space)
    for zone, space in seen.items():
        for link in space.links:
            actions += _link(zone, link, homes, wanted)
    actions += [RemoveZone(zone) for zone in seen if zone != HOME and zone not in wanted]
    for zone, place in wanted.items():
        if zone not in absent:
            actions += _port(place, seen.get(zone, Seen()))
    return actions


def _link(zone: str, link: Link, homes: Mapping[str, str], wanted: Mapping[str, Place]) -> Iterator[Action]:
    """Yield what to do with a link because of where it is."""
    target = homes.get(link.mac, HOME)
    if link.name == "lo":
        if not link.up and (zone == HOME or zone in wanted):
            yield SetUp(zone, "lo")
    elif link.kind in FALLBACK:
        if link.up:
            yield SetDown(zone, link.name)
    elif target != zone:
        yield MovePort(link.name, link.mac, zone, target)
    elif zone == HOME and link.up:
        yield SetDown(zone, link.name)


def _port(place: Place, space: Seen) -> Iterator[Action]:
    """Yield what brings a zone's port, which is in the zone by now, to what is wanted."""
    link = space.link(place.mac) or Link("", place.mac)
    if link.name != PORT:
        yield NamePort(place.zone, place.mac)
    yield from _settings(place.zone, place.port_settings, space)
    # Rules come back without those at the port where the port is not in yet.
    yield from _rules(place.zone, place.rules, space if link.name == PORT else Seen(rules=space.rules))
    yield from (DropAddress(place.zone, a) for a in link.addresses if a not in place.addresses)
    yield from (AddAddress(place.zone, a) for a in place.addresses if a not in link.addresses)
    if not link.up:
        yield SetUp(place.zone, PORT)
    routes = space.routes if link.up else ()
    yield from (DropRoute(place.zone, route) for route in routes if route not in place.routes)
    yield from (AddRoute(place.zone, route) for route in place.routes if route not in routes)


def _settings(zone: str, settings: Mapping[str, str], space: Seen) -> Iterator[Action]:
    yield from (Set(zone, key, value) for key, value in settings.items() if space.settings.get(key) != value)


def _rules(zone: str, rules: Ruleset, space: Seen) -> Iterator[Action]:
    why = listing.differences(rules, space.rules)
    if why:
        yield LoadRules(zone, rules, tuple(listing.foreign_tables(space.rules)), tuple(why))
