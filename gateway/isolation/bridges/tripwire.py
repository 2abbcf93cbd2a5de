"""Hears of every change of links, addresses, routes, rules, neighbours, traffic control and rulesets as it happens.

A link that has no business there is set down at once, in the thread that hears of it; everything else wakes the guard to look now.
Lost messages count as a change that nobody knows.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from gateway.isolation.bridges import spaces
from gateway.isolation.bridges.judging_links import Expected, expected_of, is_port
from gateway.isolation.bridges.links import parse_link
from gateway.isolation.bridges.netlink import LARGEST, NETFILTER, ROUTE, Netlink, attributes, messages
from gateway.isolation.bridges.nouns import HOME, Space
from gateway.isolation.bridges.spaces import Zones
from gateway.isolation.bridges.undoing import set_down
from gateway.isolation.policy import Policy

log = logging.getLogger("headgate.guard")
SOL_NETLINK, ADD_MEMBERSHIP, DROP_MEMBERSHIP = 270, 1, 2
RCVBUFFORCE = 33
BUFFER = 4 << 20  # bytes that the kernel keeps for us
GAP = 0.02  # seconds between two calls of the guard
SWITCH = 0.0005  # seconds after which another thread of the guard lets this one run
LINK, NEIGHBOUR, NEWLINK, NEWNEIGH, DELNEIGH = 1, 3, 16, 28, 29
# Groups of <linux/rtnetlink.h> and what a message of them is about.
GROUPS = {LINK: "link", NEIGHBOUR: "neighbour", 4: "traffic control", 5: "address", 7: "route", 8: "rule", 9: "address",
          11: "route", 19: "rule", 28: "network namespace"}  # fmt: skip
ABOUT = {16: "link", 17: "link", 20: "address", 21: "address", 24: "route", 25: "route", 28: "neighbour", 29: "neighbour",
         32: "rule", 33: "rule", 36: "traffic control", 37: "traffic control", 40: "traffic control", 41: "traffic control",
         44: "traffic control", 45: "traffic control", 88: "network namespace", 89: "network namespace"}  # fmt: skip
RULESETS = 7  # NFNLGRP_NFTABLES
NEWGEN = 10 << 8 | 15
GEN_PID = 2
PERMANENT = 0x80  # NUD_PERMANENT: somebody's decision; all others come and go with traffic
UNKNOWN = "unknown change"


@dataclass
class _Wire:
    """The ears in one namespace."""

    space: Space
    heard: Netlink
    rulesets: Netlink
    orders: Netlink
    expected: Expected | None = None
    pinned: frozenset[bytes] = field(default_factory=frozenset)

    def close(self) -> None:
        for netlink in (self.heard, self.rulesets, self.orders):
            netlink.socket.close()


class Tripwire:
    """Listens in home and in every zone, in a thread of its own."""

    def __init__(self, kernel: Zones, *, virtual: bool) -> None:
        self._kernel, self._virtual = kernel, virtual
        self._wires: dict[int, _Wire] = {}
        self._lock = threading.Lock()  # of the wires and the poll
        self._poll = select.epoll()
        self._stopping = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll.register(self._stopping, select.EPOLLIN)
        self._sockets: dict[int, tuple[_Wire, Netlink]] = {}
        self._thread: threading.Thread | None = None
        self._reasons: dict[str, None] = {}
        self._quiet = 0
        self._told = 0.0
        self.set_down = 0  # how many links it set down

    def start(self, policy: Policy, on_change: Callable[[str], None]) -> None:
        """Listen; ``on_change(what)`` is called from the thread, at most each 20 ms, and must return at once.

        Raises:
            OSError: a namespace may not be listened in.
        """
        sys.setswitchinterval(SWITCH)
        self.arm(policy)
        self._thread = threading.Thread(target=self._listen, args=(on_change,), name="tripwire", daemon=True)
        self._thread.start()

    def arm(self, policy: Policy) -> None:
        """Listen in the namespaces that the zones have now, and let go of others, which the sockets would keep alive.

        Raises:
            OSError: a namespace may not be listened in.
        """
        wanted = spaces.named(self._kernel)
        expected = expected_of(policy)
        with self._lock:
            for inode in self._wires.keys() - wanted.keys():
                self._close(self._wires.pop(inode))
            with spaces.opened(s for inode, s in wanted.items() if inode not in self._wires) as descriptors:
                for inode, wire in spaces.walk(descriptors, lambda inode: self._open(wanted[inode])).items():
                    self._wires[inode] = wire
                    for netlink in (wire.heard, wire.rulesets):
                        self._sockets[netlink.socket.fileno()] = (wire, netlink)
                        self._poll.register(netlink.socket, select.EPOLLIN)
            for inode, wire in self._wires.items():
                zone = wanted[inode].zone
                wire.expected = expected.get(zone or "")
                section = policy.zones.get(zone) if zone else None
                wire.pinned = frozenset(a.packed for a in section.neighbours) if section else frozenset()

    def stop(self) -> None:
        """Stop listening."""
        os.eventfd_write(self._stopping, 1)
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            for wire in self._wires.values():
                self._close(wire)
            self._wires.clear()
        self._poll.close()
        os.close(self._stopping)

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Do not listen for rulesets while the guard itself loads a large one, which listeners slow down fivefold."""
        self._listen_for_rulesets(begin=False)
        try:
            yield
        finally:
            self._listen_for_rulesets(begin=True)

    def _listen_for_rulesets(self, *, begin: bool) -> None:
        with self._lock:
            self._quiet += -1 if begin else 1
            if self._quiet == (0 if begin else 1):
                option = ADD_MEMBERSHIP if begin else DROP_MEMBERSHIP
                for wire in self._wires.values():
                    wire.rulesets.socket.setsockopt(SOL_NETLINK, option, RULESETS)

    def _open(self, space: Space) -> _Wire:
        wire = _Wire(space, Netlink(ROUTE), Netlink(NETFILTER), Netlink(ROUTE))
        for netlink, groups in ((wire.heard, list(GROUPS)), (wire.rulesets, [] if self._quiet else [RULESETS])):
            netlink.socket.setsockopt(socket.SOL_SOCKET, RCVBUFFORCE, BUFFER)
            netlink.socket.setblocking(False)
            for group in groups:
                netlink.socket.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, group)
        return wire

    def _close(self, wire: _Wire) -> None:
        for netlink in (wire.heard, wire.rulesets):
            self._poll.unregister(netlink.socket)
            del self._sockets[netlink.socket.fileno()]
        wire.close()

    def _listen(self, on_change: Callable[[str], None]) -> None:
        while True:
            wait = max(0.0, self._told + GAP - time.monotonic()) if self._reasons else -1
            for descriptor, _ in self._poll.poll(wait):
                if descriptor == self._stopping:
                    return
                with self._lock:
                    if descriptor in self._sockets:
                        self._hear(*self._sockets[descriptor])
            if self._reasons and time.monotonic() >= self._told + GAP:
                told, self._reasons = "; ".join(self._reasons), {}
                self._told = time.monotonic()
                on_change(told)

    def _hear(self, wire: _Wire, netlink: Netlink) -> None:
        where = str(wire.space)
        try:
            data = netlink.socket.recv(LARGEST)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                log.error("the trip-wire in %s fails: %s", where, error)
            self._reasons[f"{where}: {UNKNOWN}"] = None
            return
        for kind, _, payload in messages(data):
            if netlink is wire.rulesets:
                told = _ruleset(kind, payload)
            elif kind in (NEWNEIGH, DELNEIGH):
                told = _neighbour(payload, wire.pinned)
            else:
                told = ABOUT.get(kind, UNKNOWN)
                if kind == NEWLINK:
                    told = self._link(wire, payload) or told
            if told:
                self._reasons[f"{where}: {told}"] = None

    def _link(self, wire: _Wire, payload: bytes) -> str:
        """Set a link down that has no business in this namespace, and say so."""
        link = parse_link(payload, attributes(payload, 16), wire.space.inode, {})
        if not link.up or link.loopback:
            return ""
        if wire.space.zone != HOME and is_port(link, wire.expected, virtual=self._virtual):
            return ""
        try:
            set_down(wire.orders, link.index)
        except OSError as error:
            return f"link {link.name} is up and stays so: {error.strerror}"
        self.set_down += 1
        return f"link {link.name} was up and was set down"


def _neighbour(payload: bytes, pinned: frozenset[bytes]) -> str:
    state = struct.unpack_from("=H", payload, 8)[0]
    address = attributes(payload, 12).get(1, b"")
    return "neighbour" if state & PERMANENT or address in pinned else ""


def _ruleset(kind: int, payload: bytes) -> str:
    """Return what a message of a ruleset's change tells: its last one names the process, which may be the guard itself."""
    if kind != NEWGEN:
        return ""
    told: Mapping[int, bytes] = attributes(payload, 4)
    pid = struct.unpack(">I", told[GEN_PID])[0] if GEN_PID in told else 0
    return "" if pid == os.getpid() else f"ruleset, by process {pid}"
