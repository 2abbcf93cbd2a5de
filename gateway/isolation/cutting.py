"""Screens' connections of one zone, by the kernel's own messages (sock_diag): destroyed on request, and what had not left when they ended.

A connection is only ever touched where its end at the box is a delivery of the policy. What a program wrote to a connection waits
in the kernel until TCP sends it; where the connection ends before, that never leaves, though the program believes it sent. The
kernel tells it once (SKNLGRP_INET_TCP_DESTROY, <linux/sock_diag.h>), and a filter in the kernel lets those pass alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import ipaddress
import socket
import struct
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Container, Iterable, Sequence
from typing import NamedTuple

from appliance.runtime.errors import Refused
from gateway.isolation.bridges.netlink import LARGEST, SOCK_DIAG, Netlink, attributes, messages
from gateway.isolation.bridges.sockets import BY_FAMILY, FAMILIES, TCP_STATES, close
from gateway.isolation.policy import Policy

FEW = 100  # connections that are looked for one by one
MOST_KEPT = 4096  # connections that ended with something unsent, of one zone
SOON = 5.0  # seconds within which the kernel tells of what was destroyed
BUFFER = 1 << 20  # bytes that the kernel keeps for us
GONE = (errno.ENOENT, errno.ESTALE)
ASK_INFO = 1 << 1  # of INET_DIAG_INFO
INFO, UNSENT = 2, 144  # INET_DIAG_INFO; place of tcpi_notsent_bytes in struct tcp_info
TCP_LISTEN = 10
FINISHING = (4, 9, 11)  # TCP_FIN_WAIT1, TCP_LAST_ACK, TCP_CLOSING: a FIN waits too, which counts as a byte
GROUPS = (1, 3)  # SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET6_TCP_DESTROY
SOL_NETLINK, ADD_MEMBERSHIP, RCVBUFFORCE, ATTACH_FILTER = 270, 1, 33, 26
_QUERY = struct.Struct("=BBBxI")  # struct inet_diag_req_v2 up to its id
_ANY_COOKIE = b"\xff" * 8  # INET_DIAG_NOCOOKIE
# <linux/filter.h>: find the attribute INET_DIAG_INFO behind nlmsghdr and inet_diag_msg; pass where its bytes at UNSENT are not 0.
_FILTER = [
    (0x00, 0, 0, 88),  # A = 88
    (0x01, 0, 0, INFO),  # X = INFO
    (0x20, 0, 0, 0xFFFFF000 + 12),  # A = where that attribute is (SKF_AD_NLATTR), 0: nowhere
    (0x15, 3, 0, 0),  # if A == 0: pass nothing
    (0x07, 0, 0, 0),  # X = A
    (0x40, 0, 0, 4 + UNSENT),  # A = the word at X + 4 + UNSENT
    (0x15, 0, 1, 0),  # if A != 0: pass
    (0x06, 0, 0, 0),
    (0x06, 0, 0, 0xFFFFFFFF),
]
_CODE = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in _FILTER))
_PROGRAM = struct.pack("@HP", len(_FILTER), ctypes.addressof(_CODE))

Screen = tuple[str, int]  # address and port of a connection's end at a screen
Ends = tuple[tuple[str, int], ...]  # addresses and ports of deliveries


class Gone(NamedTuple):
    """A connection that ended: what the kernel had taken of it and never sent."""

    serial: int  # ascending
    address: str
    port: int
    unsent: int  # bytes
    at: float  # seconds since 1970 at which it was heard of
    fin: bool  # whether a FIN may be among them, which TCP counts as a byte


def ends_of(policy: Policy, zone: str) -> Ends:
    """Return where screens of ``zone`` meet its deliveries."""
    ports = {s.listen.port for s in policy.services.values() if (s.zone, s.run) == (zone, "delivery")}
    if zone not in policy.zones:
        return ()
    return tuple((str(address.ip), port) for address in policy.zones[zone].addresses for port in sorted(ports))


class Cutter:
    """The connections of one zone; ``inside`` runs work in its namespace. One thread at a time."""

    def __init__(self, inside: Callable[[Callable[[], Netlink]], Netlink]) -> None:
        self._inside = inside
        self._finishing: OrderedDict[Screen, float] = OrderedDict()

    def cut(self, screens: Iterable[Screen], ends: Ends, *, look: bool = False) -> list[tuple[str, int, int]]:
        """Destroy what ``screens`` have open towards ``ends``, or only look; return those that were there, and what waited unsent.

        Raises:
            Refused: this kernel cannot (``cannot-cut``).
            KernelFailed: the zone's namespace is gone.
        """
        wanted = set(screens)
        with self._inside(lambda: Netlink(SOCK_DIAG)) as netlink:
            try:
                if look and len(wanted) > FEW:
                    return _all(netlink, wanted, ends)
                return [
                    (*screen, unsent)
                    for screen in wanted
                    for end in ends
                    if (":" in end[0]) == (":" in screen[0])
                    and (unsent := self._one(netlink, screen, end, look=look)) is not None
                ]
            except OSError as error:
                raise _refused(error) from error

    def _one(self, netlink: Netlink, screen: Screen, end: tuple[str, int], *, look: bool) -> int | None:
        family = socket.AF_INET6 if ":" in end[0] else socket.AF_INET
        identity = _identity(end, screen)
        body = _QUERY.pack(family, socket.IPPROTO_TCP, ASK_INFO, 0xFFFFFFFF) + identity + bytes(4) + _ANY_COOKIE
        try:
            told = netlink.ask(BY_FAMILY, body)
            # Where there is no such connection the kernel may show what listens there instead, which is not to be touched.
            if told[1] == TCP_LISTEN or told[4:40] != identity:
                return None
            finishing = told[1] in FINISHING
            if not look:
                if finishing:
                    self._finishing[screen] = time.monotonic()
                    while len(self._finishing) > MOST_KEPT:
                        self._finishing.popitem(last=False)
                # With its cookie: this one, and none that came after it.
                close(netlink, family, socket.IPPROTO_TCP, told[4:52])
        except OSError as error:
            if error.errno in GONE:
                return None
            raise
        unsent = _unsent(told)
        return unsent - finishing if unsent else 0

    def finished(self, screen: Screen) -> bool:
        """Return, once, whether a FIN waited in a connection that was destroyed just now."""
        return time.monotonic() - self._finishing.pop(screen, -SOON) < SOON


class Listener:
    """Hears of each screen's connection of one zone that ended with something unsent."""

    def __init__(
        self, inside: Callable[[Callable[[], Netlink]], Netlink], cutter: Cutter, ends: Callable[[], Ends]
    ) -> None:
        self._cutter, self._ends = cutter, ends
        self._kept: deque[Gone] = deque(maxlen=MOST_KEPT)
        self._serial = 0
        self.missed = 0  # times that the kernel told more than it could keep for us
        self.netlink = inside(_listening)

    def close(self) -> None:
        """Hear no more."""
        self.netlink.socket.close()

    def hear(self, now: Callable[[], float] = time.time) -> None:
        """Take what the kernel told meanwhile."""
        while True:
            try:
                data = self.netlink.socket.recv(LARGEST)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.missed += 1
                continue
            for kind, _, payload in messages(data):
                if kind == BY_FAMILY and (gone := _gone(payload)) is not None:
                    end, screen, unsent = gone
                    finished = self._cutter.finished(screen)
                    if end in self._ends():
                        self._serial += 1
                        self._kept.append(Gone(self._serial, *screen, unsent - finished, now(), not finished))

    def since(self, serial: int) -> Sequence[Gone]:
        """Return what ended after ``serial``, oldest first."""
        return [gone for gone in self._kept if gone.serial > serial]


