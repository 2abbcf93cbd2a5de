"""Sets of a field's values: a few ranges, and many single values packed as the kernel lists them."""

from __future__ import annotations

import ipaddress
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from gateway.isolation.words import Network

FEW = 512  # packed values up to which they are taken as ranges
Range = tuple[int, int]


@dataclass(frozen=True)
class Values:
    """The values in ``ranges`` (apart and in order) or in one of ``packed``; with ``inverted``, all others."""

    ranges: tuple[Range, ...] = ()
    packed: tuple[bytes, ...] = ()  # each sorted, ``width`` bytes a value, big-endian
    width: int = 4
    inverted: bool = False

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.ranges, self.packed, self.inverted))

    def __contains__(self, value: int) -> bool:
        place = bisect_right(self.ranges, (value, 1 << 128)) - 1
        found = place >= 0 and self.ranges[place][1] >= value
        return (found or any(self._holds(data, value) for data in self.packed)) != self.inverted

    def _holds(self, data: bytes, value: int) -> bool:
        size, key = self.width, value.to_bytes(self.width, "big")
        place = bisect_left(range(len(data) // size), key, key=lambda n: data[n * size : (n + 1) * size])
        return data[place * size : (place + 1) * size] == key

    def but(self) -> Values:
        """Return the set of all others."""
        return Values(self.ranges, self.packed, self.width, not self.inverted)

    def spread(self) -> tuple[Range, ...]:
        """Return it as ranges alone, without looking at ``inverted``."""
        return merged(
            [*self.ranges, *((value, value) for data in self.packed for value in values_in(data, self.width))]
        )


def values_in(data: bytes, width: int) -> list[int]:
    """Return the numbers packed in ``data``."""
    return [int.from_bytes(data[start : start + width], "big") for start in range(0, len(data), width)]


def merged(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Return ``ranges`` in order, those that touch as one."""
    result: list[Range] = []
    for first, last in sorted(ranges):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(result[-1][1], last))
        else:
            result.append((first, last))
    return tuple(result)


def of(*values: int) -> Values:
    """Return the set of these values."""
    return Values(merged((value, value) for value in values))


def of_ranges(ranges: Iterable[Range], packed: Iterable[bytes] = (), width: int = 4) -> Values:
    """Return the set of these ranges and packed values; what is packed and small is taken as ranges."""
    ranges, large = list(ranges), []
    for data in packed:
        if len(data) <= FEW * width:
            ranges += [(value, value) for value in values_in(data, width)]
        else:
            large.append(data)
    return Values(merged(ranges), tuple(large), width)


def of_networks(networks: Iterable[Network], version: int, packed: Iterable[bytes] = ()) -> Values:
    """Return the set of the addresses of one IP version in ``networks`` and ``packed``."""
    ranges = [_ends(network) for network in networks if network.version == version]
    return of_ranges(ranges, packed, 4 if version == 4 else 16)


def _ends(network: Network) -> Range:
    return int(network.network_address), int(network.broadcast_address)


def masked(mask: int, value: int, size: int) -> Values:
    """Return all values below ``size`` (at most 2**16) whose bits under ``mask`` are those of ``value``."""
    return _masked(mask, value, size)


@lru_cache(maxsize=256)
def _masked(mask: int, value: int, size: int) -> Values:
    return Values(merged((one, one) for one in range(size) if one & mask == value))


def number(address: str) -> int:
    """Return the number of an address.

    Raises:
        ValueError: it is none.
    """
    return int(ipaddress.ip_address(address))


@dataclass(frozen=True)
class Class:
    """Values of a field that a list of sets does not tell apart: bit n of ``held`` says whether set n holds them."""

    held: int
    value: int  # the natural one where it is among them, else the lowest from the least that there are in packets
    ranges: tuple[Range, ...]


def classes(sets: Sequence[Values], top: int, natural: int, least: int) -> list[Class]:
    """Return the classes into which ``sets`` divide the values up to ``top``; the natural value's first, then by lowest value."""
    turns: dict[int, int] = {0: 0}
    held = 0
    for index, values in enumerate(sets):
        bit = 1 << index
        if values.inverted:
            held |= bit
        for first, last in values.spread() if values.packed else values.ranges:
            turns[first] = turns.get(first, 0) ^ bit
            if last < top:
                turns[last + 1] = turns.get(last + 1, 0) ^ bit
    found: dict[int, list[Range]] = {}
    cuts = sorted(turns)
    for first, end in zip(cuts, [*cuts[1:], top + 1], strict=True):
        held ^= turns[first]
        found.setdefault(held, []).append((first, end - 1))
    result = []
    for signature, ranges in found.items():
        usual = any(first <= natural <= last for first, last in ranges)
        lowest = next((max(first, least) for first, last in ranges if last >= least), ranges[0][0])
        result.append(Class(signature, natural if usual else lowest, tuple(ranges)))
    return sorted(result, key=lambda one: (one.value != natural, one.value))
