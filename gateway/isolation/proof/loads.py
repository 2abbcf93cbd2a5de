"""What an expression of nftables loads into a register -> the packet's fields it holds, byte by byte (<linux/netfilter/nf_tables.h>)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from gateway.isolation.proof import values as sets
from gateway.isolation.proof.matches import Unknown
from gateway.isolation.proof.space import FIELDS, LINKS
from gateway.isolation.proof.symbols import PROTOCOLS, STATES, TYPES
from gateway.isolation.proof.values import Range, Values

LINK_HEADER, NETWORK_HEADER, TRANSPORT_HEADER = 0, 1, 2
# The layout of each header: offset -> field and bytes.
Layout = Mapping[int, tuple[str, int]]
ETHERNET: Layout = {0: ("ether daddr", 6), 6: ("ether saddr", 6), 12: ("ether type", 2)}
NETWORK: Mapping[int, Layout] = {
    TYPES["ip"]: {
        0: ("ip hdrlength", 1),  # the lower half of it
        6: ("ip frag-off", 2),
        8: ("ip ttl", 1),
        9: ("l4proto", 1),
        12: ("ip saddr", 4),
        16: ("ip daddr", 4),
    },
    TYPES["ip6"]: {6: ("ip6 nexthdr", 1), 7: ("ip6 hoplimit", 1), 8: ("ip6 saddr", 16), 24: ("ip6 daddr", 16)},
    TYPES["arp"]: {
        0: ("arp htype", 2),
        2: ("arp ptype", 2),
        4: ("arp hlen", 1),
        5: ("arp plen", 1),
        6: ("arp operation", 2),
        8: ("arp saddr ether", 6),
        14: ("arp saddr ip", 4),
        18: ("arp daddr ether", 6),
        24: ("arp daddr ip", 4),
    },
}
PORTS: Layout = {0: ("sport", 2), 2: ("dport", 2)}
TRANSPORT: Mapping[int, Layout] = {
    PROTOCOLS["tcp"]: {**PORTS, 13: ("tcp flags", 1)},
    PROTOCOLS["udp"]: PORTS,
    PROTOCOLS["icmp"]: {0: ("icmp type", 1)},
    PROTOCOLS["ipv6-icmp"]: {0: ("icmpv6 type", 1)},
}
ETHERNET_LINK = (1).to_bytes(2, "little")  # ARPHRD_ETHER
NAME = 16  # bytes of a link's name (IFNAMSIZ)
# Bits of a connection's state as the kernel keeps them (NF_CT_STATE_BIT).
STATE_BITS = {"invalid": 1, "established": 2, "related": 4, "new": 8, "untracked": 64}
_STATES = {number: STATE_BITS[name] for name, number in STATES.items()}
_LINKS = {number: name.encode().ljust(NAME, b"\0") for name, number in LINKS.items()}
_NFPROTO = {TYPES["ip"]: b"\2", TYPES["ip6"]: b"\x0a"}
Coding = Callable[[int], bytes]
# How the kernel writes a field into a register where that is not simply the bytes of the packet.
CODINGS: Mapping[str, Coding] = {
    "ct state": lambda value: _STATES[value].to_bytes(4, "little"),
    "name": lambda value: _LINKS.get(value, b"\xff" * NAME),
    "ethernet": lambda value: ETHERNET_LINK,
    "nfproto": lambda value: _NFPROTO.get(value, b"\0"),
    "half": lambda value: bytes([0x40 | value]),  # IPv4's version before it
}


@dataclass(frozen=True)
class Piece:
    """``size`` bytes of a field, from its first on; ``coding`` names how they are written, where they are not the packet's own."""

    field: str
    size: int
    coding: str = ""

    @property
    def whole(self) -> int:
        """The bytes of the whole field."""
        return (FIELDS[self.field].bits + 7) // 8


# Keys of meta (NFT_META_*) that our rules ask.
METAS: Mapping[int, Piece] = {
    1: Piece("protocol", 2),
    6: Piece("iif", NAME, "name"),
    7: Piece("oif", NAME, "name"),
    8: Piece("iiftype", 2, "ethernet"),
    15: Piece("protocol", 1, "nfproto"),
    16: Piece("l4proto", 1),
    19: Piece("pkttype", 1),
}
CT_STATE = Piece("ct state", 4, "ct state")


