"""Raw sockets: frames out of a port, and everything that passes one."""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass

ETH_P_ALL = 0x0003
OUTGOING = 4  # PACKET_OUTGOING
FORCED_BUFFER = 33  # SO_RCVBUFFORCE
BUFFER = 64 << 20  # bytes: the frames of all attacks at once
LARGEST = 65536 + 64
HEADER_OF_6 = 36  # IPV6_HDRINCL
TRIES = 200  # of a millisecond, while a port's queue is full


@dataclass(frozen=True)
class Ear:
    """A raw socket that listens for what may not come to a zone."""

    zone: str
    socket: socket.socket
    outside: bool  # at the far end of the zone's wire, where the attacker sits; otherwise in the zone's namespace


def open_wire(interface: str = "") -> socket.socket:
    """Return a raw socket on ``interface`` of the namespace that the thread is in, or on all of them.

    Raises:
        OSError: there is no such interface, or the kernel refuses.
    """
    # Without a protocol nothing is heard before the socket is bound.
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0 if interface else socket.htons(ETH_P_ALL))
    try:
        wire.setsockopt(socket.SOL_SOCKET, FORCED_BUFFER, BUFFER)
        if interface:
            wire.bind((interface, ETH_P_ALL))
    except OSError:
        wire.close()
        raise
    return wire


def send(wire: socket.socket, frame: bytes) -> bool:
    """Send a frame; return whether it fits through the port.

    Raises:
        OSError: the port is down or gone.
    """
    for _ in range(TRIES):
        try:
            wire.send(frame)
            return True
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                return False
            if error.errno != errno.ENOBUFS:
                raise
            select.select([], [], [], 0.001)  # the port's queue is full: let it send
    raise OSError(errno.ENOBUFS, "the port's queue stays full")


def heard(ears: list[Ear], seconds: float) -> Iterator[tuple[Ear, bytes, bool]]:
    """Yield (ear, frame, whether it went out there) for all that is there, after waiting at most ``seconds`` for the first."""
    ready, _, _ = select.select([ear.socket for ear in ears], [], [], seconds)
    for ear in ears:
        while ear.socket in ready:
            try:
                frame, told = ear.socket.recvfrom(LARGEST, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            yield ear, frame, told[2] == OUTGOING


def send_from_within(packet: bytes) -> str:
    """Send an IP packet by a raw socket of the thread's namespace; return why the kernel does not, or nothing."""
    six = packet[0] >> 4 == 6
    family = socket.AF_INET6 if six else socket.AF_INET
    with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        if six:
            raw.setsockopt(socket.IPPROTO_IPV6, HEADER_OF_6, 1)
        target = socket.inet_ntop(family, packet[24:40] if six else packet[16:20])
        try:
            raw.sendto(packet, (target, 0))
        except OSError as error:
            return str(error.strerror)
    return ""
