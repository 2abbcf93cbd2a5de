"""Attacks over IPv4: other zones' addresses, options, fragments, lies of routers, broadcast."""

# ruff: noqa: D103
# Each function is one attack; what it does, ``catalogue.py`` says under its name.
from __future__ import annotations

import socket
import struct

from scapy.layers.inet import (
    ICMP,
    IP,
    TCP,
    UDP,
    IPOption_LSRR,
    IPOption_Router_Alert,
    IPOption_RR,
    IPOption_SSRR,
    IPOption_Timestamp,
)
from scapy.packet import Raw
from scapy.utils import checksum

from gateway.isolation.probe.crafts.aim import CLOSED, Aim

ALL = "ff:ff:ff:ff:ff:ff"
TEST = "198.18"  # RFC 2544: nobody's; the box of the control has a route there


def group_mac(address: str) -> str:
    """Return the MAC that a multicast address goes to (RFC 1112 section 6.4)."""
    octets = socket.inet_aton(address)
    return f"01:00:5e:{octets[1] & 0x7F:02x}:{octets[2]:02x}:{octets[3]:02x}"


def icmp_other_zone(aim: Aim) -> None:
    aim.send(*(aim.ping(to) for to in aim.beyond4))


def udp_other_zone(aim: Aim) -> None:
    aim.send(*(aim.datagram(to) for to in aim.beyond4))


def tcp_other_zone(aim: Aim) -> None:
    for to in aim.beyond4:
        aim.send(*(aim.segment(to, port, "S", b"") for port in (22, 80, CLOSED)))


def false_sender(aim: Aim) -> None:
    for side in aim.others:
        aim.send(*(aim.datagram(to, source=side.host4) for to in aim.all4))
        aim.send(*(aim.datagram(to, source=side.box4) for to in (aim.own.box4, side.host4)))


def loopback_target(aim: Aim) -> None:
    aim.send(aim.datagram("127.0.0.1"), aim.datagram("127.0.0.1", source="127.0.0.1"), aim.ping("127.0.0.1"))


def icmp_questions(aim: Aim) -> None:
    for kind in (13, 15, 17, 10, 42):
        aim.send(*(aim.ip(to) / ICMP(type=kind, id=aim.number) / Raw(aim.cargo) for to in aim.all4))
    # Linux answers the first alone, without what came behind it: the answer is known by the time that was given.
    stamp = aim.four_bytes
    aim.send(*(aim.ip(to) / ICMP(type=13, id=aim.number, ts_ori=stamp) for to in aim.all4))
    aim.mark(struct.pack(">HH", aim.number, 0), struct.pack(">I", stamp))


def source_route_loose(aim: Aim) -> None:
    for to in aim.beyond4:
        for option in (IPOption_LSRR(routers=[to]), IPOption_LSRR(routers=[to, to])):
            aim.send(aim.ip(aim.own.box4, options=[option]) / UDP(sport=aim.port, dport=CLOSED) / Raw(aim.cargo))


def source_route_strict(aim: Aim) -> None:
    for to in aim.beyond4:
        option = IPOption_SSRR(routers=[to])
        aim.send(aim.ip(aim.own.box4, options=[option]) / UDP(sport=aim.port, dport=CLOSED) / Raw(aim.cargo))


def ip_options(aim: Aim) -> None:
    options = [IPOption_RR(routers=["0.0.0.0"] * 3), IPOption_Timestamp(flg=0), IPOption_Router_Alert()]
    for to in aim.all4:
        for option in options:
            aim.send(aim.ip(to, options=[option]) / ICMP(id=aim.number) / Raw(aim.cargo))
        aim.send(aim.ip(to, options=[options[2]]) / TCP(sport=aim.port, dport=aim.door, flags="S") / Raw(aim.cargo))


