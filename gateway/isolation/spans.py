"""Sets of addresses as single hosts and ranges, and what one has that another has not: exact, and quick for 100,000 hosts."""

from __future__ import annotations

import ipaddress
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from gateway.isolation.groups import Group
from gateway.isolation.question import Address
from gateway.isolation.words import Network

Span = tuple[int, int]  # first and last address, as numbers


@dataclass
class Spans:
    """Addresses of one IP version."""

    version: int
    hosts: frozenset[int] = frozenset()
    ranges: list[Span] = field(default_factory=list)

    def add(self, networks: Iterable[Network], groups: Iterable[Group] = ()) -> None:
        """Put ``networks`` and ``groups`` in, as far as they are of this version."""
        for group in groups:
            hosts = hosts_of(group, self.version)
            self.hosts = self.hosts | hosts if self.hosts else hosts
        for network in (*networks, *(n for group in groups for n in group.ranges)):
            if network.version == self.version:
                self.ranges.append((int(network.network_address), int(network.broadcast_address)))

    def less(self, other: Spans) -> list[Span]:
        """Return what is in here and not in ``other``, as spans in order that do not touch."""
        lost, own = joined(other.ranges), joined(self.ranges)
        hosts = self.hosts - other.hosts
        rest = [(host, host) for host in hosts if not (lost and _in(lost, host))]
        if own:
            among = sorted(host for host in other.hosts if _in(own, host))
            rest += _cut(_cut(own, lost), [(host, host) for host in among])
        return joined(rest)


@lru_cache(maxsize=8)  # the same group is asked for by one service after the other
def hosts_of(group: Group, version: int) -> frozenset[int]:
    """Return the single hosts of ``group`` as numbers."""
    if version == 4:
        hosts = array("I", group.hosts4)
        hosts.byteswap()
        return frozenset(hosts)
    packed = group.hosts6
    return frozenset(int.from_bytes(packed[start : start + 16], "big") for start in range(0, len(packed), 16))


def joined(spans: Iterable[Span]) -> list[Span]:
    """Return spans in order, those that overlap or touch made one."""
    result: list[Span] = []
    for first, last in sorted(spans):
        if result and first <= result[-1][1] + 1:
            if last > result[-1][1]:
                result[-1] = (result[-1][0], last)
        else:
            result.append((first, last))
    return result


def word_of(span: Span, version: int) -> str:
    """Return a span as people write it: an address, a network, or first and last."""
    first, last = _address(span[0], version), _address(span[1], version)
    if first == last:
        return str(first)
    size = span[1] - span[0] + 1
    if size & (size - 1) == 0 and span[0] % size == 0:
        return f"{first}/{first.max_prefixlen - size.bit_length() + 1}"
    return f"{first}-{last}"


def _address(number: int, version: int) -> Address:
    return ipaddress.IPv4Address(number) if version == 4 else ipaddress.IPv6Address(number)


def _in(spans: list[Span], number: int) -> bool:
    place = bisect_left(spans, (number + 1,)) - 1
    return place >= 0 and spans[place][1] >= number


def _cut(spans: Iterable[Span], lost: list[Span]) -> list[Span]:
    """Return ``spans`` (in order, apart) without what is in ``lost`` (the same)."""
    result: list[Span] = []
    place = 0
    for first, last in spans:
        while place < len(lost) and lost[place][1] < first:
            place += 1
        begin, at = first, place
        while at < len(lost) and lost[at][0] <= last:
            if lost[at][0] > begin:
                result.append((begin, lost[at][0] - 1))
            begin = lost[at][1] + 1
            at += 1
        if begin <= last:
            result.append((begin, last))
    return result
