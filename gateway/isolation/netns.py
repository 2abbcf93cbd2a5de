"""Network namespaces by name: make, list, remove, and run a function inside one."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from appliance.runtime import command
from appliance.runtime.errors import HeadgateError

FOLDER = Path("/run/netns")
INITIAL = (
    "/proc/1/ns/net"  # where ports begin: process 1 never leaves it, while a shell may be in management, with sshd
)
CLONE_NEWNET = 0x40000000  # <linux/sched.h>
Result = TypeVar("Result")
_libc = ctypes.CDLL(None, use_errno=True)


class KernelFailed(HeadgateError):
    """The kernel did not do, or did not show, what it was asked for."""


def names() -> list[str]:
    """Return the names of the namespaces there are."""
    return sorted(entry.name for entry in FOLDER.iterdir()) if FOLDER.is_dir() else []


def make(name: str) -> None:
    """Make a namespace; ``ip`` also takes care that all units see the name (mount propagation)."""
    command.run(["ip", "netns", "add", name])


def remove(name: str) -> None:
    """Remove a namespace's name; it lives on while a process is in it."""
    command.run(["ip", "netns", "delete", name])


def inside(name: str, work: Callable[[], Result]) -> Result:
    """Return ``work()`` run in the namespace of that name or path (ours, where empty), in a thread that ends with it.

    Raises:
        KernelFailed: there is no such namespace, or it may not be entered.
    """
    if not name:
        return work()
    result: list[Result] = []
    failed: list[BaseException] = []

    def enter() -> None:
        try:
            _setns(name)
            result.append(work())
        except BaseException as error:  # noqa: BLE001 (raised again in the caller's thread)
            failed.append(error)

    thread = threading.Thread(target=enter, name=f"in-{name}")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return result[0]


def _setns(name: str) -> None:
    try:
        descriptor = os.open(FOLDER / name, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise KernelFailed(f"network namespace '{name}' cannot be opened: {error.strerror}") from error
    try:
        if _libc.setns(descriptor, CLONE_NEWNET):
            number = ctypes.get_errno()
            raise KernelFailed(f"cannot enter network namespace '{name}': {os.strerror(number)}")
    finally:
        os.close(descriptor)
