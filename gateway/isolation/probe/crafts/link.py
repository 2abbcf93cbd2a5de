"""Attacks below IP: ARP, tags, switches' own talk."""

# ruff: noqa: D103
# Each function is one attack; what it does, ``catalogue.py`` says under its name.
from __future__ import annotations

import struct
from typing import Any

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, LLC, SNAP, STP, Dot1Q, Dot3, Ether
from scapy.packet import Raw

from gateway.isolation.probe.crafts.aim import Aim

ALL = "ff:ff:ff:ff:ff:ff"
SLOW, NEAREST, PAUSE, BRIDGES = (f"01:80:c2:00:00:{last}" for last in ("02", "0e", "01", "00"))
CISCO, EXTREME = "01:00:0c:cc:cc:cc", "00:e0:2b:00:00:00"
JUMBO = 9000  # bytes
LIES: tuple[dict[str, Any], ...] = (
    {"len": 9999}, {"len": 10}, {"ihl": 4}, {"ihl": 15}, {"version": 5}, {"chksum": 1}, {"ttl": 0},
)  # fmt: skip


def _arp(aim: Aim, op: int, sender: str, target: str, to: str = ALL, mac: str = "") -> None:
    aim.mark_stranger()
    body = ARP(op=op, hwsrc=aim.stranger, psrc=sender, hwdst=mac or "00:00:00:00:00:00", pdst=target)
    aim.send(Ether(src=aim.stranger, dst=to, type=0x0806) / body / Raw(aim.cargo))


def arp_other_box(aim: Aim) -> None:
    for side in aim.others:
        _arp(aim, 1, aim.own.host4, side.box4)


def arp_other_host(aim: Aim) -> None:
    for side in aim.others:
        _arp(aim, 1, aim.own.host4, side.host4)


def arp_false_sender(aim: Aim) -> None:
    for side in aim.others:
        _arp(aim, 1, side.host4, aim.own.box4)


def arp_gratuitous(aim: Aim) -> None:
    aim.trace(aim.stranger)
    for op in (1, 2):
        _arp(aim, op, aim.own.neighbour4, aim.own.neighbour4)


def arp_unasked(aim: Aim) -> None:
    aim.trace(aim.stranger)
    _arp(aim, 2, aim.own.neighbour4, aim.own.box4, aim.own.mac, aim.own.mac)


def arp_other_zone(aim: Aim) -> None:
    aim.trace(aim.stranger)
    for side in aim.others:
        for op in (1, 2):
            _arp(aim, op, side.neighbour4, aim.own.box4, aim.own.mac, aim.own.mac)


def arp_pinned(aim: Aim) -> None:
    aim.trace(aim.stranger)
    for address in aim.own.pinned:
        if ":" not in address:
            for op in (1, 2):
                _arp(aim, op, address, aim.own.box4, aim.own.mac, aim.own.mac)


def vlan(aim: Aim) -> None:
    aim.send(*(aim.ether() / Dot1Q(vlan=1) / aim.ping(to) for to in aim.all4))
    aim.send(*(aim.ether() / Dot1Q(vlan=number) / aim.ping(aim.own.box4) for number in (2, 10, 20, 100, 4094)))


def vlan_double(aim: Aim) -> None:
    for outer, inner in ((1, 20), (1, 10), (0, 10), (100, 1)):
        aim.send(*(aim.ether() / Dot1Q(vlan=outer) / Dot1Q(vlan=inner) / aim.ping(to) for to in aim.all4))


def vlan_service(aim: Aim) -> None:
    for kind in (0x88A8, 0x9100):
        tag = struct.pack(">HHHH", 10, 0x8100, 20, 0x0800)
        aim.send(*(aim.ether(type=kind) / Raw(tag + bytes(aim.ping(to))) for to in aim.all4))


def vlan_priority(aim: Aim) -> None:
    aim.send(*(aim.ether() / Dot1Q(vlan=0, prio=7) / aim.ping(to) for to in aim.all4))


def mpls(aim: Aim) -> None:
    label = struct.pack(">I", 100 << 12 | 1 << 8 | 64)
    for kind in (0x8847, 0x8848):
        aim.send(*(aim.ether(type=kind) / Raw(label + bytes(aim.ping(to))) for to in aim.all4))


