"""Attacks over IPv6: routers, neighbours, extension headers, fragments."""

# ruff: noqa: D103
# Each function is one attack; what it does, ``catalogue.py`` says under its name.
from __future__ import annotations

import ipaddress
import struct

from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6MLQuery,
    ICMPv6MLReport,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptRDNSS,
    ICMPv6NDOptRouteInfo,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    IPv6ExtHdrSegmentRouting,
    PadN,
)
from scapy.packet import Raw

from gateway.isolation.probe.crafts.aim import CLOSED, Aim

ALL_NODES, ALL_NODES_MAC = "ff02::1", "33:33:00:00:00:01"
ROUTER = "fe80::6867"  # the attacker as a router; the box of the control knows it as one
TEST = "2001:db8:ffff"  # nobody's (RFC 3849); the box of the control has a route there


def _words(aim: Aim) -> str:
    """Return the nonce as four groups of an IPv6 address, as the kernel prints it."""
    return ":".join(f"{part:x}" for part in struct.unpack(">4H", aim.nonce))


def _prefix(aim: Aim) -> str:
    """Return a /64 of this shot alone, as the kernel prints it."""
    first, *rest = struct.unpack(">3H", aim.nonce[2:])
    return str(ipaddress.ip_address(struct.pack(">4H8x", 0x2001, first, *rest)))


def icmp6_other_zone(aim: Aim) -> None:
    aim.send(*(aim.ping(to) for to in aim.beyond6))


def udp6_other_zone(aim: Aim) -> None:
    aim.send(*(aim.datagram(to) for to in aim.beyond6))


def tcp6_other_zone(aim: Aim) -> None:
    for to in aim.beyond6:
        aim.send(*(aim.segment(to, port, "S", b"") for port in (22, 80, CLOSED)))


def false_sender6(aim: Aim) -> None:
    for side in aim.others:
        aim.send(*(aim.datagram(to, source=side.host6) for to in aim.all6))


def _advertise(aim: Aim, *options: object, lifetime: int = 0) -> None:
    packet = aim.ether(ALL_NODES_MAC) / IPv6(src=ROUTER, dst=ALL_NODES, hlim=255)
    packet /= ICMPv6ND_RA(routerlifetime=lifetime)
    for option in options:
        packet /= option
    aim.send(packet)


def ra_address(aim: Aim) -> None:
    aim.trace(_prefix(aim).rstrip(":") + ":")
    _advertise(aim, ICMPv6NDOptPrefixInfo(prefix=_prefix(aim), prefixlen=64, validlifetime=600, preferredlifetime=600))


def ra_router(aim: Aim) -> None:
    router = str(ipaddress.ip_address(bytes.fromhex("fe80000000000000") + aim.nonce))
    aim.trace(f"via {router}")
    head = IPv6(src=router, dst=ALL_NODES, hlim=255) / ICMPv6ND_RA(routerlifetime=600)
    aim.send(aim.ether(ALL_NODES_MAC) / head / ICMPv6NDOptSrcLLAddr(lladdr=aim.stranger))


def ra_route(aim: Aim) -> None:
    aim.trace(_prefix(aim))
    _advertise(aim, ICMPv6NDOptRouteInfo(prefix=_prefix(aim), plen=64, rtlifetime=600), lifetime=600)


def ra_names(aim: Aim) -> None:
    server = str(ipaddress.ip_address(bytes.fromhex("20010db8ffff0001") + aim.nonce))
    aim.trace(f"nameserver {server}")
    _advertise(aim, ICMPv6NDOptRDNSS(lifetime=600, dns=[server]), lifetime=600)


def ra_mtu(aim: Aim) -> None:
    size = 1281 + aim.number % 200
    aim.trace(f"mtu={size}")
    _advertise(aim, ICMPv6NDOptMTU(mtu=size), lifetime=600)


def _solicited(address: str) -> tuple[str, str]:
    tail = ipaddress.ip_address(address).packed[-3:]
    group = ipaddress.ip_address(bytes.fromhex("ff0200000000000000000001ff") + tail)
    return str(group), "33:33:ff:" + tail.hex(":")


def ns_other_box(aim: Aim) -> None:
    aim.mark_stranger()
    for side in aim.others:
        group, mac = _solicited(side.box6)
        ask = ICMPv6ND_NS(tgt=side.box6) / ICMPv6NDOptSrcLLAddr(lladdr=aim.stranger)
        for to, to_mac in ((group, mac), (side.box6, aim.own.mac), (aim.own.box6, aim.own.mac)):
            aim.send(aim.ether(to_mac) / aim.ip(to, _newcomer(aim), hlim=255) / ask)


def _newcomer(aim: Aim) -> str:
    """Return the address of a host of the zone that bears the nonce: an answer to it is known by that."""
    network = ipaddress.IPv6Interface(f"{aim.own.box6}/{aim.own.prefix6}").network
    if network.prefixlen > 64:
        return aim.own.host6
    return str(ipaddress.ip_address(network.network_address.packed[:8] + aim.nonce))


