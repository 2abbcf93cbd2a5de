"""A frame in a few words, for people who ask what came through."""

from __future__ import annotations

import socket
import struct

TYPES = {0x0806: "ARP", 0x0800: "IPv4", 0x86DD: "IPv6", 0x8100: "VLAN", 0x88A8: "VLAN", 0x88CC: "LLDP"}
PROTOCOLS = {
    1: "ICMP",
    2: "IGMP",
    4: "IPIP",
    6: "TCP",
    17: "UDP",
    41: "6in4",
    47: "GRE",
    50: "ESP",
    58: "ICMPv6",
    132: "SCTP",
}
FLAGS = "FSRPAU"


def tell(frame: bytes) -> str:
    """Return what a frame is: ``ICMP 3/1 10.20.0.11 > 10.20.0.50``."""
    if len(frame) < 14:
        return f"{len(frame)} bytes"
    kind = struct.unpack_from(">H", frame, 12)[0]
    body = frame[14:]
    if kind == 0x0800 and len(body) >= 20:
        return _packet(body[9], socket.AF_INET, body[12:16], body[16:20], body[(body[0] & 15) * 4 :])
    if kind == 0x86DD and len(body) >= 40:
        return _packet(body[6], socket.AF_INET6, body[8:24], body[24:40], body[40:])
    if kind == 0x0806 and len(body) >= 28:
        sender, target = socket.inet_ntoa(body[14:18]), socket.inet_ntoa(body[24:28])
        return f"ARP {sender} is at {frame[22:28].hex(':')}" if body[7] == 2 else f"ARP {sender} asks for {target}"
    if kind < 0x0600:
        return f"802.3 frame to {frame[:6].hex(':')}"
    return f"{TYPES.get(kind, f'type {kind:#06x}')} frame to {frame[:6].hex(':')}"


def _packet(protocol: int, family: socket.AddressFamily, source: bytes, target: bytes, body: bytes) -> str:
    ends = f"{socket.inet_ntop(family, source)} > {socket.inet_ntop(family, target)}"
    name = PROTOCOLS.get(protocol, f"IP protocol {protocol}")
    if protocol in (1, 58) and len(body) >= 2:
        return f"{name} {body[0]}/{body[1]} {ends}"
    if protocol in (6, 17) and len(body) >= 14:
        ports = struct.unpack_from(">HH", body)
        flags = "".join(flag for bit, flag in enumerate(FLAGS) if body[13] >> bit & 1) if protocol == 6 else ""
        return f"{name}{' ' + flags if flags else ''} {ends} ports {ports[0]} > {ports[1]}"
    return f"{name} {ends}"
