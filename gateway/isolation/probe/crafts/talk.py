"""Attacks in what programs say: DHCP, names, time, helpers."""

# ruff: noqa: D103
# Each function is one attack; what it does, ``catalogue.py`` says under its name.
from __future__ import annotations

import struct

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dhcp6 import DUID_LL, DHCP6_Advertise, DHCP6_Solicit, DHCP6OptClientId, DHCP6OptServerId
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from gateway.isolation.probe.crafts.aim import CLOSED, Aim
from gateway.isolation.probe.crafts.four import ALL, group_mac

PATTERN = 1  # a DNS question's type: A


def _dhcp(aim: Aim, to: str, ports: tuple[int, int], kind: str, mac: str = "", **fields: object) -> None:
    op = 2 if kind in ("offer", "ack") else 1
    told = BOOTP(op=op, chaddr=aim.cargo[:16], xid=aim.four_bytes, **fields)
    options = DHCP(options=[("message-type", kind), ("server_id", aim.own.host4), (224, aim.cargo), "end"])
    source = "0.0.0.0" if kind == "discover" and to == "255.255.255.255" else aim.own.host4
    head = aim.ip(to, source) / UDP(sport=ports[0], dport=ports[1])
    aim.send(aim.ether(mac) / head / told / options)


def dhcp_offer(aim: Aim) -> None:
    for kind in ("offer", "ack"):
        _dhcp(aim, aim.own.box4, (67, 68), kind, yiaddr=aim.own.neighbour4, siaddr=aim.own.host4)
        _dhcp(aim, "255.255.255.255", (67, 68), kind, ALL, yiaddr=aim.own.neighbour4)


def dhcp_relay(aim: Aim) -> None:
    _dhcp(aim, aim.own.box4, (67, 67), "discover", giaddr=aim.own.host4)
    for side in aim.others:
        _dhcp(aim, side.host4, (67, 67), "discover", giaddr=side.box4)


def dhcp_discover(aim: Aim) -> None:
    _dhcp(aim, "255.255.255.255", (68, 67), "discover", ALL)


def dhcp6(aim: Aim) -> None:
    who = DUID_LL(lladdr=aim.stranger)
    offer = DHCP6_Advertise(trid=aim.number) / DHCP6OptServerId(duid=who)
    ask = DHCP6_Solicit(trid=aim.number) / DHCP6OptClientId(duid=who)
    for to in aim.all6:
        aim.send(aim.ip(to) / UDP(sport=547, dport=546) / offer / Raw(aim.cargo))
        aim.send(aim.ip(to) / UDP(sport=546, dport=547) / ask / Raw(aim.cargo))
    group = "ff02::1:2"
    aim.send(
        aim.ether("33:33:00:01:00:02") / IPv6(src=aim.own.host6, dst=group) / UDP(dport=547) / ask / Raw(aim.cargo)
    )


def _question(aim: Aim, name: str, kind: int = 16) -> bytes:
    # The nonce stands in a label as it is: a label may hold any bytes (RFC 2181 section 11).
    return bytes(DNS(id=aim.number, rd=1, qd=DNSQR(qname=aim.nonce + name.encode(), qtype=kind)))


def dns_tunnel(aim: Aim) -> None:
    told = _question(aim, ".tunnel.example")
    # A zone may be offered names: then those of other zones are asked alone.
    ends = [*aim.beyond4, *aim.beyond6] if "udp/53" in aim.own.doors else [*aim.all4, *aim.all6]
    for to in ends:
        aim.send(aim.ip(to) / UDP(sport=aim.port, dport=53) / Raw(told + aim.cargo))
    aim.send(*(aim.segment(to, 53, "S", b"") for to in (aim.beyond4 if "tcp/53" in aim.own.doors else aim.all4)))


def icmp_tunnel(aim: Aim) -> None:
    aim.send(aim.ping(aim.own.box4), aim.ping(aim.own.box4) / Raw(aim.cargo * 40))
    aim.send(*(aim.ping(to) / Raw(aim.cargo * 40) for to in aim.beyond4))