def pieces(layouts: list[Layout], offset: int, length: int) -> tuple[Piece, ...]:
    """Return the fields in ``length`` bytes from ``offset``, which must be the same in all ``layouts``; the last may be its beginning.

    Raises:
        Unknown: there are no such fields.
    """
    found: list[tuple[Piece, ...]] = []
    for layout in layouts:
        place, one = offset, []
        while place < offset + length:
            if place not in layout:
                raise Unknown(f"bytes {offset} to {offset + length} of a header, which are no fields that we know")
            name, size = layout[place]
            one.append(Piece(name, min(size, offset + length - place), "half" if name == "ip hdrlength" else ""))
            place += size
        found.append(tuple(one))
    if len(set(found)) != 1 or not found[0]:
        raise Unknown(f"bytes {offset} to {offset + length} of a header, which are no fields, or one of several")
    return found[0]


@lru_cache(maxsize=4096)
def compared(piece: Piece, mask: bytes, flip: bytes, op: int, data: bytes) -> Values:
    """Return the values of a piece's field for which its bytes, under ``mask`` and with ``flip`` turned, compare so with ``data``.

    Raises:
        Unknown: it cannot be said exactly.
    """
    number, bits = int.from_bytes(data, "big"), 8 * piece.size
    plain = not any(flip) and all(byte == 0xFF for byte in mask) and not piece.coding
    if plain and op <= 1:
        rest = 8 * (piece.whole - piece.size)
        found = Values(((number << rest, ((number + 1) << rest) - 1),))
        return found.but() if op == 1 else found
    if plain and piece.size == piece.whole:
        ranges = _beside(op, number, FIELDS[piece.field].top)
        return Values(ranges)
    under, length = int.from_bytes(mask, "big"), _leading(int.from_bytes(mask, "big"), bits)
    if not piece.coding and not any(flip) and op <= 1 and length is not None:
        if number & ~under:
            return Values(inverted=op == 1)  # never the same
        rest = bits - length + 8 * (piece.whole - piece.size)
        start = number << 8 * (piece.whole - piece.size)
        found = Values(((start, start + (1 << rest) - 1),))
        return found.but() if op == 1 else found
    return _tried(piece, mask, flip, op, data)


def _beside(op: int, number: int, top: int) -> tuple[Range, ...]:
    low, high = {2: (0, number - 1), 3: (0, number), 4: (number + 1, top), 5: (number, top)}[op]
    return ((low, min(high, top)),) if low <= min(high, top) else ()


def _leading(mask: int, bits: int) -> int | None:
    """Return how many leading ones a mask is, None if it is more than that."""
    length = mask.bit_count()
    return length if mask == ((1 << length) - 1) << (bits - length) else None


def _tried(piece: Piece, mask: bytes, flip: bytes, op: int, data: bytes) -> Values:
    field = FIELDS[piece.field]
    if field.size > 1 << 16 or (not piece.coding and piece.size != piece.whole):
        raise Unknown(f"{field.name} under the mask {mask.hex()}")
    if piece.coding == "half" and mask[0] & 0xF0:
        raise Unknown("IP's version and header length together")
    number = int.from_bytes(data, "big")
    coding = CODINGS.get(piece.coding) or (lambda value: value.to_bytes(piece.size, "big"))
    if not piece.coding and op <= 1:
        found = sets.masked(int.from_bytes(mask, "big"), number ^ int.from_bytes(flip, "big"), field.size)
        return found.but() if op == 1 else found
    wanted = []
    for value in range(field.size):
        told = bytes((byte & under) ^ turn for byte, under, turn in zip(coding(value), mask, flip, strict=True))
        if _compares(told, op, data):
            wanted.append((value, value))
    return Values(sets.merged(wanted))


def _compares(one: bytes, op: int, two: bytes) -> bool:
    return (one == two, one != two, one < two, one <= two, one > two, one >= two)[op]


def values_of(piece: Piece, keys: list[tuple[bytes, bytes]]) -> Values:
    """Return the field's values whose bytes lie between the two of one of ``keys``.

    Raises:
        Unknown: the piece is not a whole field.
    """
    if piece.coding:
        wanted = [key for key, end in keys if key == end]
        if len(wanted) != len(keys):
            raise Unknown(f"a range of {piece.field}")
        coding = CODINGS[piece.coding]
        return Values(
            sets.merged((value, value) for value in range(FIELDS[piece.field].size) if coding(value) in wanted)
        )
    if piece.size != piece.whole:
        raise Unknown(f"a part of {piece.field} in a set")
    return Values(sets.merged((int.from_bytes(first, "big"), int.from_bytes(last, "big")) for first, last in keys))
