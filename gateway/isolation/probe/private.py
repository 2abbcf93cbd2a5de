"""A thread with its own view of ``/run/netns``: namespaces that it makes are seen by nobody else, and end with it whatever happens."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from typing import TypeVar

from gateway.isolation import netns
from gateway.isolation.netns import KernelFailed

CLONE_NEWNS = 0x00020000  # <linux/sched.h>
MS_REC, MS_PRIVATE = 1 << 14, 1 << 18  # <linux/mount.h>
Result = TypeVar("Result")
_libc = ctypes.CDLL(None, use_errno=True)


def run(work: Callable[[], Result]) -> Result:
    """Return ``work()`` done where ``/run/netns`` is empty and its own.

    Raises:
        KernelFailed: the kernel does not let us have that.
    """
    result: list[Result] = []
    failed: list[BaseException] = []

    def go() -> None:
        try:
            _leave()
            result.append(work())
        except BaseException as error:  # noqa: BLE001 (raised again in the caller's thread)
            failed.append(error)

    thread = threading.Thread(target=go, name="probe")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return result[0]


def _leave() -> None:
    netns.FOLDER.mkdir(parents=True, exist_ok=True)
    folder = os.fsencode(netns.FOLDER)
    _ask("a mount namespace of its own", _libc.unshare(CLONE_NEWNS))
    _ask("private mounts", _libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
    _ask("an empty /run/netns", _libc.mount(b"probe", folder, b"tmpfs", 0, b"size=1m,mode=755"))


def _ask(what: str, status: int) -> None:
    if status:
        raise KernelFailed(f"the probe cannot have {what}: {os.strerror(ctypes.get_errno())}")
