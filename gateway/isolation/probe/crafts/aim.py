"""Who is aimed at: an attack's own zone, the others, its nonce; collects the frames and the marks by which an answer is known."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator
from typing import Any

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from gateway.isolation.probe.scene import Scene, Side
from gateway.isolation.probe.shots import Shot, nonce_of

CLOSED = 4  # a port that nobody has ever been given
CARGO = b" headgate probe"


class Aim:
    """One attack from one zone while its frames are made."""

    def __init__(self, scene: Scene, source: str, number: int) -> None:
        self.own: Side = scene.side(source)
        self.others = tuple(side for side in scene.sides if side.zone != source)
        self.number = number
        self.nonce = nonce_of(scene.nonce, number)
        self.cargo = self.nonce + CARGO
        self.word = self.nonce.hex()  # the nonce where only letters may stand; such packets bear the nonce too
        # Where the whole nonce has no room stand bytes of its reverse: whatever the nonce is, the one never looks like the other.
        reverse = bytes(byte ^ 0xFF for byte in scene.nonce)
        self.stranger = (b"\x02" + reverse[:3] + self.nonce[6:]).hex(":")
        self.port = 20000 + number * 2 % 40000  # the attacker's, two for each shot: helpers open the next one too
        self.four_bytes = int.from_bytes(reverse[:2] + self.nonce[6:], "big") & 0x7FFFFFFF
        self._ends = bytes.fromhex((self.own.mac + self.own.host_mac).replace(":", ""))
        self._frames: list[bytes] = []
        self._marks: list[tuple[bytes, ...]] = []
        self._traces: list[str] = []

    @property
    def door(self) -> int:
        """A TCP port that a service of the zone listens on, or a closed one."""
        ports = [int(door.partition("/")[2]) for door in self.own.doors if door.startswith("tcp/")]
        return ports[0] if ports else CLOSED

    @property
    def all4(self) -> list[str]:
        """The box here, the box in other zones, hosts of other zones."""
        return [self.own.box4, *self.beyond4]

    @property
    def beyond4(self) -> list[str]:
        """The box in other zones, hosts of other zones."""
        return list(itertools.chain.from_iterable((side.box4, side.host4) for side in self.others))

    @property
    def all6(self) -> list[str]:
        """The same as ``all4``, for IPv6."""
        return [self.own.box6, *self.beyond6]

    @property
    def beyond6(self) -> list[str]:
        """The same as ``beyond4``, for IPv6."""
        return list(itertools.chain.from_iterable((side.box6, side.host6) for side in self.others))

    def ether(self, to: str = "", **fields: Any) -> Any:
        """Return an Ethernet header to the box's port, or ``to`` another MAC."""
        return Ether(src=self.own.host_mac, dst=to or self.own.mac, **fields)

    def ip(self, to: str, source: str = "", **fields: Any) -> Any:
        """Return an IP header of either version."""
        if ":" in to:
            return IPv6(src=source or self.own.host6, dst=to, **fields)
        return IP(src=source or self.own.host4, dst=to, id=self.number, **fields)

    def ping(self, to: str, source: str = "") -> Any:
        """Return a ping with the nonce, without its Ethernet header."""
        kind = ICMPv6EchoRequest if ":" in to else ICMP
        return self.ip(to, source) / kind(id=self.number, seq=1) / Raw(self.cargo)

    def datagram(self, to: str, port: int = CLOSED, data: bytes | None = None, source: str = "") -> Any:
        """Return a UDP datagram with the nonce, without its Ethernet header."""
        return (
            self.ip(to, source)
            / UDP(sport=self.port, dport=port)
            / Raw(self.cargo if data is None else data + self.cargo)
        )

    def segment(self, to: str, port: int, flags: str, data: bytes | None = None, **fields: Any) -> Any:
        """Return a TCP segment and mark what would answer it: its ports turned round, and its numbers."""
        data = self.cargo if data is None else data
        ports = struct.pack(">HH", port, self.port)
        length = len(data) + ("S" in flags) + ("F" in flags)
        # An answer acknowledges what was sent, or the first of it alone (a SYN whose data is not taken), or takes up our acknowledgement.
        for number in {self.four_bytes + length, self.four_bytes + 1, self.four_bytes}:
            self._marks.append((ports, struct.pack(">I", number)))
        self._marks.append(
            (struct.pack(">HH", self.port, port), struct.pack(">I", self.four_bytes))
        )  # itself, elsewhere
        head = TCP(sport=self.port, dport=port, flags=flags, seq=self.four_bytes, window=1024, **fields)
        if "A" in flags:
            head.ack = self.four_bytes
        return self.ip(to) / head / Raw(data)

    def send(self, *packets: Any) -> None:
        """Take frames: whole ones, or packets without an Ethernet header for the box's port."""
        for packet in packets:
            if isinstance(packet, bytes):
                self._frames.append(packet)
            elif isinstance(packet, Ether):
                self._frames.append(bytes(packet))
            else:  # the header by hand: scapy would copy all that is behind it
                kind = b"\x86\xdd" if isinstance(packet, IPv6) else b"\x08\x00"
                self._frames.append(self._ends + kind + bytes(packet))

    def send_made(self, packets: Iterable[bytes]) -> None:
        """Take IPv4 packets that are bytes already, for the box's port."""
        self._frames += (self._ends + b"\x08\x00" + packet for packet in packets)

    def mark(self, *parts: bytes) -> None:
        """Tell that whatever holds all ``parts`` belongs to this attack."""
        self._marks.append(parts)

    def mark_stranger(self) -> None:
        """Tell that whatever holds the stranger's MAC belongs to this attack."""
        self._marks.append((bytes.fromhex(self.stranger.replace(":", "")),))

    def trace(self, words: str) -> None:
        """Tell words that the kernel's state would hold."""
        self._traces.append(words)

    def shot(self, attack: str) -> Shot:
        """Return what was collected."""
        marks = tuple(dict.fromkeys(self._marks))
        return Shot(self.number, attack, self.own.zone, tuple(self._frames), marks, tuple(self._traces))

    def octets(self) -> Iterator[int]:
        """Yield the shot's number as two octets of an address."""
        yield from (self.number >> 8 & 255, self.number & 255)
