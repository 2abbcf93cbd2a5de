"""What an attack leaves behind in the kernel: neighbours, addresses, routes and their exceptions, expected connections, counters."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

from appliance.runtime import command
from gateway.isolation.probe.shots import Shot

SHOW = "address show\nneighbour show nud all\nneighbour show proxy\nroute show table all\nroute show cache\n"
NET = Path("/proc/thread-self/net")
SYSCTL = Path("/proc/sys/net/ipv6/conf")
USER_OPTIONS = 20  # RTNLGRP_ND_USEROPT
GROUP = 1  # NETLINK_ADD_MEMBERSHIP
SOL_NETLINK = 270
RDNSS = 25  # RFC 8106
END = r"(?![\w.:]*\w)"  # a word of a trace is no part of a longer one
REASSEMBLIES = ("ReasmReqds", "Ip6ReasmReqds")


class Options:
    """What routers advertise for programs, such as name servers, in the thread's namespace."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self.socket.bind((0, 0))  # an unbound one would pass for the kernel itself, which is not told what it says
        self.socket.setsockopt(SOL_NETLINK, GROUP, USER_OPTIONS)
        self.known: list[str] = []

    def lines(self) -> list[str]:
        """Return all that was advertised since this was made."""
        while True:
            try:
                message = self.socket.recv(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return self.known
            option = message[32:]  # behind nlmsghdr and nduseroptmsg, 16 bytes each
            if len(option) >= 24 and option[0] == RDNSS:
                servers = (option[start : start + 16] for start in range(8, option[1] * 8, 16))
                self.known += [f"nameserver {socket.inet_ntop(socket.AF_INET6, server)}" for server in servers]

    def close(self) -> None:
        """Stop listening."""
        self.socket.close()


def asked(shots: Iterable[Shot]) -> list[str]:
    """Return the addresses to which the kernel must be asked for its way: it shows exceptions of routes (RFC 1191) only so."""
    return [trace.split()[0] for shot in shots for trace in shot.traces if " cache " in trace]


def state(options: Options | None, addresses: Iterable[str] = ()) -> str:
    """Return what the thread's namespace holds, as text with a line for each thing, and its ways to ``addresses``."""
    parts = [command.run(["ip", *family, "-o", "-batch", "-"], stdin=SHOW) for family in ([], ["-6"])]
    parts += [f"mtu={path.read_text().strip()}" for path in sorted(SYSCTL.glob("*/mtu"))]
    parts += [_way(address) for address in addresses]
    expected = NET / "nf_conntrack_expect"
    if expected.exists():
        parts.append(expected.read_text())
    return "\n".join([*parts, *(options.lines() if options else ())])


def _way(address: str) -> str:
    try:
        return command.run(["ip", "-o", "route", "get", address])
    except command.CommandFailed:
        return ""  # there is none


def reassemblies() -> int:
    """Return how many fragments the thread's namespace was given to put together."""
    words = (NET / "snmp").read_text().split()
    names = iter(words[i + 1 : i + 40] for i, word in enumerate(words) if word == "Ip:")
    four = dict(zip(*list(names)[:2], strict=False))
    lines = dict(line.split() for line in (NET / "snmp6").read_text().splitlines()) if (NET / "snmp6").exists() else {}
    return int(four.get(REASSEMBLIES[0], 0)) + int(lines.get(REASSEMBLIES[1], 0))


def found(shots: Iterable[Shot], text: str) -> Iterator[tuple[int, str]]:
    """Yield (number, line) for each shot of which ``text`` holds a trace: a line with all of its words."""
    lines = text.splitlines()
    for shot in shots:
        for trace in shot.traces:
            words = [re.compile(rf"(?<![\w.:]){re.escape(w)}{'' if w.endswith(':') else END}") for w in trace.split()]
            line = next((line for line in lines if all(word.search(line) for word in words)), None)
            if line is not None:
                yield shot.number, " ".join(line.replace("\\", " ").split())
                break