def na_unasked(aim: Aim) -> None:
    aim.trace(aim.stranger)
    tell = ICMPv6ND_NA(tgt=aim.own.neighbour6, R=0, S=0, O=1) / ICMPv6NDOptDstLLAddr(lladdr=aim.stranger)
    head = IPv6(src=aim.own.neighbour6, dst=ALL_NODES, hlim=255)
    aim.send(aim.ether(ALL_NODES_MAC) / head / tell)
    aim.send(aim.ether() / IPv6(src=aim.own.neighbour6, dst=aim.own.box6, hlim=255) / tell)


def ns_pinned(aim: Aim) -> None:
    aim.trace(aim.stranger)
    for address in aim.own.pinned:
        if ":" in address:
            ask = ICMPv6ND_NS(tgt=aim.own.box6) / ICMPv6NDOptSrcLLAddr(lladdr=aim.stranger)
            aim.send(aim.ip(aim.own.box6, address, hlim=255) / ask)


def icmp6_all(aim: Aim) -> None:
    for source in (aim.own.host6, ROUTER):
        aim.send(aim.ether(ALL_NODES_MAC) / aim.ping(ALL_NODES, source))


def mld(aim: Aim) -> None:
    group, mac = "ff05::6867", "33:33:00:00:68:67"
    for head in (ICMPv6MLQuery(mladdr=group), ICMPv6MLReport(mladdr=group)):
        aim.send(aim.ether(mac) / IPv6(src=ROUTER, dst=group, hlim=1) / IPv6ExtHdrHopByHop() / head / Raw(aim.cargo))


def _to_port(aim: Aim, to: str, *headers: object) -> None:
    packet = aim.ip(to)
    for header in headers:
        packet /= header
    aim.send(packet / UDP(sport=aim.port, dport=CLOSED) / Raw(aim.cargo))


def routing_header_0(aim: Aim) -> None:
    for to in aim.beyond6:
        _to_port(aim, aim.own.box6, IPv6ExtHdrRouting(addresses=[to]))


def segment_routing(aim: Aim) -> None:
    for to in aim.beyond6:
        route = IPv6ExtHdrSegmentRouting(addresses=[to, aim.own.box6], segleft=1, lastentry=1)
        _to_port(aim, aim.own.box6, route)


def hop_by_hop(aim: Aim) -> None:
    for to in aim.all6:
        padding = [PadN(optdata=b"\0" * 4)]
        _to_port(aim, to, IPv6ExtHdrHopByHop(options=padding))
        _to_port(aim, to, IPv6ExtHdrDestOpt(options=padding))


def _pieces(aim: Aim, to: str, cuts: list[tuple[int, int]], body: bytes, protocol: int) -> None:
    for start, end in cuts:
        more = int(end < len(body))
        piece = IPv6ExtHdrFragment(nh=protocol, id=aim.four_bytes, offset=start // 8, m=more)
        aim.send(aim.ip(to) / piece / Raw(body[start:end]))


def _body(aim: Aim, to: str, head: object, length: int) -> bytes:
    return bytes(IPv6(bytes(aim.ip(to) / head / Raw((aim.cargo * 8)[:length]))).payload)


def fragments6(aim: Aim) -> None:
    for to in aim.all6:
        body = _body(aim, to, ICMPv6EchoRequest(id=aim.number), 96)
        _pieces(aim, to, [(0, 48), (48, len(body))], body, 58)


def fragments6_overlapping(aim: Aim) -> None:
    for to in aim.all6:
        body = _body(aim, to, UDP(sport=aim.port, dport=CLOSED), 64)
        _pieces(aim, to, [(0, 40), (24, 56), (40, len(body))], body, 17)


def fragments6_atomic(aim: Aim) -> None:
    for to in aim.all6:
        body = _body(aim, to, TCP(sport=aim.port, dport=aim.door, flags="S", seq=aim.four_bytes), 24)
        _pieces(aim, to, [(0, len(body))], body, 6)
        ping = _body(aim, to, ICMPv6EchoRequest(id=aim.number), 24)
        _pieces(aim, to, [(0, len(ping))], ping, 58)


def redirect6(aim: Aim) -> None:
    target = f"{TEST}:{_words(aim).partition(':')[2]}::1"
    # The router that the box of the control uses tells it of a better one.
    better = "fe80::6868"
    aim.trace(f"{ipaddress.ip_address(target)} via {better}")
    told = ICMPv6ND_Redirect(tgt=better, dst=target) / ICMPv6NDOptDstLLAddr(lladdr=aim.stranger)
    aim.send(aim.ether() / IPv6(src=ROUTER, dst=aim.own.box6, hlim=255) / told)


def pmtu6(aim: Aim) -> None:
    target = str(ipaddress.ip_address(f"{TEST}:{_words(aim).partition(':')[2]}::1"))
    aim.trace(f"{target} mtu 1300")
    quoted = IPv6(src=aim.own.box6, dst=target) / ICMPv6EchoRequest(id=aim.number) / Raw(aim.cargo)
    aim.send(aim.ip(aim.own.box6) / ICMPv6PacketTooBig(mtu=1300) / Raw(bytes(quoted)))
