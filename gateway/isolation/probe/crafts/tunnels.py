"""Attacks inside other packets: each carries a ping for the other zones."""

# ruff: noqa: D103
# Each function is one attack; what it does, ``catalogue.py`` says under its name.
from __future__ import annotations

import os
import struct
from collections.abc import Iterator

from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from gateway.isolation.probe.crafts.aim import Aim

# The decapsulating devices of the control have this identifier and these MACs (``holes.py``).
TUNNEL, DEVICE = 42, "02:68:67:fd:00:01"
RANDOM_KEY = 32  # bytes of a WireGuard public key


def _inner4(aim: Aim) -> Iterator[bytes]:
    yield from (bytes(aim.ping(to)) for to in aim.beyond4)


def _inner6(aim: Aim) -> Iterator[bytes]:
    yield from (bytes(aim.ping(to)) for to in aim.beyond6)


def _inner_frames(aim: Aim) -> Iterator[bytes]:
    for inner in _inner4(aim):
        yield bytes(Ether(src=aim.stranger, dst=DEVICE, type=0x0800)) + inner


def _outer(aim: Aim, insides: tuple[bytes, ...]) -> Iterator[tuple[str, bytes]]:
    """Yield the box here with everything, and the box in other zones with the first of it."""
    yield from ((aim.own.box4, inside) for inside in insides)
    yield from ((side.box4, insides[0]) for side in aim.others)


def _in_ip(aim: Aim, protocol: int, *insides: bytes) -> None:
    aim.send(*(aim.ip(to, proto=protocol) / Raw(inside) for to, inside in _outer(aim, insides)))


def _in_udp(aim: Aim, port: int, *insides: bytes) -> None:
    for to, inside in _outer(aim, insides):
        aim.send(aim.ip(to) / UDP(sport=aim.port, dport=port) / Raw(inside))


def ipip(aim: Aim) -> None:
    _in_ip(aim, 4, *_inner4(aim))


def ip6_in_ip4(aim: Aim) -> None:
    _in_ip(aim, 41, *_inner6(aim))


def ip4_in_ip6(aim: Aim) -> None:
    for inner in _inner4(aim):
        aim.send(aim.ip(aim.own.box6, nh=4) / Raw(inner))
    for inner in _inner6(aim):
        aim.send(aim.ip(aim.own.box6, nh=41) / IPv6(inner))


def gre(aim: Aim) -> None:
    _in_ip(aim, 47, *(struct.pack(">HH", 0, 0x0800) + inner for inner in _inner4(aim)))


def gre_ethernet(aim: Aim) -> None:
    head = struct.pack(">HHI", 0x2000, 0x6558, TUNNEL << 8)
    _in_ip(aim, 47, *(head + inner for inner in _inner_frames(aim)))


def erspan(aim: Aim) -> None:
    head = struct.pack(">HHIII", 0x1000, 0x88BE, 1, 1 << 28 | 10 << 16 | 42, 0)
    _in_ip(aim, 47, *(head + inner for inner in _inner_frames(aim)))


def etherip(aim: Aim) -> None:
    _in_ip(aim, 97, *(b"\x30\0" + inner for inner in _inner_frames(aim)))


def vxlan(aim: Aim) -> None:
    head = struct.pack(">II", 0x08000000, TUNNEL << 8)
    for port in (4789, 8472):
        _in_udp(aim, port, *(head + inner for inner in _inner_frames(aim)))


def geneve(aim: Aim) -> None:
    _in_udp(aim, 6081, *(struct.pack(">HHI", 0, 0x6558, TUNNEL << 8) + inner for inner in _inner_frames(aim)))


def l2tp(aim: Aim) -> None:
    head = struct.pack(">HHHH", 0x0002, TUNNEL, TUNNEL, 0xFF03)
    _in_udp(aim, 1701, *(head + b"\0\x21" + inner for inner in _inner4(aim)))


def l2tp3(aim: Aim) -> None:
    _in_ip(aim, 115, *(struct.pack(">I", TUNNEL) + inner for inner in _inner_frames(aim)))


def wireguard(aim: Aim) -> None:
    hello = struct.pack("<II", 1, aim.number) + os.urandom(RANDOM_KEY) + bytes(48 + 28) + aim.cargo[:16] + bytes(16)
    _in_udp(aim, 51820, hello, struct.pack("<IIQ", 4, TUNNEL, 0) + aim.cargo)


def esp(aim: Aim) -> None:
    head = struct.pack(">II", 0x6867, 1)
    _in_ip(aim, 50, *(head + inner for inner in _inner4(aim)))
    _in_udp(aim, 4500, *(head + inner for inner in _inner4(aim)))


def ah(aim: Aim) -> None:
    head = struct.pack(">BBHII12x", 4, 4, 0, 0x6867, 1)
    _in_ip(aim, 51, *(head + inner for inner in _inner4(aim)))


def fou(aim: Aim) -> None:
    _in_udp(aim, 5555, *_inner4(aim))
    _in_udp(aim, 6080, *(struct.pack(">BBH", 0, 4, 0) + inner for inner in _inner4(aim)))


def teredo(aim: Aim) -> None:
    _in_udp(aim, 3544, *_inner6(aim))
