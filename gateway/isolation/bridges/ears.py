"""The trip-wire's other half: a small process of its own, so that nothing the guard computes keeps it from acting.

It hears of every change of links, addresses, routes, rules, neighbours, traffic control and rulesets in the namespaces it is told of,
sets a link that has no business there down at once, and writes a line for the guard. Lost messages are a change that nobody knows.
Lines in: ``{"arm": [..], "virtual": true}``, ``{"quiet": true}``; lines out: ``{"heard": ".."}``, ``{"done": 1}``. It ends with its input.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.isolation.bridges import syscalls
from gateway.isolation.bridges.links import parse_link, set_down
from gateway.isolation.bridges.netlink import LARGEST, NETFILTER, ROUTE, Netlink, attributes, messages
from gateway.isolation.bridges.nouns import HOME
from gateway.isolation.bridges.ports import Expected, is_port

SOL_NETLINK, ADD_MEMBERSHIP, DROP_MEMBERSHIP = 270, 1, 2
RCVBUFFORCE = 33
BUFFER = 4 << 20  # bytes that the kernel keeps for us
GAP = 0.02  # seconds between two lines to the guard
LONGEST_LINE = 4096  # bytes, PIPE_BUF: a line is written whole or not at all
MOST_REASONS = 16  # in one line
NICE = -15  # it has little to do, and at once
NEWLINK, NEWNEIGH, DELNEIGH = 16, 28, 29
GROUPS = (1, 3, 4, 5, 7, 8, 9, 11, 19, 28)  # RTNLGRP_*: those of ABOUT
ABOUT = {16: "link", 17: "link", 20: "address", 21: "address", 24: "route", 25: "route", 32: "rule", 33: "rule",
         36: "traffic control", 37: "traffic control", 40: "traffic control", 41: "traffic control",
         44: "traffic control", 45: "traffic control", 88: "network namespace", 89: "network namespace"}  # fmt: skip
RULESETS = 7  # NFNLGRP_NFTABLES
NEWGEN = 10 << 8 | 15
GEN_PID = 2
PERMANENT = 0x80  # NUD_PERMANENT: somebody's decision; all others come and go with traffic
UNKNOWN = "unknown change"


@dataclass
class Wire:
    """The ears in one namespace."""

    told: Mapping[str, Any]
    heard: Netlink
    rulesets: Netlink
    orders: Netlink
    expected: Expected | None = None
    pinned: frozenset[bytes] = frozenset()

    def tell(self, told: Mapping[str, Any]) -> None:
        """Take what this namespace may hold."""
        self.told = told
        self.expected = Expected(*told["port"]) if told["port"] else None
        self.pinned = frozenset(map(bytes.fromhex, told["pinned"]))


class Ears:
    """Listens in home and in every zone."""

    def __init__(self, guard: int) -> None:
        self.guard = guard  # whose own changes of rulesets need no look
        self.virtual = False
        self.wires: dict[int, Wire] = {}
        self.poll = select.epoll()
        self.sockets: dict[int, tuple[Wire, Netlink]] = {}
        self.reasons: dict[str, None] = {}
        self.quiet = False

    def take(self, line: bytes) -> None:
        """Do what the guard says."""
        told = json.loads(line)
        if "arm" in told:
            self.virtual = told["virtual"]
            self.arm({space["inode"]: space for space in told["arm"]})
        elif told["quiet"] != self.quiet:
            self.quiet = told["quiet"]
            for wire in self.wires.values():
                option = DROP_MEMBERSHIP if self.quiet else ADD_MEMBERSHIP
                wire.rulesets.socket.setsockopt(SOL_NETLINK, option, RULESETS)

    def arm(self, wanted: Mapping[int, Mapping[str, Any]]) -> None:
        """Listen in these namespaces, and let go of others, which the sockets would keep alive."""
        for inode in self.wires.keys() - wanted.keys():
            self.close(self.wires.pop(inode))
        for inode, told in wanted.items():
            if inode not in self.wires:
                with contextlib.suppress(FileNotFoundError):  # it went away meanwhile, and the guard will say so
                    self.wires[inode] = self.open(told)
            if inode in self.wires:
                self.wires[inode].tell(told)

    def open(self, told: Mapping[str, Any]) -> Wire:
        """Listen in one namespace."""
        descriptor = os.open(told["path"], os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.enter(descriptor)
        finally:
            os.close(descriptor)
        wire = Wire(told, Netlink(ROUTE), Netlink(NETFILTER), Netlink(ROUTE))
        for netlink, groups in ((wire.heard, GROUPS), (wire.rulesets, () if self.quiet else (RULESETS,))):
            netlink.socket.setsockopt(socket.SOL_SOCKET, RCVBUFFORCE, BUFFER)
            netlink.socket.setblocking(False)
            for group in groups:
                netlink.socket.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, group)
            self.sockets[netlink.socket.fileno()] = (wire, netlink)
            self.poll.register(netlink.socket, select.EPOLLIN)
        return wire

    def close(self, wire: Wire) -> None:
        """Leave one namespace."""
        for netlink in (wire.heard, wire.rulesets):
            self.poll.unregister(netlink.socket)
            del self.sockets[netlink.socket.fileno()]
        for netlink in (wire.heard, wire.rulesets, wire.orders):
            netlink.socket.close()

    def hear(self, wire: Wire, netlink: Netlink) -> None:
        """Take what one socket has, and act where it tells of a link that may not be up."""
        where = wire.told["zone"] or "home"
        try:
            data = netlink.socket.recv(LARGEST)
        except BlockingIOError:
            return
        except OSError as error:
            told = UNKNOWN if error.errno == errno.ENOBUFS else f"{UNKNOWN}, {error.strerror}"
            self.reasons[f"{where}: {told}"] = None
            return
        for kind, _, payload in messages(data):
            if netlink is wire.rulesets:
                told = self.ruleset(kind, payload)
            elif kind in (NEWNEIGH, DELNEIGH):
                told = neighbour(payload, wire.pinned)
            else:
                told = (self.link(wire, payload) if kind == NEWLINK else "") or ABOUT.get(kind, UNKNOWN)
            if told:
                self.reasons[f"{where}: {told}"] = None

    def link(self, wire: Wire, payload: bytes) -> str:
        """Set a link down that has no business in this namespace, and say so."""
        link = parse_link(payload, attributes(payload, 16), wire.told["inode"], {})
        if not link.up or link.loopback:
            return ""
        if wire.told["zone"] != HOME and is_port(link, wire.expected, virtual=self.virtual):
            return ""
        try:
            set_down(wire.orders, link.index)
        except OSError as error:
            return f"link {link.name} is up and stays so: {error.strerror}"
        return f"link {link.name} was up and was set down"

    def ruleset(self, kind: int, payload: bytes) -> str:
        """Return what a message of a ruleset's change tells: its last one names the process that made it."""
        if kind != NEWGEN:
            return ""
        told = attributes(payload, 4)
        pid = struct.unpack(">I", told[GEN_PID])[0] if GEN_PID in told else 0
        return "" if pid == self.guard else f"ruleset, by process {pid}"

    def line(self) -> bytes:
        """Return what was heard as a line for the guard, and forget it."""
        reasons, self.reasons = list(self.reasons), {}
        more = [f"and {len(reasons) - MOST_REASONS} more"] if len(reasons) > MOST_REASONS else []
        text = "; ".join([*reasons[:MOST_REASONS], *more])
        return json.dumps({"heard": text[: LONGEST_LINE // 8]}).encode() + b"\n"


def neighbour(payload: bytes, pinned: frozenset[bytes]) -> str:
    """Return what a change of a neighbour tells: only of those that do not come and go with traffic."""
    state = struct.unpack_from("=H", payload, 8)[0]
    address = attributes(payload, 12).get(1, b"")
    return "neighbour" if state & PERMANENT or address in pinned else ""


def main(guard: int) -> None:
    """Listen until standard input ends."""
    with contextlib.suppress(PermissionError):  # slower where the unit does not let us, and no less sure
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    ears, asked, told = Ears(guard), b"", 0.0
    ears.poll.register(0, select.EPOLLIN)
    os.set_blocking(1, False)
    while True:
        wait = max(0.0, told + GAP - time.monotonic()) if ears.reasons else -1
        for descriptor, _ in ears.poll.poll(wait):
            if descriptor == 0:
                part = os.read(0, 1 << 16)
                if not part:
                    return
                *lines, asked = (asked + part).split(b"\n")
                for line in lines:
                    ears.take(line)
                    os.write(1, b'{"done": 1}\n')
            elif descriptor in ears.sockets:
                ears.hear(*ears.sockets[descriptor])
        if ears.reasons and time.monotonic() >= told + GAP:
            told, kept = time.monotonic(), dict(ears.reasons)
            try:
                os.write(1, ears.line())
            except BlockingIOError:
                ears.reasons = kept  # the guard is busy: it is told later, the links are down already


if __name__ == "__main__":
    main(int(sys.argv[1]))
