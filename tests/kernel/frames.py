"""Ethernet frames written byte by byte, so that a test can send what no honest host would."""

from __future__ import annotations

import ipaddress
import socket
import struct

ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17}
SYN = 2


def mac(text: str) -> bytes:
    """Return the six bytes of a MAC address."""
    return bytes.fromhex(text.replace(":", ""))


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def opening(protocol: str, source: str, target: str, ports: tuple[int, int], flags: int = SYN) -> bytes:
    """Return the first packet of a connection, without its IP header."""
    if protocol == "icmp":
        head = struct.pack(">BBHHH", 8, 0, 0, ports[0], 1) + b"headgate"
        return head[:2] + struct.pack(">H", checksum(head)) + head[4:]
    one, other = ipaddress.ip_address(source), ipaddress.ip_address(target)
    body = b"headgate" * 3
    if protocol == "tcp":
        rest, place = struct.pack(">HHIIBBHHH", *ports, 1, 0, 5 << 4, flags, 1024, 0, 0) + body, 16
    else:
        rest, place = struct.pack(">HHHH", *ports, 8 + len(body), 0) + body, 6
    pseudo = one.packed + other.packed + struct.pack(">HH", PROTOCOLS[protocol], len(rest))
    return rest[:place] + struct.pack(">H", checksum(pseudo + rest)) + rest[place + 2 :]


def ip4(protocol: str, source: str, target: str, body: bytes, *, field: int = 0, options: bytes = b"") -> bytes:
    """Return an IPv4 packet; ``field`` holds the fragment flags and offset."""
    words = 5 + len(options) // 4
    head = struct.pack(">BBHHHBBH", 4 << 4 | words, 0, words * 4 + len(body), 7, field, 64, PROTOCOLS[protocol], 0)
    head += ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed + options
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + body


def ip6(protocol: str, source: str, target: str, body: bytes) -> bytes:
    """Return an IPv6 packet."""
    head = struct.pack(">IHBB", 6 << 28, len(body), PROTOCOLS[protocol], 64)
    return head + ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed + body


def packets(shape: str, protocol: str, source: str, target: str, ports: tuple[int, int]) -> list[bytes]:
    """Return the IP packets of an opening: whole, with IP options (harmless ones), or in two fragments."""
    body = opening(protocol, source, target, ports)
    if ":" in target:
        return [ip6(protocol, source, target, body)]
    if shape == "fragment":
        return [
            ip4(protocol, source, target, body[:24], field=0x2000),
            ip4(protocol, source, target, body[24:], field=3),
        ]
    if shape == "options":
        return [ip4(protocol, source, target, body, options=b"\x01\x01\x01\x00")]  # no operation, three times; end
    return [ip4(protocol, source, target, body)]


def frame(kind: int, target: str, payload: bytes, source: str = "02:00:00:00:00:50") -> bytes:
    """Return an Ethernet frame."""
    return mac(target) + mac(source) + struct.pack(">H", kind) + payload


def arp_request(sender_mac: str, sender: str, target: str) -> bytes:
    """Return an ARP request's payload (RFC 826)."""
    return (
        struct.pack(">HHBBH", 1, IPV4, 6, 4, 1)
        + mac(sender_mac)
        + socket.inet_aton(sender)
        + bytes(6)
        + socket.inet_aton(target)
    )
