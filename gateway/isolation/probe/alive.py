"""A box that is not up passes every probe: before it is shot at, it must answer its neighbours (ARP, neighbour discovery)."""

from __future__ import annotations

import ipaddress
import struct
import time
from collections.abc import Iterator

from gateway.isolation.probe import wires
from gateway.isolation.probe.bench import Bench, Deaf
from gateway.isolation.probe.scene import Side
from gateway.isolation.probe.wires import Ear

PATIENCE = 10.0  # seconds; the kernel takes up to one until a new link is ready
AGAIN = 0.02  # seconds until it is asked once more
SOLICIT, ADVERTISE = 135, 136  # RFC 4861


def await_box(bench: Bench, sides: tuple[Side, ...]) -> None:
    """Ask the box in each zone who has its addresses until it answers.

    Raises:
        Deaf: it does not.
    """
    for side in sides:
        wire = bench.wires[side.zone]
        ear = Ear(side.zone, wire, outside=True)
        missing = dict(_questions(side))
        end = time.monotonic() + PATIENCE
        while missing:
            if time.monotonic() > end:
                raise Deaf(f"in {side.zone} the box does not even answer for {', '.join(missing)}")
            for frame, _ in missing.values():
                wires.send(wire, frame)
            for _, frame, outgoing in wires.heard([ear], AGAIN):
                if not outgoing:
                    missing = {
                        name: asked for name, asked in missing.items() if not all(part in frame for part in asked[1])
                    }


def _questions(side: Side) -> Iterator[tuple[str, tuple[bytes, tuple[bytes, ...]]]]:
    """Yield address -> (the question, what the answer holds)."""
    host, port = (bytes.fromhex(mac.replace(":", "")) for mac in (side.host_mac, side.mac))
    if side.has4:
        box4, host4 = (ipaddress.ip_address(a).packed for a in (side.box4, side.host4))
        head = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1)
        question = b"\xff" * 6 + host + b"\x08\x06" + head + host + host4 + bytes(6) + box4
        yield side.box4, (question, (b"\x08\x06" + head[:-1] + b"\x02" + port + box4,))
    if side.has6:
        box6, host6 = (ipaddress.ip_address(a).packed for a in (side.box6, side.host6))
        group = bytes.fromhex("ff0200000000000000000001ff") + box6[-3:]
        body = struct.pack(">BBHI", SOLICIT, 0, 0, 0) + box6 + b"\x01\x01" + host
        body = (
            body[:2] + struct.pack(">H", _checksum(host6 + group + struct.pack(">II", len(body), 58) + body)) + body[4:]
        )
        packet = struct.pack(">IHBB", 6 << 28, len(body), 58, 255) + host6 + group + body
        yield side.box6, (b"\x33\x33\xff" + box6[-3:] + host + b"\x86\xdd" + packet, (host6 + bytes([ADVERTISE]), box6))


def _checksum(data: bytes) -> int:
    """Return the Internet checksum of an even number of bytes (RFC 1071)."""
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
