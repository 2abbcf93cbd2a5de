"""Netlink's framing (<linux/netlink.h>, <linux/netfilter/nfnetlink.h>): messages, attributes, batches, and what comes back."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

NETLINK_ROUTE, NETLINK_NETFILTER = 0, 12
ERROR, DONE = 2, 3  # NLMSG_ERROR, NLMSG_DONE
REQUEST, ACK, DUMP, CREATE = 1, 4, 0x300, 0x400  # NLM_F_*
INTERRUPTED = 0x10  # NLM_F_DUMP_INTR: something changed while the kernel told it
NESTED = 0x8000  # NLA_F_NESTED
NFTABLES = 10  # NFNL_SUBSYS_NFTABLES
BATCH_BEGIN, BATCH_END, BATCH_GENERATION = 16, 17, 1  # NFNL_MSG_BATCH_*, NFNL_BATCH_GENID
HEADER = 16  # bytes of nlmsghdr
LONGEST_ATTRIBUTE = 0xFFFF


class Damaged(ValueError):
    """The bytes are no netlink message."""


@dataclass(frozen=True)
class Message:
    """One message as it came: what kind, for which request, and what follows its header."""

    kind: int
    flags: int
    sequence: int
    body: memoryview

    @property
    def error(self) -> int:
        """The error that the kernel answers (0: done), of an ``ERROR`` message."""
        if len(self.body) < 4:
            raise Damaged("an answer without its error number")
        return -int(struct.unpack_from("=i", self.body)[0])


def attribute(kind: int, value: bytes) -> bytes:
    """Return an attribute, padded to four bytes.

    Raises:
        ValueError: the value does not fit into one.
    """
    if len(value) + 4 > LONGEST_ATTRIBUTE:
        raise ValueError(f"{len(value)} bytes do not fit into an attribute")
    return struct.pack("=HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


def nested(kind: int, *inner: bytes) -> bytes:
    """Return an attribute made of attributes."""
    return attribute(kind | NESTED, b"".join(inner))


def text(kind: int, value: str) -> bytes:
    """Return an attribute that holds a name."""
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    """Return an attribute that holds 32 bits as the network writes them."""
    return attribute(kind, struct.pack(">I", value & 0xFFFFFFFF))


def message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """Return a message of any family of netlink."""
    return struct.pack("=IHHII", HEADER + len(body), kind, flags, sequence, 0) + body


def nf_body(family: int, body: bytes, resource: int = 0) -> bytes:
    """Return what a message of netfilter holds behind its header."""
    return struct.pack(">BBH", family, 0, resource) + body


def batch(parts: list[tuple[int, int, int, bytes]], first: int, generation: int | None = None) -> tuple[bytes, range]:
    """Return ``parts`` (kind, flags, family, body) as one transaction, and the numbers of its messages, the beginning's first.

    With ``generation`` the kernel takes it only if the ruleset is still the one with that number.
    """
    begin = number(BATCH_GENERATION, generation) if generation is not None else b""
    told = [message(BATCH_BEGIN, REQUEST, first, nf_body(0, begin, NFTABLES))]
    for offset, (kind, flags, family, body) in enumerate(parts, 1):
        told.append(message(NFTABLES << 8 | kind, flags | REQUEST | ACK, first + offset, nf_body(family, body)))
    end = first + len(parts) + 1
    told.append(message(BATCH_END, REQUEST, end, nf_body(0, b"", NFTABLES)))
    return b"".join(told), range(first, end)


def messages(datagram: bytes | memoryview) -> Iterator[Message]:
    """Yield the messages of a datagram.

    Raises:
        Damaged: the bytes are none.
    """
    view, place = memoryview(datagram), 0
    while place < len(view):
        if len(view) - place < HEADER:
            raise Damaged(f"{len(view) - place} bytes are left behind the last message")
        length, kind, flags, sequence, _ = struct.unpack_from("=IHHII", view, place)
        if not HEADER <= length <= len(view) - place:
            raise Damaged(f"a message says that it is {length} bytes long")
        yield Message(kind, flags, sequence, view[place + HEADER : place + length])
        place += (length + 3) & ~3


def attributes(body: bytes | memoryview) -> dict[int, memoryview]:
    """Return kind -> value; of kinds that stand there twice the last.

    Raises:
        Damaged: the bytes are no attributes.
    """
    return dict(each_attribute(body))


def each_attribute(body: bytes | memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield (kind, value) in order.

    Raises:
        Damaged: the bytes are no attributes.
    """
    view, place = memoryview(body), 0
    while len(view) - place >= 4:
        length, kind = struct.unpack_from("=HH", view, place)
        if not 4 <= length <= len(view) - place:
            raise Damaged(f"an attribute says that it is {length} bytes long")
        yield kind & 0x3FFF, view[place + 4 : place + length]
        place += (length + 3) & ~3


def word(value: memoryview | None) -> str:
    """Return the name that an attribute holds; empty where it is not there."""
    return bytes(value).rstrip(b"\0").decode(errors="replace") if value is not None else ""


def integer(value: memoryview | None, default: int = 0) -> int:
    """Return the number that an attribute of nftables holds, whatever its width."""
    return int.from_bytes(value, "big") if value is not None else default


def failure(number_of_error: int, what: str) -> OSError:
    """Return the error of that number as an exception."""
    name = errno.errorcode.get(number_of_error, str(number_of_error))
    return OSError(number_of_error, f"{what}: {os.strerror(number_of_error)} ({name})")
