"""The line of a zone: how much of it is used, what each player may take of it, and what the kernel knows of one connection."""

from __future__ import annotations

import socket
import struct
import time
from asyncio import BaseTransport
from collections.abc import Callable

from gateway.delivery.cmsd import Link

SHARED = 0.9  # of a line that players may fill; the rest is for heads, bursts and whoever comes next
SPAN = 5.0  # seconds over which the load is looked at
_INFO = struct.Struct(
    "=68xI88xQ"
)  # struct tcp_info (linux/tcp.h): round trip in microseconds, delivery rate in bytes a second


class Line:
    """What a zone's line carries (``capacity`` in bits a second, 0: nobody said) and what goes over it; ``clock`` tells seconds."""

    def __init__(self, capacity: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self.capacity = capacity
        self._clock, self._began = clock, clock()
        self._now, self._before = 0, 0

    def sent(self, count: int) -> None:
        """Note that ``count`` bytes went over it."""
        self._turn()
        self._now += count

    def loaded(self) -> bool:
        """Return whether it is as full as players may make it, over the last seconds."""
        self._turn()
        return bool(self.capacity) and max(self._now, self._before) * 8 > self.capacity * SHARED * SPAN

    def share(self, players: int) -> int:
        """Return how many bits a second one of ``players`` may choose, 0 for any."""
        return int(self.capacity * SHARED / max(1, players))

    def _turn(self) -> None:
        gone = self._clock() - self._began
        if gone >= SPAN:
            self._before = self._now if gone < 2 * SPAN else 0
            self._now, self._began = 0, self._clock()


def look(transport: BaseTransport | None) -> Link | None:
    """Return what the kernel knows of a connection, None where it is no TCP connection (any more)."""
    connection = None if transport is None else transport.get_extra_info("socket")
    if connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    try:
        microseconds, rate = _INFO.unpack(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size))
    except OSError:
        return None
    return Link(microseconds / 1e6, rate * 8)
