"""A second process that shares the descriptors of this one (clone(2), CLONE_FILES) and waits for its end.

Whoever kills this one with -9 leaves its connections open there, so that the survivor can ask the kernel how much of each delivery left,
counts that, and closes them. It costs nothing while this process lives: whatever is opened here is open there.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import platform
import resource
import select
import signal
import socket
import stat
from pathlib import Path

from gateway.delivery.metering import stream
from gateway.delivery.metering.recover import noted, recover
from gateway.delivery.metering.slots import Slot

_MOST = 65_536  # descriptors, as the unit allows
_CLONE_FILES = 0x400  # <linux/sched.h>
_NUMBERS = {"x86_64": 56, "aarch64": 220, "riscv64": 220}  # of clone(2)
log = logging.getLogger("headgate.delivery")
_libc = ctypes.CDLL(None, use_errno=True)


def start(folder: Path) -> int:
    """Start the survivor for the ledger in ``folder`` and return its process id; to be called before there are threads.

    Raises:
        OSError: the kernel refused, or is of a kind that this does not know.
    """
    parent = os.getpid()
    number = _NUMBERS.get(platform.machine())
    if number is None:
        raise OSError(f"no clone(2) known for {platform.machine()}")
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        child = int(_libc.syscall(number, _CLONE_FILES | signal.SIGCHLD, 0, 0, 0, 0))
        if child == 0:
            _survive(parent, folder)
        if child < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    return child


def _survive(parent: int, folder: Path) -> None:
    """Wait for the parent's end, then count what it left running; never returns. Its signals stay blocked: only -9 ends it sooner."""
    try:
        gc.disable()  # an object that is collected here would close a descriptor there
        try:
            waiting = select.poll()
            waiting.register(os.pidfd_open(parent), select.POLLIN)
        except ProcessLookupError:  # gone already
            pass
        else:
            waiting.poll()
        _hear_nobody()
        recover(folder, Connections().left_of)
        os._exit(0)
    except Exception:
        log.exception("what was under way when delivery was killed is counted as noted last")
    finally:
        os._exit(1)


def _hear_nobody() -> None:
    """Close what listens: nobody would answer there."""
    for descriptor in _open():
        try:
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            with socket.socket(fileno=os.dup(descriptor)) as channel:
                listens = channel.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        except OSError:  # of a kind that has no such option
            continue
        if listens:
            os.close(descriptor)


def _open() -> list[int]:
    """Return the descriptors that are open; not by /proc, which a process that is closed to others may not read of itself."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    every = range(_MOST if limit == resource.RLIM_INFINITY else min(limit, _MOST))
    asking = select.poll()
    for descriptor in every:
        asking.register(descriptor, 0)
    closed = {descriptor for descriptor, told in asking.poll(0) if told & select.POLLNVAL}
    return [descriptor for descriptor in every if descriptor not in closed]


class Connections:
    """The connections of the process that is gone, each stopped and asked once."""

    def __init__(self) -> None:
        self._stopped: dict[int, stream.Position] = {}

    def left_of(self, slot: Slot) -> int:
        """Return how many bytes of a delivery's content left."""
        known = self._stopped.get(slot.descriptor)
        if known is None:
            try:
                with socket.socket(fileno=os.dup(slot.descriptor)) as connection:
                    known = self._stopped[slot.descriptor] = stream.stop(connection)
                    os.close(slot.descriptor)
            except OSError as error:
                log.error("a connection cannot be asked, its delivery is counted as noted last: %s", error)
                return noted(slot)
        return known.left - slot.begins
