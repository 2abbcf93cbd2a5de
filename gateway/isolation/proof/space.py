"""What a packet is made of, for a proof: its fields, how wide each is, and how its values are written.

A field that a packet does not have (the port of an ARP request) may have any value: every rule that asks for it also asks for what
brings it along, as nftables itself does.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.isolation.proof.symbols import ICMP, ICMP6, OPERATIONS, PACKETS, PROTOCOLS, STATES, TYPES

LINKS = {"lo": 0, "port0": 1}  # any other name is one more link that no rule of ours speaks of
LINK_VALUES = 3


@dataclass(frozen=True)
class Field:
    """One field: its values are the numbers below ``size``; ``natural`` is what an ordinary packet has there."""

    name: str
    shown: str
    size: int
    natural: int = 0
    words: Mapping[str, int] | None = None
    least: int = 0  # lower ones are in no packet that a host takes

    @property
    def top(self) -> int:
        """The highest value."""
        return self.size - 1

    @property
    def bits(self) -> int:
        """How many bits its values need."""
        return self.top.bit_length()

    def word(self, value: int) -> str:
        """Return ``value`` as an operator writes it."""
        if self.name in ADDRESSES:
            return str(ipaddress.IPv6Address(value) if self.bits == 128 else ipaddress.IPv4Address(value))
        if self.bits == 48:
            return ":".join(f"{byte:02x}" for byte in value.to_bytes(6, "big"))
        if self.name == "tcp flags":
            return "+".join(name for name, bit in TCP_FLAGS.items() if value & bit) or "none"
        if self.words is not None:
            return next((word for word, number in self.words.items() if number == value), f"other ({value})")
        return str(value)


TCP_FLAGS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128}
ADDRESSES = ("ip saddr", "ip daddr", "ip6 saddr", "ip6 daddr", "arp saddr ip", "arp daddr ip")
_IN_ORDER = (
    Field("protocol", "ether type", 1 << 16, TYPES["ip"], TYPES),  # what the kernel takes the packet for
    Field("ether type", "ether header", 1 << 16, TYPES["ip"], TYPES),  # what the frame says; of a tagged one, the tag
    Field("iiftype", "iiftype", 1),  # a zone's port is Ethernet
    Field("iif", "iif", LINK_VALUES, LINKS["port0"], LINKS),
    Field("oif", "oif", LINK_VALUES, LINKS["port0"], LINKS),
    Field("ct state", "ct state", len(STATES), STATES["new"], STATES),
    Field("pkttype", "pkttype", 8, PACKETS["host"], PACKETS),
    Field("ip hdrlength", "hdrlength", 16, 5, least=5),
    Field("ip frag-off", "frag-off", 1 << 16),
    Field("ip6 nexthdr", "nexthdr", 256, 6, PROTOCOLS),
    Field("l4proto", "proto", 256, 6, PROTOCOLS),
    # Whether the packet holds the transport header whole; where it does not, no rule that asks for a part of it matches.
    Field("transport", "transport header", 2, 0, {"whole": 0, "cut off": 1}),
    Field("icmp type", "icmp type", 256, 8, ICMP),
    Field("icmpv6 type", "icmpv6 type", 256, 128, ICMP6),
    Field("sport", "sport", 1 << 16, 40000),
    Field("dport", "dport", 1 << 16),
    Field("tcp flags", "tcp flags", 256, 2),
    Field("ip ttl", "ttl", 256, 64),
    Field("ip6 hoplimit", "hoplimit", 256, 64),
    Field("arp htype", "arp htype", 1 << 16, 1),
    Field("arp ptype", "arp ptype", 1 << 16, TYPES["ip"], TYPES),
    Field("arp hlen", "arp hlen", 256, 6),
    Field("arp plen", "arp plen", 256, 4),
    Field("arp operation", "arp operation", 1 << 16, 1, OPERATIONS),
    Field("arp saddr ip", "arp saddr", 1 << 32),
    Field("arp daddr ip", "arp daddr", 1 << 32),
    Field("ip saddr", "saddr", 1 << 32),
    Field("ip daddr", "daddr", 1 << 32),
    Field("ip6 saddr", "saddr", 1 << 128),
    Field("ip6 daddr", "daddr", 1 << 128),
    # After the addresses: a pinned neighbour's MAC matters for its own address alone.
    Field("ether saddr", "ether saddr", 1 << 48, 0x020000000001),
    Field("ether daddr", "ether daddr", 1 << 48, 0x020000000002),
    Field("arp saddr ether", "arp saddr ether", 1 << 48, 0x020000000001),
    Field("arp daddr ether", "arp daddr ether", 1 << 48),
)
FIELDS: Mapping[str, Field] = {field.name: field for field in _IN_ORDER}  # in the order in which packets are split
