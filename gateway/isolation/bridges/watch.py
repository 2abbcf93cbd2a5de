"""Looks at the whole box, judges, and undoes: what the guard calls each second, and when the trip-wire wakes it."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from appliance.runtime.command import CommandFailed
from gateway.isolation.bridges import (
    judging_links,
    judging_processes,
    judging_programs,
    links,
    sockets,
    spaces,
    undoing,
)
from gateway.isolation.bridges.judging_links import found
from gateway.isolation.bridges.known import NAMES
from gateway.isolation.bridges.netlink import SOCK_DIAG, Netlink
from gateway.isolation.bridges.nouns import Connection, EndProcess, Filter, Found, LinkSeen, Open, Sight, Space, Wired
from gateway.isolation.bridges.processes import Processes
from gateway.isolation.bridges.programs import Programs
from gateway.isolation.bridges.spaces import Zones
from gateway.isolation.evidence import Finding
from gateway.isolation.policy import Policy

log = logging.getLogger("headgate.guard")
CONTAINER = Path("/run/systemd/container")  # systemd writes it at boot where the box is a container
A_MOMENT = 0.03  # seconds: from fork to exec, on a busy box
BETWEEN_LOOKS = {"zone-changed"}  # known by what differs from the look before, which the second look does not


@dataclass
class _There:
    """What is in one namespace."""

    links: list[LinkSeen] = field(default_factory=list)
    filters: list[Filter] = field(default_factory=list)
    wired: Wired | None = None
    opened: list[Open] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)


class Bridges:
    """The scan of one box; remembers what the last look saw, and is used from one thread at a time.

    ``guard`` is whom to trust beside process 1: this process, unless the guard is another one.
    """

    def __init__(self, kernel: Zones, *, virtual: bool | None = None, guard: int | None = None) -> None:
        self._kernel = kernel
        self.virtual = CONTAINER.exists() if virtual is None else virtual
        self._processes = Processes(guard or os.getpid())
        self._programs = Programs()
        self._loose: frozenset[tuple[int, int]] = frozenset()
        self._where: dict[tuple[int, int], int] = {}
        self._spaces: dict[int, Space] = {}

    def scan(self, policy: Policy) -> list[Found]:
        """Return everything found that joins two zones, or could.

        Between fork and exec a process holds what its parent does, so nothing is ended that a second look, a moment later, does not show.

        Raises:
            OSError: the kernel does not show a namespace at all.
        """
        told = self._judged(policy)
        if any(map(_ends, told)):
            time.sleep(A_MOMENT)
            again = {(finding.name, finding.pid) for finding in self._judged(policy)}
            told = [f for f in told if not _ends(f) or f.name in BETWEEN_LOOKS or (f.name, f.pid) in again]
        return told

    def _judged(self, policy: Policy) -> list[Found]:
        sight = self.look()
        expected = judging_links.expected_of(policy)
        told: list[Found] = [found(name, (), what, way=way) for way, name, what in sight.unseen]
        told += judging_links.links(sight, expected)
        told += judging_links.filters(sight)
        told += judging_links.wiring(sight)
        told += judging_links.listeners(sight, expected)
        loose, self._loose = judging_links.orphans(sight, self._loose)
        told += loose
        told += judging_processes.processes(sight)
        told += judging_processes.users(sight)
        told += judging_processes.shared(sight)
        told += judging_processes.connections(sight)
        told += judging_processes.changed(sight, self._where)
        self._where = {(p.pid, p.started): p.main for p in sight.processes}
        told += judging_programs.programs(sight)
        return told

    def look(self) -> Sight:
        """Return what there is now.

        Raises:
            OSError: the kernel does not show a namespace at all.
        """
        zones = spaces.named(self._kernel)
        processes = self._processes.look(zones)
        self._spaces = zones | spaces.others(processes, zones)
        unseen = []
        if self._processes.descriptors.refused:
            unseen.append((20, "descriptors-unseen", self._processes.descriptors.refused))
        with spaces.opened(self._spaces.values()) as descriptors:
            names = {inode: descriptors[inode] for inode in zones if inode in descriptors}
            held = {socket.inode for process in processes for socket in process.sockets}
            there = spaces.walk(descriptors, lambda inode: _look(inode, names, held))
        seen, tables, attachments = self._programs.programs, self._programs.tables, self._programs.attachments
        try:
            programs_, tables_, attachments_ = seen(), tables(), attachments()
        except OSError as error:
            programs_, tables_, attachments_ = {}, {}, ()
            why = "the kernel has none" if error.errno == errno.ENOSYS else error.strerror
            unseen.append((19, "bpf-unseen", f"BPF programs cannot be seen: {why}"))
        return Sight(
            self._spaces,
            tuple(link for seen in there.values() for link in seen.links),
            tuple(item for seen in there.values() for item in seen.filters),
            tuple(seen.wired for seen in there.values() if seen.wired),
            tuple(processes),
            tuple(item for seen in there.values() for item in seen.opened),
            tuple(item for seen in there.values() for item in seen.connections),
            programs_,
            tables_,
            attachments_,
            tuple(unseen),
            self.virtual,
        )

    def undo_all(self, findings: Iterable[Found]) -> list[Found]:
        """Undo every finding and return them with what was done; one that the kernel refuses to undo stays open and is told in the log."""
        told = []
        for finding in findings:
            try:
                told.append(self.undo(finding))
            except (OSError, CommandFailed) as error:
                log.error("%s, and it cannot be undone: %s", finding.what, error)
                told.append(finding)
        return told

    def undo(self, finding: Found) -> Found:
        """Undo a finding and return it with what was done; nothing where other parts of the guard do, or nobody can.

        Raises:
            OSError: the kernel refused.
            CommandFailed: systemd did not take it.
        """
        return replace(finding, done=undoing.undo(finding, self._spaces))


def _ends(finding: Found) -> bool:
    return any(isinstance(mend, EndProcess) for mend in finding.mends)


def must_stop_lanes(findings: Iterable[Finding]) -> bool:
    """Return whether objects may not cross: something joins two zones, and nothing was done against it yet."""
    return any(NAMES[finding.name].stops and not finding.done for finding in findings if finding.name in NAMES)


def _look(inode: int, names: dict[int, int], held: set[int]) -> _There:
    """Return what is in this thread's namespace: all of it in a zone or at home, links and Unix sockets in any other."""
    there = _There()
    with Netlink() as route, Netlink(SOCK_DIAG) as diag:
        there.links = links.links(route, inode, names)
        there.connections = sockets.connections(diag, inode)
        if inode in names:
            there.filters = links.filters(route, inode, there.links)
            there.wired = links.wired(route, inode, names)
            there.opened = sockets.opened(diag, inode, held)
    return there
