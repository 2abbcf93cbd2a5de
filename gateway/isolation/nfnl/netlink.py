"""A netlink socket that asks and waits for the whole answer."""

from __future__ import annotations

import contextlib
import errno
import itertools
import socket
import struct
from collections.abc import Iterator
from typing import Self

from gateway.isolation.nfnl.messages import (
    ACK,
    DONE,
    DUMP,
    ERROR,
    INTERRUPTED,
    REQUEST,
    Message,
    failure,
    message,
    messages,
)

PATIENCE = 10.0  # seconds for the kernel's answer: a transaction waits for those of others
LARGEST = 256 << 10  # bytes of one datagram; the kernel sends 32 KiB, and an error quotes the message it is about
MOST_TRIES = 20  # of a dump that others change meanwhile
SO_SNDBUFFORCE = 32


class Changed(Exception):
    """What was asked about changed meanwhile."""


class Netlink:
    """One socket; it belongs to the namespace in which it was opened. ``descriptor``: an open one, which this closes."""

    def __init__(self, family: int, descriptor: int | None = None) -> None:
        if descriptor is None:
            self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family)
            self.socket.bind((0, 0))
        else:
            self.socket = socket.socket(fileno=descriptor)
        self.socket.settimeout(PATIENCE)
        self._numbers = itertools.count(1)
        self._buffer = 0

    @property
    def port(self) -> int:
        """The socket's number in its namespace; 0 until something was sent."""
        return int(self.socket.getsockname()[0]) & 0xFFFFFFFF

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def one(self, kind: int, body: bytes, flags: int = 0) -> Message | None:
        """Return the answer to one question, None where the kernel only says that it is done.

        Raises:
            OSError: the kernel refuses.
        """
        number = self.take(1)
        self.send(message(kind, REQUEST | ACK | flags, number, body))
        found: Message | None = None
        while True:
            for answer in messages(self.receive()):
                if answer.sequence != number:
                    continue
                if answer.kind != ERROR:
                    found = answer
                elif answer.error:
                    raise failure(answer.error, "the kernel refuses")
                else:
                    return found

    def whole(self, kind: int, body: bytes) -> list[Message]:
        """Return a whole dump, asked again where the kernel says that it was changed meanwhile.

        Raises:
            OSError: the kernel does not tell.
        """
        for _ in range(MOST_TRIES):
            with contextlib.suppress(Changed):
                return list(self._dump(kind, body))
        raise failure(errno.EINTR, "others change it all the time")

    def take(self, count: int) -> int:
        """Return the first of ``count`` numbers for messages."""
        first = next(self._numbers)
        self._numbers = itertools.count((first + count) & 0x3FFFFFFF)
        return first

    def send(self, data: bytes) -> None:
        """Send to the kernel."""
        if len(data) > self._buffer:
            self._buffer = max(2 * len(data), 1 << 16)
            self.socket.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, self._buffer)
        self.socket.sendto(data, (0, 0))

    def receive(self) -> bytes:
        """Return the kernel's next datagram; other processes, which can send here too, are not heard."""
        while True:
            data, source = self.socket.recvfrom(LARGEST)
            if source[0] == 0:
                return data

    def _dump(self, kind: int, body: bytes) -> Iterator[Message]:
        number, interrupted = self.take(1), False
        self.send(message(kind, REQUEST | DUMP, number, body))
        while True:
            for answer in messages(self.receive()):
                if answer.sequence != number:
                    continue
                interrupted = interrupted or bool(answer.flags & INTERRUPTED)
                if answer.kind not in (ERROR, DONE):
                    yield answer
                    continue
                error = -struct.unpack_from("=i", answer.body)[0] if len(answer.body) >= 4 else 0
                if error == errno.EINTR or (interrupted and not error):
                    raise Changed
                if error:
                    raise failure(error, "the kernel does not tell")
                return
