"""Screens for a bench: wrk for small objects; for large ones a client of our own that lets the kernel throw the bytes away.

python -m tests.bench._screens ADDRESS PORT SIZE SECONDS CONNECTIONS TARGET [HEADER..]
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Self

from tests.bench._caches import CLIENT, Cache
from tests.bench._load import ahead, processor

BUFFER = 4 << 20  # bytes asked for at once
AMONG = Path(__file__).with_name("_among.lua")


@dataclass
class Measured:
    """What one server did, summed over its turns."""

    requests: int = 0
    bytes: int = 0
    seconds: float = 0.0
    cpu: float = 0.0  # seconds of the server's processes
    refused: int = 0  # answers that were no success, and are not among the requests

    def __iadd__(self, other: Measured) -> Self:
        for name in ("requests", "bytes", "seconds", "cpu", "refused"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    @property
    def micros(self) -> float:
        """Microseconds of the server's processor for one request."""
        return self.cpu / self.requests * 1e6

    @property
    def per_gigabyte(self) -> float:
        """Seconds of the server's processor for a gigabyte."""
        return self.cpu / (self.bytes / 1e9)


def client(argv: list[str]) -> str:
    """Run a program on the clients' core; return what it says."""
    pinned = ["taskset", "-c", str(CLIENT), *argv] if (os.cpu_count() or 1) > 1 else argv
    return subprocess.run(pinned, check=True, capture_output=True, text=True).stdout


def threads(cache: Cache) -> list[int]:
    """Return the threads of a server."""
    there = [pid for pid in cache.pids if Path(f"/proc/{pid}").exists()]
    return [int(task.name) for pid in there for task in Path(f"/proc/{pid}/task").iterdir()]


def small(
    cache: Cache, target: str, headers: list[str], seconds: float, connections: int = 32, among: int = 0
) -> Measured:
    """Ask for a small object as fast as answers come, or for one after the other of ``among`` whose names begin with ``target``.

    Raises:
        RuntimeError: connections broke, or hardly an answer was a success.
    """
    shown = [word for header in headers for word in ("-H", header)]
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", *shown]
    place = f"http://{cache.address}:{cache.port}"
    argv += ["-s", str(AMONG), place, "--", target, str(among)] if among else [place + target]
    with ahead(threads(cache)):
        before = processor(cache.pids)
        told = client(argv)
        used = processor(cache.pids) - before
    count = re.search(r"(\d+) requests in ([\d.]+)s", told)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", told)
    bad = int(refused[1]) if refused else 0
    if count is None or bad > int(count[1]) / 2 or "Socket errors" in told:
        raise RuntimeError(f"{cache.name}: {told}")
    return Measured(int(count[1]) - bad, 0, float(count[2]), used, bad)


def large(cache: Cache, target: str, size: int, headers: list[str], seconds: float, connections: int = 4) -> Measured:
    """Ask for a large object again and again."""
    argv = [
        sys.executable,
        "-m",
        "tests.bench._screens",
        cache.address,
        str(cache.port),
        str(size),
        str(seconds),
        str(connections),
    ]
    with ahead(threads(cache)):
        before = processor(cache.pids)
        count, took = client([*argv, target, *headers]).split()
        used = processor(cache.pids) - before
    return Measured(int(count), int(count) * size, float(took), used)


def has_wrk() -> bool:
    """Return whether wrk is there, and say so where it is not."""
    if shutil.which("wrk") is not None:
        return True
    print("  wrk is not installed (Debian: wrk): small objects are not measured")
    return False


def _asks(address: str, port: int, request: bytes, size: int, end: float) -> int:
    count, buffer = 0, bytearray(BUFFER)
    with socket.create_connection((address, port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while time.monotonic() < end:
            connection.sendall(request)
            head = b""
            while (at := head.find(b"\r\n\r\n")) < 0:
                part = connection.recv(4096)
                if not part:
                    raise RuntimeError(f"the server left: {head[:200]!r}")
                head += part
            if head[9:12] != b"200":
                raise RuntimeError(f"{head[:200]!r}")
            left = size - (len(head) - at - 4)
            while left > 0:
                # The kernel drops the bytes (tcp(7), MSG_TRUNC): what is measured is the server, not our copying.
                took = connection.recv_into(buffer, min(left, BUFFER), socket.MSG_TRUNC)
                if not took:
                    raise RuntimeError("the server left in the middle of an answer")
                left -= took
            count += 1
    return count


def main(address: str, port: str, size: str, seconds: str, connections: str, target: str, *headers: str) -> None:
    """Ask over so many connections; print how many answers came, and within how many seconds."""
    lines = [f"GET {target} HTTP/1.1", f"Host: {address}:{port}", *headers]
    request = "\r\n".join((*lines, "", "")).encode()
    counts = [0] * int(connections)
    begun = time.monotonic()

    def screen(index: int) -> None:
        counts[index] = _asks(address, int(port), request, int(size), begun + float(seconds))

    threads = [Thread(target=screen, args=(index,)) for index in range(len(counts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if 0 in counts:
        sys.exit("a connection got nothing")
    print(sum(counts), time.monotonic() - begun)


if __name__ == "__main__":
    main(*sys.argv[1:])
