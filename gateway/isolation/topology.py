"""Policy -> what each zone's namespace must hold: one port, its addresses and routes, kernel settings, ruleset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.isolation import ruleset
from gateway.isolation.policy import Policy, Zone
from gateway.isolation.ruleset import Ruleset

PORT = "port0"  # a zone's port is called so in its namespace, whatever the kernel called it at boot

# The host of one zone never acts as a router, and answers for the address of the port it was asked at only.
EVERYWHERE = {"net/ipv4/ip_forward": "0", "net/ipv4/icmp_echo_ignore_broadcasts": "1"}
EACH_PORT_4 = {
    "accept_redirects": "0",
    "accept_source_route": "0",
    "arp_announce": "2",
    "arp_filter": "1",
    "arp_ignore": "2",
    "forwarding": "0",
    "proxy_arp": "0",
    "rp_filter": "1",
    "secure_redirects": "0",
    "send_redirects": "0",
}
EACH_PORT_6 = {
    "accept_dad": "0",  # or any neighbour takes the box's address away by claiming it (RFC 4862 section 5.4, RFC 3756 section 4.1.3)
    "accept_ra": "0",
    "accept_redirects": "0",
    "accept_source_route": "-1",
    "autoconf": "0",
    "forwarding": "0",
}


@dataclass(frozen=True, order=True)
class Path:
    """A route: a network and the neighbour that leads there."""

    to: str
    via: str


@dataclass(frozen=True)
class Place:
    """What one namespace must hold."""

    zone: str
    mac: str
    addresses: tuple[str, ...]
    routes: tuple[Path, ...]
    settings: Mapping[str, str]  # below /proc/sys, for the whole namespace
    port_settings: Mapping[str, str]  # the same for the port
    rules: Ruleset
    rules_without_port: Ruleset


@dataclass(frozen=True)
class Link:
    """A network interface as the kernel shows it."""

    name: str
    mac: str
    kind: str = ""  # empty: hardware
    up: bool = False
    addresses: tuple[str, ...] = ()
    master: bool = False


@dataclass(frozen=True)
class Seen:
    """What one namespace holds now."""

    links: tuple[Link, ...] = ()
    routes: tuple[Path, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    rules: Ruleset = ()

    def link(self, mac: str) -> Link | None:
        """Return the link with ``mac``, or None."""
        return next((link for link in self.links if link.mac == mac), None)


def topology_of(policy: Policy) -> dict[str, Place]:
    """Return what the namespace of each zone must hold."""
    return {name: _place(policy, name, zone) for name, zone in policy.zones.items()}


def _place(policy: Policy, name: str, zone: Zone) -> Place:
    six = any(address.version == 6 for address in zone.addresses)
    return Place(
        name,
        zone.port.mac,
        tuple(sorted(str(address) for address in zone.addresses)),
        tuple(sorted(Path(str(route.to), str(route.via)) for route in zone.routes)),
        EVERYWHERE | _settings("all", six=six) | _settings("default", six=six),
        _settings(PORT, six=six),
        ruleset.compile_zone(policy, name, PORT),
        ruleset.compile_zone(policy, name, None),
    )


def _settings(port: str, *, six: bool) -> dict[str, str]:
    four = {f"net/ipv4/conf/{port}/{key}": value for key, value in EACH_PORT_4.items()}
    rest = {**EACH_PORT_6, "disable_ipv6": "0" if six else "1"}
    return four | {f"net/ipv6/conf/{port}/{key}": value for key, value in rest.items()}
