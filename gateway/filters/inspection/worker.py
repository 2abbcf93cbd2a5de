"""One object's inspection: a process that reads it, judges it, and ends. It is told and answers by messages of JSON.

It was forked a moment ago, and each page of memory that it writes to has to be copied first: what is done here for every object is
done with little.
"""

from __future__ import annotations

import json
import os
import re
import resource
import socket
import stat
from typing import Any

from appliance.runtime.errors import Refused
from gateway.filters.inspection.kinds.kind import Told
from gateway.filters.inspection.sandbox import Sandbox
from gateway.filters.inspection.scan import Scan

MEMORY = 1536 << 20  # bytes of address space: libraries take some 400 MiB of it
PROCESSOR = 30  # seconds for one piece; the pool's patience is shorter in most cases, and does not depend on us
BLOCK = 64 << 10  # bytes looked at at once: no more memory than that is new to the process
LONGEST = 16 << 10  # bytes of a message
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NAME = re.compile(r"[0-9a-z]{1,80}(-[0-9a-z]{1,40})?", re.ASCII)


def bound() -> None:
    """Bound this process: memory, no files written, no children, few descriptors."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def serve(channel: socket.socket, incoming: str, sandbox: Sandbox) -> None:
    """Judge one object and return: it is whole already (``"whole": true``), or its pieces are told as they come.

    Before the first of its bytes is looked at, the process gives up all but that.
    """
    begin = _next(channel)
    if begin is None:
        return
    try:
        scan = Scan(Told(begin["type"], begin["path"], begin["size"], begin["application"]))
        descriptor = _open(_where(incoming, begin["incoming"], begin["object"]))
        sandbox.enter((channel.fileno(), descriptor))
        if begin.get("whole"):
            piece: dict[str, Any] | None = {"first": 0, "bytes": begin["size"], "last": True}
        else:
            _tell(channel, {"verified": 0})
            piece = _next(channel)
        while piece is not None:
            _feed(scan, descriptor, piece["first"], piece["bytes"])
            if piece["last"]:
                _tell(channel, {"verified": scan.finish()})
                return
            _tell(channel, {"verified": scan.verified})
            piece = _next(channel)
    except Refused as refused:
        _tell(channel, {"reason": refused.reason, "error": str(refused)[:1000], "status": refused.status})
    except MemoryError:
        told = "it takes more memory than an inspection may have"
        _tell(channel, {"reason": "bomb", "error": told, "status": 502})


def _tell(channel: socket.socket, answer: dict[str, Any]) -> None:
    channel.send(json.dumps(answer).encode())


def _next(channel: socket.socket) -> dict[str, Any] | None:
    message = channel.recv(LONGEST)
    if not message:
        return None
    told: dict[str, Any] = json.loads(message)
    return told


def _where(incoming: str, name: str | None, sha256: str | None) -> str:
    """Return where the bytes are: an incoming file, or an object of the store, read where it lies."""
    if name is None and sha256 is not None and _DIGEST.fullmatch(sha256):
        return f"{incoming.rpartition('/')[0]}/objects/{sha256[:2]}/{sha256}"
    if name is None or not _NAME.fullmatch(name):
        raise Refused("bad-request", "this is no name of an incoming file", 400)
    return f"{incoming}/{name}"


def _open(path: str) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise Refused("bad-request", f"the incoming file cannot be read: {error.strerror}", 400) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise Refused("bad-request", "this is no incoming file", 400)
    return descriptor


def _feed(scan: Scan, descriptor: int, first: int, count: int) -> None:
    soft = int(resource.getrusage(resource.RUSAGE_SELF).ru_utime) + PROCESSOR
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))
    at, end = first, first + count
    while at < end:
        data = os.pread(descriptor, min(BLOCK, end - at), at)
        if not data:
            raise Refused("malformed", "fewer bytes are there than were announced", 502)
        scan.feed(data)
        at += len(data)
