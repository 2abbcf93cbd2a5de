"""The network namespaces there are, and one thread that goes through them."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

from gateway.isolation import netns
from gateway.isolation.bridges import syscalls
from gateway.isolation.bridges.nouns import HOME, Process, Space

Result = TypeVar("Result")


class Zones(Protocol):
    """What knows the zones' namespaces: ``gateway.isolation.kernel.Kernel``."""

    def name(self, zone: str) -> str:
        """Return the name or path of a zone's namespace, or of home's."""

    def zones(self) -> list[str]:
        """Return the zones that have a namespace."""


def named(kernel: Zones) -> dict[int, Space]:
    """Return home and the zones by the number of their namespace; two zones on one namespace would show as one too few."""
    found: dict[int, Space] = {}
    for zone in [HOME, *kernel.zones()]:
        name = kernel.name(zone)
        path = str(netns.FOLDER / name) if name else "/proc/self/ns/net"
        with contextlib.suppress(FileNotFoundError):
            inode = Path(path).stat().st_ino
            found.setdefault(inode, Space(inode, zone, path))
    return found


def others(processes: Iterable[Process], known: Mapping[int, Space]) -> dict[int, Space]:
    """Return every other namespace that a thread is in, that a name keeps, or that a descriptor holds open."""
    found: dict[int, Space] = {}
    with contextlib.suppress(FileNotFoundError):
        for entry in netns.FOLDER.iterdir():
            with contextlib.suppress(OSError):
                inode = entry.stat().st_ino
                found.setdefault(inode, Space(inode, None, str(entry)))
    for process in processes:
        for inode, thread in process.threads.items():
            found.setdefault(inode, Space(inode, None, f"/proc/{process.pid}/task/{thread}/ns/net"))
        for inode in process.spaces:
            found.setdefault(inode, Space(inode, None, f"/proc/{process.pid}"))  # which of its descriptors: see opened
    return {inode: space for inode, space in found.items() if inode not in known}


@contextlib.contextmanager
def opened(spaces: Iterable[Space]) -> Iterator[dict[int, int]]:
    """Hold a descriptor of each namespace that is still there: number -> descriptor."""
    with contextlib.ExitStack() as stack:
        found: dict[int, int] = {}
        for space in spaces:
            with contextlib.suppress(OSError):
                descriptor = os.open(_path(space), os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, descriptor)
                if os.fstat(descriptor).st_ino == space.inode:
                    found[space.inode] = descriptor
        yield found


def _path(space: Space) -> str:
    if space.path.count("/") > 2 or not space.path.startswith("/proc/"):
        return space.path
    wanted = f"net:[{space.inode}]"
    for entry in Path(space.path, "fd").iterdir():
        if os.readlink(entry) == wanted:  # noqa: PTH115 (a Path would lose nothing, and is slower)
            return str(entry)
    raise FileNotFoundError(space.path)


def walk(descriptors: Mapping[int, int], work: Callable[[int], Result]) -> dict[int, Result]:
    """Return namespace -> ``work(namespace)`` done in it, by one thread that ends with the last.

    Raises:
        OSError: the kernel refused something in a namespace.
    """
    found: dict[int, Result] = {}
    failed: list[BaseException] = []

    def go() -> None:
        try:
            for inode, descriptor in descriptors.items():
                syscalls.enter(descriptor)
                found[inode] = work(inode)
        except BaseException as error:  # noqa: BLE001 (raised again in the caller's thread)
            failed.append(error)

    thread = threading.Thread(target=go, name="bridges")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found
