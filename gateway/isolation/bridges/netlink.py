"""Netlink as a look each second needs it: whole dumps and short orders, attributes as bytes (pyroute2 decodes ten times slower)."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from typing import Self

ROUTE, SOCK_DIAG, NETFILTER = 0, 4, 12
REQUEST, ACK, DUMP = 1, 4, 0x300
ERROR, DONE = 2, 3
INTERRUPTED = 0x10  # NLM_F_DUMP_INTR: the table changed under the dump
TRIES = 3
LARGEST = 1 << 18  # bytes of one answer
PATIENCE = 2.0  # seconds for the kernel's answer
_header = struct.Struct("=IHHII")


class Netlink:
    """A socket in the namespace of the thread that opens it, where it stays."""

    def __init__(self, family: int = ROUTE) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)
        self.socket.bind((0, 0))  # without a number of its own it would not hear what the kernel tells everybody
        self.socket.settimeout(PATIENCE)
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """Return the payloads of all objects of a kind.

        Raises:
            OSError: the kernel refused it.
        """
        for _ in range(TRIES):
            whole, found = self._dump(kind, body)
            if whole:
                break
        return found

    def _dump(self, kind: int, body: bytes) -> tuple[bool, list[bytes]]:
        self._send(kind, REQUEST | DUMP, body)
        found: list[bytes] = []
        whole = True
        while True:
            for answered, flags, payload in messages(self.socket.recv(LARGEST)):
                whole &= not flags & INTERRUPTED
                if answered == DONE:
                    return whole, found
                if answered == ERROR:
                    raise _error(payload)
                found.append(payload)

    def order(self, kind: int, body: bytes, flags: int = 0) -> None:
        """Have the kernel do something.

        Raises:
            OSError: it refused.
        """
        self._send(kind, REQUEST | ACK | flags, body)
        for answered, _, payload in messages(self.socket.recv(LARGEST)):
            if answered == ERROR and struct.unpack_from("=i", payload)[0]:
                raise _error(payload)

    def ask(self, kind: int, body: bytes) -> bytes:
        """Return the payload of one answer.

        Raises:
            OSError: the kernel refused.
        """
        self._send(kind, REQUEST, body)
        for answered, _, payload in messages(self.socket.recv(LARGEST)):
            if answered == ERROR:
                raise _error(payload)
            return payload
        raise OSError(0, "the kernel's answer is empty")

    def _send(self, kind: int, flags: int, body: bytes) -> None:
        self._count += 1
        self.socket.sendto(_header.pack(16 + len(body), kind, flags, self._count, 0) + body, (0, 0))


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield (type, flags, payload) of each message in a datagram."""
    place, end = 0, len(data)
    while place + 16 <= end:
        length, kind, flags, _, _ = _header.unpack_from(data, place)
        if length < 16:
            return
        yield kind, flags, data[place + 16 : place + length]
        place += (length + 3) & ~3


def attributes(data: bytes, place: int = 0) -> dict[int, bytes]:
    """Return number -> bytes of the attributes from ``place`` on; of repeated ones the last."""
    found = {}
    end = len(data)
    unpack = struct.unpack_from
    while place + 4 <= end:
        length, kind = unpack("=HH", data, place)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[place + 4 : place + length]
        place += (length + 3) & ~3
    return found


def attribute(kind: int, data: bytes) -> bytes:
    """Return one attribute with its padding."""
    return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def text(data: bytes) -> str:
    """Return the text of an attribute."""
    return data.rstrip(b"\0").decode(errors="replace")


def number(data: bytes | None) -> int:
    """Return the unsigned number of an attribute; 0 where it is absent."""
    return int(struct.unpack("=I", data)[0]) if data else 0


def _error(payload: bytes) -> OSError:
    code = -int(struct.unpack_from("=i", payload)[0])
    return OSError(code, os.strerror(code))