def pppoe(aim: Aim) -> None:
    for to in aim.all4:
        inner = struct.pack(">H", 0x0021) + bytes(aim.ping(to))
        aim.send(aim.ether(type=0x8864) / Raw(struct.pack(">BBHH", 0x11, 0, 1, len(inner)) + inner))
    tag = struct.pack(">HHHH", 0x0101, 0, 0x0103, len(aim.cargo)) + aim.cargo
    aim.send(aim.ether(ALL, type=0x8863) / Raw(struct.pack(">BBHH", 0x11, 9, 0, len(tag)) + tag))


def nsh(aim: Aim) -> None:
    for kind, head in ((0x894F, bytes.fromhex("0fc60101000001ff")), (0x88E5, bytes(14)), (0x4305, bytes(20))):
        aim.send(*(aim.ether(type=kind) / Raw(head + bytes(aim.ping(to))) for to in aim.all4))


def foreign_mac(aim: Aim) -> None:
    for side in aim.others:
        aim.send(*(aim.ether(side.mac) / aim.ping(to) for to in (side.box4, side.host4)))
        aim.send(*(aim.ether(side.host_mac) / aim.ping(to) for to in (side.box6, side.host6)))


def lldp(aim: Aim) -> None:
    def part(kind: int, value: bytes) -> bytes:
        return struct.pack(">H", kind << 9 | len(value)) + value

    told = part(1, b"\x04" + bytes(6)) + part(2, b"\x05p") + part(3, b"\0\x78") + part(5, aim.cargo) + b"\0\0"
    aim.send(aim.ether(NEAREST, type=0x88CC) / Raw(told))
    head = LLC(dsap=0xAA, ssap=0xAA, ctrl=3)
    for to, organisation, code in ((CISCO, 0x00000C, 0x2000), (EXTREME, 0x00E02B, 0x00BB)):
        aim.send(bytes(Dot3(src=aim.own.host_mac, dst=to) / head / SNAP(OUI=organisation, code=code) / Raw(aim.cargo)))


def stp(aim: Aim) -> None:
    mac = aim.own.host_mac
    bpdu = STP(rootmac=mac, bridgemac=mac, rootid=0, bridgeid=0)
    aim.send(bytes(Dot3(src=mac, dst=BRIDGES) / LLC(dsap=0x42, ssap=0x42, ctrl=3) / bpdu / Raw(aim.cargo)))
    aim.send(aim.ether(ALL, type=0x9000) / Raw(b"\0\0" + aim.cargo))  # loop detection


def eapol(aim: Aim) -> None:
    aim.send(aim.ether("01:80:c2:00:00:03", type=0x888E) / Raw(b"\x01\x01\0\x17" + aim.cargo))
    aim.send(aim.ether(SLOW, type=0x8809) / Raw(b"\x01\x01" + aim.cargo))  # LACP
    aim.send(aim.ether(SLOW, type=0x8809) / Raw(b"\x03\0\x50\0" + aim.cargo))  # OAM
    aim.send(aim.ether(PAUSE, type=0x8808) / Raw(b"\0\x01\0\0" + aim.cargo))


def snap(aim: Aim) -> None:
    aim.send(bytes(Dot3(src=aim.own.host_mac, dst=ALL) / LLC(dsap=0xE0, ssap=0xE0, ctrl=3) / Raw(aim.cargo)))
    inner = LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=0, code=0x0800) / aim.ping(aim.own.box4)
    aim.send(bytes(Dot3(src=aim.own.host_mac, dst=aim.own.mac) / inner))
    for kind in (0x8137, 0x809B, 0x80F3, 0x6003):  # IPX, AppleTalk, its ARP, DECnet
        aim.send(aim.ether(ALL, type=kind) / Raw(aim.cargo))


def unknown_type(aim: Aim) -> None:
    for kind in (0x88B5, 0x88B6, 0xFFFE, 0x0600):
        aim.send(*(aim.ether(to, type=kind) / Raw(aim.cargo) for to in (aim.own.mac, ALL)))


def malformed(aim: Aim) -> None:
    for to in aim.all4[:3]:
        for lie in LIES:
            aim.send(aim.ip(to, **lie) / UDP(sport=aim.port, dport=4) / Raw(aim.cargo))
        aim.send(aim.ip(to) / UDP(sport=aim.port, dport=4, len=3) / Raw(aim.cargo))
        aim.send(aim.ether(type=0x86DD) / IP(bytes(aim.ping(to))))
    aim.send(aim.ether(type=0x0800) / Raw(aim.nonce))


def jumbo(aim: Aim) -> None:
    aim.send(*(aim.datagram(to, data=aim.nonce.ljust(JUMBO - 28 - len(aim.cargo))) for to in aim.all4))
