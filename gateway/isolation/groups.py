"""Names for many addresses, packed so that 100,000 of them are small and quickly searched; and the lists that use the names."""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gateway.isolation.question import Address
from gateway.isolation.words import Network


@dataclass(frozen=True)
class Group:
    """A set of addresses: single hosts packed in order, and a few networks."""

    hosts4: bytes = b""  # sorted, unique, 4 bytes each, big-endian
    hosts6: bytes = b""  # the same, 16 bytes each
    ranges: tuple[Network, ...] = ()  # sorted, unique, of more than one address
    repeated: tuple[int, ...] = field(default=(), compare=False)  # entries, from 0, that stand there a second time

    def __contains__(self, address: Address) -> bool:
        packed, size = (self.hosts4, 4) if address.version == 4 else (self.hosts6, 16)
        key = address.packed
        if _nth(packed, size, self.place(packed, key) - 1) == key:
            return True
        return any(address.version == n.version and address in n for n in self.ranges)

    def __len__(self) -> int:
        """Return how many entries it has: hosts and networks."""
        return len(self.hosts4) // 4 + len(self.hosts6) // 16 + len(self.ranges)

    @staticmethod
    def place(packed: bytes, key: bytes) -> int:
        """Return how many of the hosts ``packed`` come before ``key``, or are it."""
        size = len(key)
        return bisect_right(range(len(packed) // size), key, key=lambda place: _nth(packed, size, place))

    def networks(self) -> Iterator[Network]:
        """Yield every entry as a network, the hosts first; for small uses."""
        for start in range(0, len(self.hosts4), 4):
            yield ipaddress.IPv4Network(self.hosts4[start : start + 4])
        for start in range(0, len(self.hosts6), 16):
            yield ipaddress.IPv6Network(self.hosts6[start : start + 16])
        yield from self.ranges

    def hosts_in(self, network: Network) -> int:
        """Return how many single hosts are in ``network``."""
        packed = self.hosts4 if network.version == 4 else self.hosts6
        first, last = network.network_address.packed, network.broadcast_address.packed
        before = self.place(packed, first)
        return self.place(packed, last) - before + (_nth(packed, len(first), before - 1) == first)

    def holds(self, network: Network) -> bool:
        """Return whether every address of ``network`` is in one entry."""
        if network.prefixlen == network.max_prefixlen:
            return network.network_address in self
        return any(_within(network, own) for own in self.ranges)

    def holds_all(self, other: Group) -> bool:
        """Return whether every entry of ``other`` is in one entry."""
        if not all(self.holds(network) for network in other.ranges):
            return False
        for packed, size in ((other.hosts4, 4), (other.hosts6, 16)):
            own = self.hosts4 if size == 4 else self.hosts6
            if packed != own and not _keys(packed, size) <= _keys(own, size):
                rest = b"".join(sorted(_keys(packed, size) - _keys(own, size)))
                left = Group(hosts4=rest) if size == 4 else Group(hosts6=rest)
                if left.outside(self.ranges) is not None:
                    return False
        return True

    def outside(self, networks: Iterable[Network]) -> Network | None:
        """Return the first entry that is in none of ``networks``, or None."""
        inside = list(networks)
        for version, packed, size in ((4, self.hosts4, 4), (6, self.hosts6, 16)):
            own = [n for n in inside if n.version == version]
            place, count = 0, len(packed) // size
            for network in ipaddress.collapse_addresses(own):  # type: ignore[type-var]
                if _nth(packed, size, place) < network.network_address.packed:
                    break
                place = self.place(packed, network.broadcast_address.packed)
            if place < count:
                return ipaddress.ip_network(_nth(packed, size, place))
        return next((r for r in self.ranges if not any(_within(r, n) for n in inside)), None)


@dataclass(frozen=True)
class Hosts:
    """A list of addresses as it is written: networks, and names of groups."""

    written: tuple[Network | str, ...]

    @property
    def networks(self) -> tuple[Network, ...]:
        """What is written in place; a single host is a network of one address."""
        return tuple(one for one in self.written if not isinstance(one, str))

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the groups."""
        return tuple(one for one in self.written if isinstance(one, str))

    def words(self) -> list[str]:
        """Return the entries as they are written: ``@subscribers``, ``10.20.0.7``, ``10.20.0.0/24``."""
        return [f"@{one}" if isinstance(one, str) else word_of(one) for one in self.written]

    def __str__(self) -> str:
        shown = self.words()
        return ", ".join(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "")


def word_of(network: Network) -> str:
    """Return a network as people write it: a single host without its prefix."""
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def pack(networks: Iterable[Network], repeated: tuple[int, ...] = ()) -> Group:
    """Return the group of ``networks``."""
    hosts: dict[int, set[bytes]] = {4: set(), 6: set()}
    ranges: set[Network] = set()
    for network in networks:
        if network.prefixlen == network.max_prefixlen:
            hosts[network.version].add(network.network_address.packed)
        else:
            ranges.add(network)
    return Group(b"".join(sorted(hosts[4])), b"".join(sorted(hosts[6])), ordered(ranges), repeated)


def ordered(networks: Iterable[Network]) -> tuple[Network, ...]:
    """Return networks of both versions in order."""
    return tuple(sorted(networks, key=lambda n: (n.version, n.network_address.packed, n.prefixlen)))


def _keys(packed: bytes, size: int) -> set[bytes]:
    return {packed[start : start + size] for start in range(0, len(packed), size)}


def _nth(packed: bytes, size: int, place: int) -> bytes:
    return packed[place * size : (place + 1) * size] if place >= 0 else b""


def _within(one: Network, other: Network) -> bool:
    return one.version == other.version and one.subnet_of(other)  # type: ignore[arg-type]
