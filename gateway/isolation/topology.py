"""Policy -> what each zone's namespace must hold: one port, its addresses, routes and neighbours, kernel settings, ruleset."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.isolation import ruleset, settings
from gateway.isolation.nfnl.requests import Table
from gateway.isolation.policy import Policy, Zone
from gateway.isolation.ruleset import Rules
from gateway.isolation.words import Port

PORT = "port0"  # a zone's port is called so in its namespace, whatever the kernel called it at boot
MAIN, LOCAL, DEFAULT = 254, 255, 253  # routing tables
LOOPBACK = ("127.0.0.1/8", "::1/128")


@dataclass(frozen=True, order=True)
class Path:
    """A route: a network and the neighbour that leads there; in which table, and of which kind if it is no ordinary one."""

    to: str
    via: str
    table: int = MAIN
    kind: str = ""

    def __str__(self) -> str:
        rest = f"{' ' + self.kind if self.kind else ''}{f' in table {self.table}' if self.table != MAIN else ''}"
        return f"{self.to} via {self.via or 'the link'}{rest}"


@dataclass(frozen=True, order=True)
class Neighbour:
    """An entry that the kernel does not learn but was told: an address and its MAC; a proxy answers for another host."""

    address: str
    mac: str
    link: str = PORT
    proxy: bool = False

    def __str__(self) -> str:
        return f"{self.address} {'by proxy' if self.proxy else f'at {self.mac}'} on {self.link}"


@dataclass(frozen=True, order=True)
class Lookup:
    """A rule of routing (``ip rule``): in which table packets are looked up; ``what`` names all it says besides."""

    version: int
    priority: int
    table: int
    what: str = ""

    def __str__(self) -> str:
        return f"IPv{self.version} rule {self.priority} to table {self.table}{f' ({self.what})' if self.what else ''}"


LOOKUPS = (
    Lookup(4, 0, LOCAL),
    Lookup(4, 32766, MAIN),
    Lookup(4, 32767, DEFAULT),
    Lookup(6, 0, LOCAL),
    Lookup(6, 32766, MAIN),
)


@dataclass(frozen=True)
class Place:
    """What one namespace must hold."""

    zone: str
    port: Port
    addresses: tuple[str, ...]
    routes: tuple[Path, ...]
    settings: Mapping[str, str]  # below /proc/sys, for the whole namespace
    port_settings: Mapping[str, str]  # the same for the port
    rules: Rules
    rules_without_port: Rules
    neighbours: tuple[Neighbour, ...] = ()

    @property
    def mac(self) -> str:
        """The MAC that the policy knows the port by; empty if it does not."""
        return self.port.mac


@dataclass(frozen=True)
class Link:
    """A network interface as the kernel shows it."""

    name: str
    mac: str
    kind: str = ""  # empty: hardware
    up: bool = False
    addresses: tuple[str, ...] = ()
    master: bool = False
    pci: str = ""
    netnsid: int | None = None  # the number that the namespace of its other end has here

    def is_port(self, port: Port) -> bool:
        """Return whether it is the one that the policy means, by all that the policy says of it."""
        return (not port.mac or self.mac == port.mac) and (not port.pci or self.pci == port.pci) and bool(str(port))


@dataclass(frozen=True)
class Seen:
    """What one namespace holds now."""

    links: tuple[Link, ...] = ()
    routes: tuple[Path, ...] = ()  # but for those that follow from the addresses
    settings: Mapping[str, str] = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)
    neighbours: tuple[Neighbour, ...] = ()
    lookups: tuple[Lookup, ...] = LOOKUPS
    tables: tuple[Table, ...] = ()  # of nftables, with their owners
    generation: int = 0  # of the ruleset
    can_own: bool = False  # the kernel knows owned tables that outlive their owner

    def link(self, port: Port) -> Link | None:
        """Return the link that is ``port``, or None."""
        return next((link for link in self.links if link.is_port(port)), None)


_last: list[tuple[Policy, dict[str, Place]]] = []


def topology_of(policy: Policy) -> dict[str, Place]:
    """Return what the namespace of each zone must hold."""
    if not (_last and _last[0][0] is policy):  # the guard asks each second for the same
        _last[:] = [(policy, {name: _place(policy, name, zone) for name, zone in policy.zones.items()})]
    return dict(_last[0][1])


@functools.lru_cache(maxsize=4096)  # the same routes are looked at each second
def follows(to: str, kind: str, table: int, via: str, addresses: tuple[str, ...]) -> bool:
    """Return whether a route is one that the kernel makes by itself for the ``addresses`` of a namespace."""
    if via:
        return False
    network = ipaddress.ip_network(to)
    interfaces = [ipaddress.ip_interface(address) for address in (*LOOPBACK, *addresses)]
    own = {ipaddress.ip_network(i.ip) for i in interfaces}
    networks = {i.network for i in interfaces} | {ipaddress.ip_network("fe80::/64")}
    if kind in ("local", "anycast"):
        ends = {ipaddress.ip_network(n.network_address) for n in networks if n.version == 6}
        return table == LOCAL and (network in own | ends or network == ipaddress.ip_network("127.0.0.0/8"))
    if kind == "broadcast":
        ends = {ipaddress.ip_network(end) for n in networks for end in (n.network_address, n.broadcast_address)}
        return table == LOCAL and network in ends
    if kind == "multicast":
        return table == LOCAL and network == ipaddress.ip_network("ff00::/8")
    return kind == "" and table == MAIN and network in networks


def _place(policy: Policy, name: str, zone: Zone) -> Place:
    six = any(address.version == 6 for address in zone.addresses)
    return Place(
        name,
        zone.port,
        tuple(sorted(str(address) for address in zone.addresses)),
        tuple(sorted(Path(str(route.to), str(route.via)) for route in zone.routes)),
        settings.everywhere(six=six),
        settings.of_port(PORT, six=six),
        ruleset.compile_zone(policy, name, PORT),
        ruleset.compile_zone(policy, name, None),
        tuple(sorted(Neighbour(str(address), mac) for address, mac in zone.neighbours.items())),
    )
