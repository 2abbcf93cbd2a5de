"""One object's inspection: a process that reads it, judges it, and ends. It is told and answers by lines of JSON."""

from __future__ import annotations

import json
import os
import re
import resource
import socket
import stat
from pathlib import Path
from typing import Any, BinaryIO

from appliance.runtime.errors import Refused
from gateway.filters.inspection.kinds.kind import Told
from gateway.filters.inspection.scan import Scan

MEMORY = 1536 << 20  # bytes of address space: libraries take some 400 MiB of it
PROCESSOR = 30  # seconds for one piece; the pool's patience is shorter in most cases, and does not depend on us
BLOCK = 256 << 10  # bytes looked at at once
LONGEST_LINE = 16 << 10  # bytes
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NAME = re.compile(r"[0-9a-z]{1,80}(-[0-9a-z]{1,40})?", re.ASCII)


def bound() -> None:
    """Bound this process: memory, no files written, no children, few descriptors."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def serve(channel: socket.socket, incoming: Path) -> None:
    """Judge one object and return."""
    with channel, channel.makefile("rb") as lines:
        begin = _next(lines)
        if begin is None:
            return
        told = Told(begin["type"], begin["path"], begin["size"], begin["application"])
        answer = _Answer(channel)
        try:
            scan = Scan(told)
            descriptor = _open(_where(incoming, begin["incoming"], begin["object"]))
        except Refused as refused:
            answer.refuse(refused)
            return
        answer.verified(0)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            while (piece := _next(lines)) is not None:
                try:
                    _feed(scan, file, piece["first"], piece["bytes"])
                    if piece["last"]:
                        answer.verified(scan.finish())
                        return
                except Refused as refused:
                    answer.refuse(refused)
                    return
                except MemoryError:
                    answer.refuse(Refused("bomb", "it takes more memory than an inspection may have", 502))
                    return
                answer.verified(scan.verified)


class _Answer:
    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    def verified(self, upto: int) -> None:
        self._channel.sendall(json.dumps({"verified": upto}).encode() + b"\n")

    def refuse(self, refused: Refused) -> None:
        told = {"reason": refused.reason, "error": str(refused)[:1000], "status": refused.status}
        self._channel.sendall(json.dumps(told).encode() + b"\n")


def _next(lines: BinaryIO) -> dict[str, Any] | None:
    line = lines.readline(LONGEST_LINE)
    if not line.endswith(b"\n"):
        return None
    told: dict[str, Any] = json.loads(line)
    return told


def _where(incoming: Path, name: str | None, sha256: str | None) -> Path:
    """Return where the bytes are: an incoming file, or an object of the store, read where it lies."""
    if name is None and sha256 is not None and _DIGEST.fullmatch(sha256):
        return incoming.parent / "objects" / sha256[:2] / sha256
    if name is None or not _NAME.fullmatch(name):
        raise Refused("bad-request", "this is no name of an incoming file", 400)
    return incoming / name


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise Refused("bad-request", f"the incoming file cannot be read: {error.strerror}", 400) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise Refused("bad-request", "this is no incoming file", 400)
    return descriptor


def _feed(scan: Scan, file: Any, first: int, count: int) -> None:
    soft = int(resource.getrusage(resource.RUSAGE_SELF).ru_utime) + PROCESSOR
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))
    at, end = first, first + count
    while at < end:
        data = os.pread(file.fileno(), min(BLOCK, end - at), at)
        if not data:
            raise Refused("malformed", "fewer bytes are there than were announced", 502)
        scan.feed(data)
        at += len(data)
