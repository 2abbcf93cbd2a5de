"""Very many screens in one process, told in JSON what they saw.

python -m tests.bench._many_screens crowd ADDRESS PORT SCREENS SIZE TARGET [HEADER..]
python -m tests.bench._many_screens evening ADDRESS PORT SCREENS SMALL SIZE TARGET TARGET [HEADER..]

``crowd``: a leader asks for an object, and a moment later all the others do. ``evening``: all are connected and have asked for
something small; then some stream segments, and now and then one of the others asks for something small again.
"""

from __future__ import annotations

import json
import random
import resource
import select
import socket
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median

from tests.bench._load import hundredth

AHEAD = 0.05  # seconds by which the leader asks before the others
STREAMS, EVERY = 200, 2.0  # streams, and seconds from one segment to the next: 8 Mbit/s of 2 MiB each
PROBES, SECONDS = 200, 6.0  # small requests a second beside them, and for how long
HOUSE = 100  # screens at one address
BUFFER = bytearray(1 << 20)
DEADLINE = 120.0  # seconds


class Screen:
    """One connection: one question at a time, the times of its first and last byte of content."""

    def __init__(self, address: str, port: int, epoll: select.epoll, source: str = "") -> None:
        self.socket = socket.create_connection((address, port), DEADLINE, (source, 0) if source else None)
        self.socket.setblocking(False)
        self.asked = self.first = self.last = 0.0
        self._head, self._left = b"", 0
        epoll.register(self.socket, select.EPOLLIN)

    def ask(self, request: bytes, size: int) -> None:
        """Ask for an object of ``size`` bytes."""
        self._head, self._left, self.first, self.last = b"", size, 0.0, 0.0
        self.asked = time.perf_counter()
        if self.socket.send(request) != len(request):
            raise RuntimeError("a request did not go out")

    def read(self) -> bool:
        """Take what came; return whether that was the last of it."""
        if self._left and b"\r\n\r\n" not in self._head:
            part = self.socket.recv(2048)
            if not part:
                raise RuntimeError(f"the server left: {self._head[:200]!r}")
            self._head += part
            at = self._head.find(b"\r\n\r\n")
            if at < 0:
                return False
            if self._head[9:12] != b"200":
                raise RuntimeError(f"{self._head[:300]!r}")
            self._took(len(self._head) - at - 4)
        try:
            while self._left and (
                took := self.socket.recv_into(BUFFER, min(self._left, len(BUFFER)), socket.MSG_TRUNC)
            ):
                self._took(took)
        except BlockingIOError:
            pass
        return not self._left

    def _took(self, count: int) -> None:
        if count and not self.first:
            self.first = time.perf_counter()
        self._left -= count
        if not self._left:
            self.last = time.perf_counter()


def connected(address: str, port: int, count: int, epoll: select.epoll) -> dict[int, Screen]:
    """Return screens by descriptor, connected from so many addresses that ports last, and that no address has more than it may."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    sources = (f"127.77.{number // HOUSE // 250}.{number // HOUSE % 250 + 1}" for number in range(count))
    screens = [Screen(address, port, epoll, source) for source in sources]
    return {screen.socket.fileno(): screen for screen in screens}


def follow(epoll: select.epoll, screens: dict[int, Screen], done: Callable[[Screen], bool], wait: float = 0.5) -> None:
    """Read what comes until ``done`` says so of a screen that has all, or for one ``wait`` where nothing comes."""
    for descriptor, _ in epoll.poll(wait):
        screen = screens[descriptor]
        if screen.read() and done(screen):
            return


def crowd(address: str, port: int, count: int, size: int, request: bytes) -> dict[str, float]:
    """Ask for one object with all screens."""
    epoll = select.epoll()
    screens = connected(address, port, count, epoll)
    leader, *others = screens.values()
    left, end = count, time.perf_counter() + DEADLINE

    def done(_: Screen) -> bool:
        nonlocal left
        left -= 1
        return False

    leader.ask(request, size)
    while (until := leader.asked + AHEAD - time.perf_counter()) > 0:
        follow(epoll, screens, done, until)
    for screen in others:
        screen.ask(request, size)
    while left and time.perf_counter() < end:
        follow(epoll, screens, done)
    if left:
        raise RuntimeError(f"{left} screens did not get all")
    firsts = [screen.first - screen.asked for screen in others]
    whole = max(screen.last for screen in screens.values()) - leader.asked
    return {"leader": leader.first - leader.asked, "median": median(firsts), "last": max(firsts), "whole": whole}


def evening(address: str, port: int, count: int, sizes: Sequence[int], requests: Sequence[bytes]) -> None:
    """Print ``connected`` once all have had something small, go on at a line from stdin, then print what was measured."""
    epoll = select.epoll()
    screens = connected(address, port, count, epoll)
    every = list(screens.values())
    left = 0

    def done(_: Screen) -> bool:
        nonlocal left
        left -= 1
        return False

    for start in range(0, count, 100):
        for screen in every[start : start + 100]:
            screen.ask(requests[0], sizes[0])
            left += 1
        while left:
            follow(epoll, screens, done)
    print("connected", flush=True)
    sys.stdin.readline()
    streams, rest = every[:STREAMS], every[STREAMS:]
    times, late, busy = list[float](), 0, set[Screen]()
    begun, streamed, probed = time.perf_counter(), 0, 0

    def ended(screen: Screen) -> bool:
        busy.discard(screen)
        if screen not in apart:
            times.append(screen.last - screen.asked)
        return False

    apart, choose = set(streams), random.Random(1)
    while (now := time.perf_counter()) < begun + SECONDS:
        while streamed < (now - begun) * STREAMS / EVERY:
            screen = streams[streamed % STREAMS]
            streamed += 1
            if screen in busy:
                late += 1
                continue
            busy.add(screen)
            screen.ask(requests[1], sizes[1])
        while probed < (now - begun) * PROBES:
            probed += 1
            screen = choose.choice(rest)
            if screen not in busy:
                busy.add(screen)
                screen.ask(requests[0], sizes[0])
        follow(epoll, screens, ended, 0.001)
    print(
        json.dumps(
            {"p50": median(times), "p99": hundredth(times), "probes": len(times), "late": late, "segments": streamed}
        )
    )


def main(what: str, address: str, port: str, count: str, *rest: str) -> None:
    """Run one of the two."""
    sizes = [int(word) for word in rest if word.isdigit()]
    targets = [word for word in rest if word.startswith("/")]
    headers = [word for word in rest if not word.isdigit() and not word.startswith("/")]
    requests = [
        "\r\n".join((f"GET {target} HTTP/1.1", f"Host: {address}:{port}", *headers, "", "")).encode()
        for target in targets
    ]
    if what == "crowd":
        print(json.dumps(crowd(address, int(port), int(count), sizes[0], requests[0])))
    else:
        evening(address, int(port), int(count), sizes, requests)


if __name__ == "__main__":
    main(*sys.argv[1:])