def _pieces(aim: Aim, to: str, cuts: list[tuple[int, int]], body: bytes, protocol: int) -> None:
    for start, end in cuts:
        more = "MF" if end < len(body) else 0
        aim.send(aim.ip(to, flags=more, frag=start // 8, proto=protocol) / Raw(body[start:end]))


def _body(aim: Aim, to: str, head: object, length: int) -> tuple[bytes, int]:
    packet = aim.ip(to) / head / Raw((aim.cargo * 8)[:length])
    whole = IP(bytes(packet))
    return bytes(whole.payload), int(whole.proto)


def fragments(aim: Aim) -> None:
    for to in aim.all4:
        for head in (ICMP(id=aim.number), UDP(sport=aim.port, dport=CLOSED)):
            body, protocol = _body(aim, to, head, 96)
            _pieces(aim, to, [(0, 48), (48, len(body))], body, protocol)


def fragments_overlapping(aim: Aim) -> None:
    for to in aim.all4:
        body, protocol = _body(aim, to, UDP(sport=aim.port, dport=CLOSED), 64)
        _pieces(aim, to, [(0, 40), (24, 56), (40, len(body))], body, protocol)


def fragments_tiny(aim: Aim) -> None:
    for to in aim.all4:
        body, protocol = _body(aim, to, TCP(sport=aim.port, dport=aim.door, flags="S", seq=aim.four_bytes), 24)
        _pieces(aim, to, [(0, 8), (8, len(body))], body, protocol)


def fragments_last(aim: Aim) -> None:
    for to in aim.all4:
        aim.send(aim.ip(to, frag=4, proto=17) / Raw(aim.cargo))


def _lie(aim: Aim, kind: int, code: int, sender: str, told: str, **fields: object) -> None:
    high, low = aim.octets()
    target = f"{TEST}.{high}.{low}"
    aim.trace(f"{target} cache {told}")
    # Linux takes such news to heart where they quote an echo reply of its own: that needs no socket.
    quoted = IP(src=aim.own.box4, dst=target, id=aim.number) / ICMP(type=0, id=aim.number) / Raw(aim.cargo)
    aim.send(aim.ip(aim.own.box4, sender) / ICMP(type=kind, code=code, **fields) / Raw(bytes(quoted)))


def redirect(aim: Aim) -> None:
    _lie(aim, 5, 1, aim.own.neighbour4, "redirected", gw=aim.own.host4)


def pmtu(aim: Aim) -> None:
    _lie(aim, 3, 4, aim.own.host4, "mtu 600", nexthopmtu=600)


def broadcast_ping(aim: Aim) -> None:
    for to in ("255.255.255.255", aim.own.broadcast4):
        aim.send(aim.ether(ALL) / aim.ping(to), aim.ether() / aim.ping(to))


def broadcast_directed(aim: Aim) -> None:
    for side in aim.others:
        aim.send(aim.datagram(side.broadcast4), aim.ping(side.broadcast4))


def multicast_ping(aim: Aim) -> None:
    for group in ("224.0.0.1", "224.0.0.2", "224.0.0.22"):
        aim.send(aim.ether(group_mac(group)) / aim.ping(group))


def broadcast(aim: Aim) -> None:
    aim.send(*(aim.ether(ALL) / aim.datagram(to) for to in ("255.255.255.255", aim.own.broadcast4)))


def multicast(aim: Aim) -> None:
    for group in ("224.0.0.1", "239.255.1.1", "232.1.1.1", "233.252.0.1"):
        aim.send(aim.ether(group_mac(group)) / aim.datagram(group))


def igmp(aim: Aim) -> None:
    group = "239.255.1.1"
    for kind, to in ((0x11, "224.0.0.1"), (0x16, group), (0x17, "224.0.0.2"), (0x22, "224.0.0.22")):
        head = struct.pack(">BBH", kind, 10, 0) + socket.inet_aton(group)
        aim.send(aim.ether(group_mac(to)) / aim.ip(to, proto=2, ttl=1) / Raw(head + aim.cargo))


def protocols(aim: Aim) -> None:
    whole = bytes(aim.ip(aim.own.box4, proto=0, chksum=0) / Raw(aim.cargo))
    # Packets that differ in two bytes need not be made one by one.
    heads = (whole[:9] + bytes([number]) + whole[10:20] for number in range(256) if number not in (1, 6, 17))
    aim.send_made(head[:10] + struct.pack(">H", checksum(head)) + head[12:] + whole[20:] for head in heads)
    for to in aim.beyond4:
        aim.send(*(aim.ip(to, proto=number) / Raw(aim.cargo) for number in (2, 46, 88, 89, 103, 112, 253)))
