"""Who has which address while a probe runs: for each zone the box, a host of it, and a neighbour that an attacker would like to be."""

from __future__ import annotations

import ipaddress
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter, ValidationError

from gateway.isolation.policy import Policy, Zone
from gateway.isolation.question import Address
from gateway.isolation.words import Network

# Where a zone has no network of an IP version, the attacks of that version still need addresses: documentation's (RFC 5737, RFC 3849).
UNUSED = {4: "198.51.100.0/24", 6: "2001:db8:6867::/48"}
MOST_TRIED = 4096  # addresses looked at for a free one


@dataclass(frozen=True)
class Side:
    """One zone as an attacker sees it."""

    zone: str
    mac: str  # of the box's port
    host_mac: str
    box4: str
    host4: str  # a host of the zone: attacks come from it, and from other zones they go to it
    neighbour4: str  # the next router, a pinned neighbour, or a free address
    broadcast4: str
    prefix4: int
    box6: str
    host6: str
    neighbour6: str
    prefix6: int
    has4: bool = True
    has6: bool = True
    pinned: tuple[str, ...] = ()  # addresses of neighbours whose MAC the policy gives
    doors: tuple[str, ...] = ()  # what the zone's services listen on, such as tcp/80


@dataclass(frozen=True)
class Scene:
    """All zones of one site, and the six random bytes that every packet of this run carries."""

    nonce: bytes
    sides: tuple[Side, ...]

    def side(self, zone: str) -> Side:
        """Return the side of a zone."""
        return next(side for side in self.sides if side.zone == zone)

    def dump(self) -> str:
        """Return it as a text that ``load`` reads."""
        return json.dumps({"nonce": self.nonce.hex(), "zones": [asdict(side) for side in self.sides]}, indent=1)


_SIDES: TypeAdapter[tuple[Side, ...]] = TypeAdapter(tuple[Side, ...])


def load(text: str) -> Scene:
    """Return the scene that ``dump`` wrote.

    Raises:
        ValueError: it is none.
    """
    try:
        told = json.loads(text)
        nonce = bytes.fromhex(told["nonce"])
        sides = _SIDES.validate_python(told["zones"])
    except (KeyError, TypeError, ValidationError) as error:
        raise ValueError(f"this is no scene of a probe: {error}") from error
    if len(nonce) != 6 or not 1 <= len(sides) <= 16:
        raise ValueError("this is no scene of a probe: its nonce has six bytes and its zones are few")
    return Scene(nonce, sides)


def scene_of(
    policy: Policy,
    nonce: bytes,
    macs: Mapping[str, str] | None = None,
    hosts: Mapping[str, tuple[str, str]] | None = None,
) -> Scene:
    """Return the scene of ``policy``; ``macs`` are the ports' where it names them by PCI address, ``hosts`` zone -> (address, MAC)."""
    sides = []
    for number, (name, zone) in enumerate(policy.zones.items()):
        mac = (macs or {}).get(name) or zone.port.mac or f"02:68:67:ff:00:{number:02x}"
        address, host_mac = (hosts or {}).get(name, ("", f"02:68:67:fe:00:{number:02x}"))
        sides.append(_side(policy, name, mac, address, host_mac, number))
    return Scene(nonce, tuple(sides))


def _side(policy: Policy, name: str, mac: str, host: str, host_mac: str, number: int) -> Side:
    zone = policy.zones[name]
    box, network = _own(zone, 4, number)
    box6, network6 = _own(zone, 6, number)
    taken = {str(a.ip) for a in zone.addresses} | {str(n) for n in zone.neighbours}
    taken |= {str(route.via) for route in zone.routes}
    given = {ipaddress.ip_address(host).version: host} if host else {}
    host4 = given.get(4) or _free(policy, name, network, taken)
    host6 = given.get(6) or _free(policy, name, network6, taken)
    taken |= {host4, host6}
    return Side(
        zone=name,
        mac=mac,
        host_mac=host_mac,
        box4=box,
        host4=host4,
        neighbour4=_neighbour(zone, 4) or _free(policy, name, network, taken),
        broadcast4=str(network.broadcast_address),
        prefix4=network.prefixlen,
        box6=box6,
        host6=host6,
        neighbour6=_neighbour(zone, 6) or _free(policy, name, network6, taken),
        prefix6=network6.prefixlen,
        has4=any(a.version == 4 for a in zone.addresses),
        has6=any(a.version == 6 for a in zone.addresses),
        pinned=tuple(str(address) for address in zone.neighbours),
        doors=tuple(sorted({str(s.listen) for s in policy.services.values() if s.zone == name})),
    )


def _own(zone: Zone, version: int, number: int) -> tuple[str, Network]:
    """Return the box's address in a zone and its network, an unused one where it has none of this version."""
    for interface in zone.addresses:
        if interface.version == version and interface.network.num_addresses > 2:
            return str(interface.ip), interface.network
    unused = ipaddress.ip_network(UNUSED[version])
    parts: Iterator[Network] = unused.subnets(new_prefix=28 if version == 4 else 64)
    part = next(itertools.islice(parts, number, None))
    own = next((str(a.ip) for a in zone.addresses if a.version == version), str(part[1]))
    return own, part


def _free(policy: Policy, zone: str, network: Network, taken: set[str]) -> str:
    """Return a host's address that nobody has; one that a service admits where there is one."""
    admitted = [
        n
        for service in policy.services.values()
        if service.zone == zone
        for n in service.sources.networks
        if n.version == network.version and n.subnet_of(network)  # type: ignore[arg-type]
    ]
    for candidates in (*admitted, network):
        for address in _last_hosts(candidates):
            own = address in (network.network_address, network.broadcast_address)
            if str(address) not in taken and not own:
                return str(address)
    return str(network[-2])


def _last_hosts(network: Network) -> Iterator[Address]:
    for step in range(min(network.num_addresses, MOST_TRIED)):
        yield network[network.num_addresses - 1 - step]


def _neighbour(zone: Zone, version: int) -> str:
    known = [*zone.neighbours, *(route.via for route in zone.routes)]
    return next((str(address) for address in known if address.version == version), "")
