"""Every process and thread with what it holds: namespaces, sockets by their namespace, taps, pipes, files, special descriptors.

Names can be forged, so judgement rests on the cgroup, the executed file, the parents and the kernel's numbers.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from gateway.isolation.bridges import syscalls
from gateway.isolation.bridges.descriptors import Descriptors, Held
from gateway.isolation.bridges.nouns import Process, Shared, Space

GET_OWNER = 0xB704  # NS_GET_OWNER_UID
KERNEL_THREAD = 0x00200000  # PF_KTHREAD
ENDED = {errno.ENOENT, errno.ESRCH}
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Memory that is shared and written: who maps the same file or segment sees it, without any descriptor.
MAPPED = re.compile(rb"^\S+ .(.).s \S+ (\S+) ([1-9]\d*) *(.*)$", re.MULTILINE)
DEEPEST = 64  # generations
LONGEST = 1 << 16  # bytes of one small file of /proc


class Processes:
    """Looks at all processes; the guard and what it runs are trusted."""

    def __init__(self, guard: int) -> None:
        self.descriptors = Descriptors()
        self._guard = guard

    def look(self, zones: Mapping[int, Space]) -> list[Process]:
        """Return all processes but the kernel's own."""
        self.descriptors.begin()
        inside = {inode for inode, space in zones.items() if space.zone}
        user_space = str(Path("/proc/self/ns/user").readlink())
        found: dict[int, Process] = {}
        for entry in os.listdir("/proc"):  # noqa: PTH208 (a Path for each of thousands of names)
            if entry.isdigit():
                try:
                    process = self._process(int(entry), inside, user_space)
                except OSError as error:
                    if error.errno not in ENDED and entry != "1":  # process 1 is trusted, seen or not
                        self.descriptors.refused = f"/proc/{entry} cannot be read: {error.strerror}"
                else:
                    if process is not None:
                        found[process.pid] = process
        for pid in _trusted(found, self._guard):
            found[pid] = replace(found[pid], trusted=True)
        return list(found.values())

    def _process(self, pid: int, inside: set[int], user_space: str) -> Process | None:
        folder = os.open(f"/proc/{pid}", FOLDER)  # stays this process, even if its number is used again
        try:
            name, parent, flags, started = _told(_read("stat", folder))
            if flags & KERNEL_THREAD:
                return None
            uids, tracer = _who(_read("status", folder))
            main = int(os.readlink("ns/net", dir_fd=folder)[5:-1])
            held = Held()
            self.descriptors.look(pid, folder, held)
            threads = self._threads(pid, folder, main, held)
            if inside & threads.keys():
                held.shared += _mapped(_read("maps", folder, 1 << 24))
            return Process(
                pid,
                started,
                parent,
                uids,
                name,
                unit_of(_read("cgroup", folder)),
                _program(folder),
                threads,
                main,
                tuple(held.sockets),
                tuple(held.spaces),
                tuple(held.taps),
                tuple(held.shared),
                tuple(held.special),
                tracer,
                os.readlink("ns/user", dir_fd=folder) != user_space and _owner(folder) != 0,
            )
        finally:
            os.close(folder)

    def _threads(self, pid: int, folder: int, main: int, held: Held) -> dict[int, int]:
        """Return namespace -> a thread in it; gather also what threads hold in a table of their own."""
        found = {main: pid}
        tasks = os.open("task", FOLDER, dir_fd=folder)
        try:
            names = os.listdir(tasks)  # noqa: PTH208 (names below an open folder)
            for name in names if len(names) > 1 else ():
                thread = int(name)
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    found.setdefault(int(os.readlink(f"{name}/ns/net", dir_fd=tasks)[5:-1]), thread)
                    if thread != pid and not syscalls.share_files(pid, thread):
                        own = os.open(name, FOLDER, dir_fd=tasks)
                        try:
                            self.descriptors.look(thread, own, held, thread=True)
                        finally:
                            os.close(own)
        finally:
            os.close(tasks)
        return found


def _trusted(found: Mapping[int, Process], guard: int) -> Iterable[int]:
    """Yield process 1, what it is about to execute, the guard, and what that runs."""
    first = _identities()
    for pid in found:
        line = list(_ancestry(pid, found))
        # Between fork and exec a unit is still process 1's program, with its descriptors, in the unit's namespace.
        starting = line[-1].parent == 1 and all(p.uids == {0} and p.program in first for p in line if p.pid != 1)
        if pid == 1 or starting or any(process.pid == guard for process in line):
            yield pid


def _ancestry(pid: int, found: Mapping[int, Process]) -> Iterator[Process]:
    """Yield a process, its parent, and so on, up to the child of process 1."""
    for _ in range(DEEPEST):
        if pid not in found:
            return
        yield found[pid]
        pid = found[pid].parent
        if pid == 1:
            return


def _identities() -> set[str]:
    with contextlib.suppress(OSError):
        first = Path("/proc/1/exe").readlink()
        if first.name == "systemd":
            return {str(first), str(first.with_name("systemd-executor"))}
    return set()


def _read(name: str, folder: int, most: int = LONGEST) -> bytes:
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        parts = []
        while part := os.read(descriptor, most):
            parts.append(part)
            most -= len(part)
            if most <= 0:
                break
        return b"".join(parts)
    finally:
        os.close(descriptor)


def _told(line: bytes) -> tuple[str, int, int, int]:
    """Return (name, parent, flags, start time) of a line of /proc/PID/stat; the name may hold anything, parentheses too."""
    begin, end = line.index(b"("), line.rindex(b")")
    words = line[end + 2 :].split()
    return line[begin + 1 : end].decode(errors="replace"), int(words[1]), int(words[6]), int(words[19])


def _owner(folder: int) -> int:
    """Return who made the user namespace of a process: root's is a unit's sandbox, another user's is the beginning of an attack."""
    descriptor = os.open("ns/user", os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        told = fcntl.ioctl(descriptor, GET_OWNER, struct.pack("=I", 0))
    finally:
        os.close(descriptor)
    return int(struct.unpack("=I", told)[0])


def _who(status: bytes) -> tuple[frozenset[int], int]:
    uids = status[(place := status.index(b"\nUid:") + 5) : status.index(b"\n", place)]
    tracer = status[(place := status.index(b"\nTracerPid:") + 11) : status.index(b"\n", place)]
    return frozenset(map(int, uids.split())), int(tracer)


def _program(folder: int) -> str:
    try:
        return os.readlink("exe", dir_fd=folder)
    except OSError:
        return ""  # it is ending


def unit_of(cgroup: bytes) -> str:
    """Return the systemd unit of a process by its ``/proc/PID/cgroup``: the outermost, so that no nested name passes for it."""
    for line in cgroup.decode(errors="replace").splitlines():
        number, names, path = line.split(":", 2)
        if number == "0" or names == "name=systemd":
            for part in path.split("/"):
                if part.endswith((".service", ".scope", ".socket")):
                    return part
    return ""


def _mapped(maps: bytes) -> list[Shared]:
    found: dict[str, Shared] = {}
    for writes, device, inode, path in MAPPED.findall(maps):
        if path.startswith(b"anon_inode:"):
            continue  # one inode serves them all
        major, minor = device.split(b":")
        key = f"{os.makedev(int(major, 16), int(minor, 16))}:{inode.decode()}"
        shared = Shared("memory", key, path.decode(errors="replace"), writes == b"w")
        found[key] = found.get(key, shared) if not shared.writes else shared
    return list(found.values())