def _listening() -> Netlink:
    netlink = Netlink(SOCK_DIAG)
    with contextlib.ExitStack() as undo:
        undo.callback(netlink.socket.close)
        netlink.socket.setsockopt(socket.SOL_SOCKET, RCVBUFFORCE, BUFFER)
        netlink.socket.setsockopt(socket.SOL_SOCKET, ATTACH_FILTER, _PROGRAM)
        netlink.socket.setblocking(False)
        for group in GROUPS:
            netlink.socket.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, group)
        undo.pop_all()
    return netlink


def _identity(end: tuple[str, int], screen: Screen) -> bytes:
    """Return struct inet_diag_sockid without interface and cookie: the box's end first."""
    addresses = b"".join(ipaddress.ip_address(address).packed.ljust(16, b"\0") for address, _ in (end, screen))
    return struct.pack(">HH", end[1], screen[1]) + addresses


def _gone(payload: bytes) -> tuple[tuple[str, int], Screen, int] | None:
    """Return both ends of a connection, and what it had unsent; None where the kernel tells less."""
    unsent = _unsent(payload)
    if not unsent:
        return None
    end, screen = _ends(payload)
    return end, screen, unsent


def _all(netlink: Netlink, wanted: Container[Screen], ends: Ends) -> list[tuple[str, int, int]]:
    """Return those of ``wanted`` that are there, out of all connections, which is quicker than asking for each of many."""
    found = []
    for family in FAMILIES:
        body = _QUERY.pack(family, socket.IPPROTO_TCP, ASK_INFO, TCP_STATES & ~(1 << TCP_LISTEN)) + bytes(48)
        for payload in netlink.dump(BY_FAMILY, body):
            end, screen = _ends(payload)
            if screen in wanted and end in ends:
                unsent = _unsent(payload)
                found.append((*screen, unsent - (payload[1] in FINISHING) if unsent else 0))
    return found


def _ends(payload: bytes) -> tuple[tuple[str, int], Screen]:
    length = 4 if payload[0] == socket.AF_INET else 16
    own, other = struct.unpack_from(">HH", payload, 4)
    addresses = [str(ipaddress.ip_address(payload[place : place + length])) for place in (8, 24)]
    return (addresses[0], own), (addresses[1], other)


def _unsent(payload: bytes) -> int:
    """Return how many bytes of a connection wait unsent, a FIN among them; 0 where the kernel does not tell."""
    info = attributes(payload, 72).get(INFO, b"")
    return int(struct.unpack_from("=I", info, UNSENT)[0]) if len(info) >= UNSENT + 4 else 0


def _refused(error: OSError) -> Refused:
    if error.errno in (errno.EOPNOTSUPP, errno.EINVAL):
        told = "the kernel cannot destroy connections: it needs CONFIG_INET_DIAG_DESTROY, which Debian's has"
        return Refused("cannot-cut", told, 501)
    return Refused("cannot-cut", f"the kernel does not destroy a connection: {error.strerror}", 502)
