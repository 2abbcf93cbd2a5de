"""What the descriptors of a process are: each socket's namespace is asked of the socket itself, through a copy of the descriptor."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
import stat
from dataclasses import dataclass, field
from pathlib import Path

from gateway.isolation.bridges import syscalls
from gateway.isolation.bridges.nouns import Shared, Socket

GET_SPACE = 0x894C  # SIOCGSKNS: a descriptor of a socket's network namespace
GET_TAP_SPACE = 0x54E3  # TUNGETDEVNETNS: the same of a tun or tap descriptor
TUN = os.makedev(10, 200)
SPECIAL = re.compile(r"anon_inode:\[?(io_uring|perf_event|bpf[-_](?:prog|map|link))\]?$")
NUMBERS = {"bpf-prog": b"prog_id", "bpf-map": b"map_id", "bpf_link": b"link_id", "bpf-link": b"link_id"}
ENDED = {errno.ENOENT, errno.ESRCH, errno.EBADF}
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
AGAIN = 30  # looks after which a remembered socket is asked again
NAMESPACES = Path("/proc/self/ns/net").stat().st_dev  # the file system of namespaces of every kind
WRITES = 0o200  # the mode of /proc/PID/fd/N says how it was opened


@dataclass
class Held:
    """What a process holds, as far as it was gathered."""

    sockets: list[Socket] = field(default_factory=list)
    spaces: list[int] = field(default_factory=list)
    taps: list[tuple[str, int]] = field(default_factory=list)
    shared: list[Shared] = field(default_factory=list)
    special: list[str] = field(default_factory=list)


class Descriptors:
    """Remembers sockets by their inode, since a socket's namespace never changes."""

    def __init__(self) -> None:
        self.refused = ""  # why descriptors could not be looked into, if so
        self._now: dict[int, Socket] = {}
        self._before: dict[int, Socket] = {}
        self._looks = 0

    def begin(self) -> None:
        """Begin a new look: forget the sockets that were not seen in the last one, and now and then all."""
        self.refused = ""
        self._looks += 1
        self._before, self._now = ({} if self._looks % AGAIN == 0 else self._now), {}

    def look(self, task: int, folder: int, held: Held, *, thread: bool = False) -> None:
        """Gather what the table of a task holds, whose folder of /proc is open at ``folder``."""
        table = os.open("fd", FOLDER, dir_fd=folder)
        copier = _Copier(task, thread=thread)
        try:
            for name in os.listdir(table):  # noqa: PTH208 (names below an open folder)
                try:
                    self._one(name, os.readlink(name, dir_fd=table), table, copier, held)
                except OSError as error:
                    if error.errno not in ENDED:
                        self.refused = f"descriptor {name} of process {task} cannot be looked into: {error.strerror}"
        finally:
            copier.close()
            os.close(table)

    def _one(self, name: str, link: str, table: int, copier: _Copier, held: Held) -> None:
        if link.startswith("socket:["):
            inode = int(link[8:-1])
            seen = self._now.get(inode) or self._before.get(inode)
            if seen is None:
                try:
                    seen = _ask(inode, copier, int(name))
                except OSError:
                    held.sockets.append(Socket(inode, 0))  # it is held, whatever it is
                    raise
            self._now[inode] = seen
            held.sockets.append(seen)
        elif link.startswith("/"):
            _file(name, link, table, copier, held)
        elif link.startswith("pipe:["):
            held.shared.append(Shared("pipe", link, link, writes=True))
        elif link.startswith("net:["):
            held.spaces.append(int(link[5:-1]))
        elif matched := SPECIAL.match(link):
            held.special.append(matched[1] + _number(name, table, NUMBERS.get(matched[1])))


class _Copier:
    """Takes copies of a task's descriptors; is opened by the first that is wanted."""

    def __init__(self, task: int, *, thread: bool) -> None:
        self._task, self._thread, self._pidfd = task, thread, -1

    def copy(self, number: int) -> int:
        """Return a copy of a descriptor."""
        if self._pidfd < 0:
            self._pidfd = syscalls.pidfd_of_thread(self._task) if self._thread else os.pidfd_open(self._task)
        return syscalls.take_descriptor(self._pidfd, number)

    def close(self) -> None:
        """Let go of the task."""
        if self._pidfd >= 0:
            os.close(self._pidfd)


def _ask(inode: int, copier: _Copier, number: int) -> Socket:
    # The copy is closed by the socket object; it shares the open socket with its owner, so nothing is set on it.
    with socket.socket(fileno=copier.copy(number)) as copied:
        return Socket(inode, _space_of(copied.fileno(), GET_SPACE), int(copied.family), int(copied.type), copied.proto)


def _space_of(descriptor: int, question: int) -> int:
    space = fcntl.ioctl(descriptor, question, 0)
    try:
        return os.fstat(space).st_ino
    finally:
        os.close(space)


def _file(name: str, link: str, table: int, copier: _Copier, held: Held) -> None:
    told = os.stat(name, dir_fd=table)
    if told.st_dev == NAMESPACES:
        held.spaces.append(told.st_ino)  # opened by a name below /run/netns
    elif link.startswith("/dev/pts/"):
        held.shared.append(Shared("terminal", f"{told.st_dev}:{told.st_ino}", link, writes=True))
    elif stat.S_ISREG(told.st_mode) or stat.S_ISFIFO(told.st_mode):
        writes = bool(os.stat(name, dir_fd=table, follow_symlinks=False).st_mode & WRITES)
        kind = "file" if stat.S_ISREG(told.st_mode) else "pipe"
        held.shared.append(Shared(kind, f"{told.st_dev}:{told.st_ino}", link, writes))
    elif told.st_rdev == TUN and stat.S_ISCHR(told.st_mode):
        held.taps += _tap(name, table, copier)


def _tap(name: str, table: int, copier: _Copier) -> list[tuple[str, int]]:
    link = _line(name, table, b"iff")
    if not link:
        return []  # opened, and made into no link yet
    descriptor = copier.copy(int(name))
    try:
        return [(link, _space_of(descriptor, GET_TAP_SPACE))]
    finally:
        os.close(descriptor)


def _number(name: str, table: int, wanted: bytes | None) -> str:
    return f" {told}" if wanted and (told := _line(name, table, wanted)) else ""


def _line(name: str, table: int, wanted: bytes) -> str:
    """Return what a descriptor's fdinfo says after ``wanted:``."""
    descriptor = os.open(f"../fdinfo/{name}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=table)
    try:
        for line in os.read(descriptor, 4096).splitlines():
            key, _, value = line.partition(b":")
            if key == wanted:
                return value.strip().decode(errors="replace")
    finally:
        os.close(descriptor)
    return ""
