"""Attacks on the transport: TCP out of order, and protocols that nobody offers."""

# ruff: noqa: D103
# Each function is one attack; what it does, ``catalogue.py`` says under its name.
from __future__ import annotations

import struct

from scapy.packet import Raw

from gateway.isolation.probe.crafts.aim import CLOSED, Aim


def _scan(aim: Aim, flags: str, data: bytes | None = b"") -> None:
    """Send segments with ``flags`` to the zone's own service, a closed port, and beyond."""
    for port in dict.fromkeys((aim.door, CLOSED)):
        aim.send(aim.segment(aim.own.box4, port, flags, data))
    # What no answer tells is seen beyond by its cargo.
    aim.send(*(aim.segment(to, 80, flags) for to in aim.beyond4))


def ack_scan(aim: Aim) -> None:
    _scan(aim, "A")
    _scan(aim, "PA", None)


def fin_scan(aim: Aim) -> None:
    _scan(aim, "F")
    _scan(aim, "FA")


def null_scan(aim: Aim) -> None:
    _scan(aim, "")


def xmas_scan(aim: Aim) -> None:
    _scan(aim, "FPU")
    _scan(aim, "FSRPAUEC")


def syn_fin(aim: Aim) -> None:
    _scan(aim, "SF")
    _scan(aim, "SFPU")


def syn_reset(aim: Aim) -> None:
    _scan(aim, "R")
    _scan(aim, "RA")
    _scan(aim, "SR")


def split_handshake(aim: Aim) -> None:
    """An answer of ACK, then a SYN where SYN and ACK belong together (RFC 793 section 3.4)."""
    for to in (aim.own.box4, *aim.beyond4):
        aim.send(aim.segment(to, CLOSED, "A"), aim.segment(to, CLOSED, "S"))


def simultaneous_open(aim: Aim) -> None:
    _scan(aim, "SA")


def urgent(aim: Aim) -> None:
    for port in dict.fromkeys((aim.door, CLOSED)):
        aim.send(aim.segment(aim.own.box4, port, "AU", urgptr=3))
    aim.send(*(aim.segment(to, 80, "AU", urgptr=3) for to in aim.beyond4))


def data_in_syn(aim: Aim) -> None:
    cookie = [(34, aim.nonce), ("EOL", None)]
    for to in aim.all4:
        aim.send(aim.segment(to, CLOSED, "S"), aim.segment(to, CLOSED, "S", options=cookie))
        aim.send(aim.segment(to, CLOSED, "S", options=[(34, b""), ("EOL", None)]))


def tcp6_scan(aim: Aim) -> None:
    for flags in ("S", "A", "F", "", "FPU", "SA", "SF"):
        aim.send(*(aim.segment(to, CLOSED, flags) for to in aim.all6))


def mptcp(aim: Aim) -> None:
    capable = (30, b"\x01\x81" + aim.nonce)
    join = (30, struct.pack(">BBII", 0x10, 1, aim.four_bytes, aim.number))
    for option in (capable, join):
        aim.send(*(aim.segment(to, CLOSED, "S", options=[option]) for to in aim.all4))


def _bare(aim: Aim, protocol: int, head: bytes) -> None:
    aim.send(*(aim.ip(to, proto=protocol) / Raw(head + aim.cargo) for to in aim.all4))
    aim.send(*(aim.ip(to, nh=protocol) / Raw(head + aim.cargo) for to in aim.all6))


def sctp(aim: Aim) -> None:
    common = struct.pack(">HHII", aim.port, 80, 0, 0)
    aim.mark(struct.pack(">HHI", 80, aim.port, aim.four_bytes))  # an ABORT bears the tag of the INIT
    _bare(aim, 132, common + struct.pack(">BBHIIHHI", 1, 0, 20, aim.four_bytes, 65535, 1, 1, 1))
    _bare(aim, 132, common + struct.pack(">BBH", 10, 0, 4))  # COOKIE ECHO


def dccp(aim: Aim) -> None:
    _bare(aim, 33, struct.pack(">HHBBHBBHII", aim.port, 80, 5, 0, 0, 1, 0, 0, aim.four_bytes, 0))


def udp_lite(aim: Aim) -> None:
    _bare(aim, 136, struct.pack(">HHHH", aim.port, CLOSED, 8, 0))


def other_services(aim: Aim) -> None:
    """Ask here, at the box's address here and there, for what other zones are offered."""
    for side in aim.others:
        for door in side.doors:
            protocol, _, text = door.partition("/")
            if door in aim.own.doors:
                continue
            for to in (aim.own.box4, side.box4, aim.own.box6, side.box6):
                aim.send(aim.datagram(to, int(text)) if protocol == "udp" else _opening(aim, to, int(text)))
    # Zones that offer nothing leave the usual ones to ask for.
    for port in (22, 9100):
        if f"tcp/{port}" not in aim.own.doors:
            aim.send(_opening(aim, aim.own.box4, port), *(_opening(aim, side.box4, port) for side in aim.others))


def _opening(aim: Aim, to: str, port: int) -> object:
    return aim.segment(to, port, "S", b"")


def raw_socket(aim: Aim) -> None:
    for to in [*aim.beyond4, *aim.beyond6]:
        source = aim.own.box6 if ":" in to else aim.own.box4
        aim.send(aim.ping(to, source), aim.datagram(to, source=source))