def _group(aim: Aim, group: str, port: int, told: bytes) -> None:
    aim.send(aim.ether(group_mac(group)) / aim.ip(group) / UDP(sport=port, dport=port) / Raw(told + aim.cargo))


def mdns(aim: Aim) -> None:
    _group(aim, "224.0.0.251", 5353, _question(aim, ".local", PATTERN))
    head = IPv6(src=aim.own.host6, dst="ff02::fb", hlim=255) / UDP(sport=5353, dport=5353)
    aim.send(aim.ether("33:33:00:00:00:fb") / head / Raw(_question(aim, ".local", PATTERN)))


def llmnr(aim: Aim) -> None:
    _group(aim, "224.0.0.252", 5355, _question(aim, "", PATTERN))
    asked = struct.pack(">HHHHHH", aim.number, 0x0110, 1, 0, 0, 0) + b"\x20" + b"CK" + b"A" * 30 + b"\0\0\x20\0\x01"
    for port in (137, 138):
        aim.send(aim.ether(ALL) / aim.ip(aim.own.broadcast4) / UDP(sport=port, dport=port) / Raw(asked + aim.cargo))


def ssdp(aim: Aim) -> None:
    _group(aim, "239.255.255.250", 1900, b'M-SEARCH * HTTP/1.1\r\nMAN: "ssdp:discover"\r\nST: ssdp:all\r\nX: ')
    _group(aim, "239.255.255.250", 3702, b"<Probe>")


def ftp_port(aim: Aim) -> None:
    for side in aim.others:
        octets = side.host4.replace(".", ",")
        order = f"PORT {octets},{aim.port >> 8},{aim.port & 255}\r\n".encode()
        aim.send(*(aim.segment(to, 21, "PA", order + aim.cargo) for to in (aim.own.box4, side.box4, side.host4)))


def sip_invite(aim: Aim) -> None:
    aim.trace(f"dport={aim.port} sip/audio")
    for to in aim.all4:
        sound = f"v=0\r\no=- 1 1 IN IP4 {aim.own.host4}\r\ns=-\r\nc=IN IP4 {aim.own.host4}\r\nt=0 0\r\nm=audio {aim.port} RTP/AVP 0\r\n"
        head = (
            f"INVITE sip:a@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {aim.own.host4}:5060\r\nFrom: <sip:b@{aim.own.host4}>;tag=1\r\n"
            f"To: <sip:a@{to}>\r\nCall-ID: {aim.word}\r\nCSeq: 1 INVITE\r\nContact: <sip:b@{aim.own.host4}>\r\n"
            f"Content-Type: application/sdp\r\nContent-Length: {len(sound)}\r\n"
        ).encode()
        # A header of bytes that are no text carries the nonce itself.
        told = head + b"X-Probe: " + aim.nonce + b"\r\n\r\n" + sound.encode()
        aim.send(aim.ip(to) / UDP(sport=5060, dport=5060) / Raw(told))


def tftp_request(aim: Aim) -> None:
    aim.trace(f"dport={aim.port} tftp")
    aim.send(*(aim.datagram(to, 69, b"\0\x01file\0octet\0") for to in aim.all4))


def ntp(aim: Aim) -> None:
    for mode in (3, 5, 6, 7):
        # The transmit timestamp is the nonce: a server gives it back as the origin's.
        body = bytes([4 << 3 | mode]) + bytes(39) + aim.nonce
        ends = aim.beyond4 if "udp/123" in aim.own.doors else aim.all4
        aim.send(*(aim.ip(to) / UDP(sport=aim.port, dport=123) / Raw(body) for to in ends))


def ptp(aim: Aim) -> None:
    told = struct.pack(">BBH", 0x0B, 2, 64) + bytes(30)
    aim.send(aim.ether("01:1b:19:00:00:00", type=0x88F7) / Raw(told + aim.cargo))
    for port in (319, 320):
        aim.send(
            aim.ether(group_mac("224.0.1.129"))
            / aim.ip("224.0.1.129")
            / UDP(sport=port, dport=port)
            / Raw(told + aim.cargo)
        )
    aim.send(*(aim.datagram(to, CLOSED) for to in aim.beyond4))
