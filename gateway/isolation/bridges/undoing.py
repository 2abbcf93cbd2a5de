"""Undoes what was found: links down and away, programs off, processes ended. What is done is told in words."""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import assert_never

from appliance.runtime import command
from gateway.isolation.bridges import programs, sockets, spaces
from gateway.isolation.bridges.links import NEWLINK, set_down
from gateway.isolation.bridges.netlink import SOCK_DIAG, Netlink, attribute
from gateway.isolation.bridges.nouns import (
    CloseSocket,
    DeleteLink,
    DetachProgram,
    DropQueue,
    EndProcess,
    Found,
    FreeLink,
    Mend,
    Space,
)

DELLINK, DELQDISC = 17, 37
MASTER, XDP, XDP_FD, XDP_FLAGS = 10, 43, 1, 3
NESTED = 0x8000
GONE = (FileNotFoundError, ProcessLookupError)  # ENODEV is not among Python's own, see below
NO_DEVICE = 19
PATIENCE = 0.2  # seconds for a killed process to be gone, with what it held


def undo(found: Found, seen: Mapping[int, Space], kill: Callable[[EndProcess], str] | None = None) -> str:
    """Do what undoes a finding and return it in words; empty where nothing is to be done here.

    Raises:
        OSError: the kernel refused.
        CommandFailed: systemd did not take it.
    """
    return "; ".join(dict.fromkeys(told for mend in found.mends if (told := _do(mend, seen, kill or end_process))))


def _do(mend: Mend, seen: Mapping[int, Space], kill: Callable[[EndProcess], str]) -> str:
    match mend:
        case EndProcess():
            return kill(mend)
        case DeleteLink(space, index, delete):
            return _inside(seen, space, lambda: delete_link(index, delete=delete))
        case FreeLink(space, index):
            return _inside(seen, space, lambda: _free(index))
        case DropQueue(space, index, handle, parent):
            return _inside(seen, space, lambda: _drop_queue(index, handle, parent))
        case DetachProgram(space, index, modes, tcx, attachments):
            for number in attachments:
                programs.detach_link(number)
            if modes or tcx:
                _inside(seen, space, lambda: _detach(index, modes, tcx))
            return "took the program off"
        case CloseSocket(space, family, protocol, identity):
            return _inside(seen, space, lambda: _close(family, protocol, identity))
        case unknown:
            assert_never(unknown)


def _inside(seen: Mapping[int, Space], space: int, work: Callable[[], str]) -> str:
    if space not in seen:
        return "its network namespace is gone"
    with spaces.opened([seen[space]]) as descriptors:
        try:
            return spaces.walk(descriptors, lambda _: work()).get(space, "its network namespace is gone")
        except OSError as error:
            if isinstance(error, GONE) or error.errno == NO_DEVICE:
                return "it is gone by itself"
            raise


def delete_link(index: int, *, delete: bool) -> str:
    """Set a link of this thread's namespace down, and delete it.

    Raises:
        OSError: the kernel refused.
    """
    with Netlink() as netlink:
        set_down(netlink, index)
        if not delete:
            return "set it down"
        netlink.order(DELLINK, struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, 0, 0))
        return "set it down and deleted it"


def _free(index: int) -> str:
    with Netlink() as netlink:
        body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, 0, 0) + attribute(MASTER, struct.pack("=I", 0))
        netlink.order(NEWLINK, body)
    return "took it out"


def _drop_queue(index: int, handle: int, parent: int) -> str:
    with Netlink() as netlink:
        netlink.order(DELQDISC, struct.pack("=BxHiIII", socket.AF_UNSPEC, 0, index, handle, parent, 0))
    return "deleted the traffic control"


def _detach(index: int, modes: tuple[int, ...], tcx: tuple[tuple[int, int], ...]) -> str:
    for hook, program in tcx:
        programs.detach_tcx(index, hook, program)
    with Netlink() as netlink:
        for mode in modes:
            inner = attribute(XDP_FD, struct.pack("=i", -1)) + attribute(XDP_FLAGS, struct.pack("=I", mode))
            body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, 0, 0) + attribute(XDP | NESTED, inner)
            netlink.order(NEWLINK, body)
    return ""


def _close(family: int, protocol: int, identity: bytes) -> str:
    with Netlink(SOCK_DIAG) as netlink:
        sockets.close(netlink, family, protocol, identity)
    return "closed it"


def end_process(mend: EndProcess) -> str:
    """Kill a process, or all of a gateway's unit, which systemd starts anew; never process 1 nor this one.

    Raises:
        OSError: the kernel refused.
        CommandFailed: systemd did not take it.
    """
    if mend.pid in (1, os.getpid()):
        return ""
    if mend.unit:
        command.run(["systemctl", "kill", "--signal=SIGKILL", mend.unit])
        return f"killed {mend.unit}, which starts anew"
    try:
        pidfd = os.pidfd_open(mend.pid)
    except ProcessLookupError:
        return "it ended by itself"
    try:
        # The number may be another process's by now; once the descriptor is open, it cannot become so any more.
        if _started(mend.pid) != mend.started:
            return "it ended by itself"
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        if not select.select([pidfd], [], [], PATIENCE)[0]:
            return f"sent process {mend.pid} the end, which it has not come to yet"
    except ProcessLookupError:
        return "it ended by itself"
    finally:
        os.close(pidfd)
    return f"killed process {mend.pid}"


def _started(pid: int) -> int:
    try:
        line = Path(f"/proc/{pid}/stat").read_bytes()
    except GONE:
        return -1
    return int(line[line.rindex(b")") + 2 :].split()[19])
