"""A second process that shares the descriptors of this one (clone(2), CLONE_FILES) and waits for its end.

Whoever kills this one with -9 leaves its connections open there, so that the survivor can ask the kernel how much of each delivery left,
counts that, and closes them. It costs nothing while this process lives: whatever is opened here is open there.
"""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import select
import signal
import socket
import stat
from pathlib import Path

from gateway.delivery.metering import stream
from gateway.delivery.metering.recover import noted, recover
from gateway.delivery.metering.slots import Slot

_CLONE_FILES = 0x400  # <linux/sched.h>
_NUMBERS = {"x86_64": 56, "aarch64": 220, "riscv64": 220}  # of clone(2)
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
    finally:
        os._exit(1)


def _hear_nobody() -> None:
    """Close what listens: nobody would answer there."""
    for path in Path("/proc/self/fd").iterdir():
        descriptor = int(path.name)
        try:
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            with socket.socket(fileno=os.dup(descriptor)) as channel:
                listens = channel.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            if listens:
                os.close(descriptor)
        except OSError:  # the folder's own descriptor, which is gone by now
            continue


class Connections:
    """The connections of the process that is gone, each stopped and asked once."""

    def __init__(self) -> None:
        self._stopped: dict[int, tuple[socket.socket, stream.Position]] = {}

    def left_of(self, slot: Slot) -> int:
        """Return how many bytes of a delivery's content left."""
        known = self._stopped.get(slot.descriptor)
        if known is None:
            try:
                connection = socket.socket(fileno=os.dup(slot.descriptor))
                known = self._stopped[slot.descriptor] = (connection, stream.stop(connection))
            except OSError:
                return noted(slot)
        return known[1].left - slot.begins
