"""Samples of packets as the kernel logs them (``log group 7``): the messages' decoder, pure, and the socket that they come from.

The layout is <linux/netfilter/nfnetlink_log.h>'s. A socket stays in the namespace in which it was opened, and keeps that namespace
alive: who holds one closes it when the zone's name is gone (``sampler.py``).
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

GROUP = 7  # our rules' `log group`
SNAPLEN = 128  # bytes of a packet: all headers that a flow is told from
BUFFER = 1 << 20  # bytes the kernel may keep for us; a rate-limited zone needs a few KiB
WAITING = 64  # messages in one datagram, or ...
DELAY = 1  # ... hundredths of a second until the kernel sends what it has
PATIENCE = 2.0  # seconds for the kernel's acknowledgement
NETLINK_NETFILTER = 12
ULOG = 4 << 8  # NFNL_SUBSYS_ULOG
PACKET, CONFIG = ULOG | 0, ULOG | 1
ERROR, REQUEST_ACK = 2, 1 | 4  # NLMSG_ERROR; NLM_F_REQUEST | NLM_F_ACK
HEADER, MAC, PAYLOAD, PREFIX, SEQUENCE, LINK_HEADER = 1, 8, 9, 10, 12, 16  # NFULA_*
COMMAND, MODE, BUFFER_SIZE, TIMEOUT, THRESHOLD, FLAGS = 1, 2, 3, 4, 5, 6  # NFULA_CFG_*
LONGEST_PREFIX = 127  # NF_LOG_PREFIXLEN
NEVER_SENT = 1 << 31  # a gap beyond it is a sequence that went backwards: the group was bound anew


@dataclass(frozen=True)
class Sample:
    """One logged packet: the rule's prefix, its number in the namespace, and the beginning of it from the network header on."""

    prefix: str
    sequence: int | None
    protocol: int  # ethertype
    mac: str  # of the sender; empty where the packet is the box's own
    payload: bytes


def decode(datagram: bytes) -> tuple[list[Sample], int]:
    """Return the samples of one datagram of the kernel and how many of its messages could not be read; any bytes are taken."""
    samples: list[Sample] = []
    damaged = 0
    place = 0
    while place + 16 <= len(datagram):
        length, kind = struct.unpack_from("=IH", datagram, place)
        if length < 16 or place + length > len(datagram):
            return samples, damaged + 1
        if kind == PACKET:
            sample = _sample(datagram[place + 20 : place + length])
            if sample is None:
                damaged += 1
            else:
                samples.append(sample)
        place += (length + 3) & ~3
    return samples, damaged


def gap(last: int | None, sequence: int | None) -> int:
    """Return how many samples the kernel made between two that came, and could not deliver."""
    if last is None or sequence is None:
        return 0
    missing = (sequence - last - 1) & 0xFFFFFFFF
    return missing if missing < NEVER_SENT else 0


def _sample(body: bytes) -> Sample | None:
    found = dict(_attributes(body))
    payload, header = found.get(PAYLOAD), found.get(HEADER, b"")
    if len(header) < 2 or payload is None:
        return None
    sequence = found.get(SEQUENCE, b"")
    return Sample(
        found.get(PREFIX, b"")[:LONGEST_PREFIX].split(b"\0")[0].decode("ascii", "replace"),
        int.from_bytes(sequence, "big") if len(sequence) == 4 else None,
        int.from_bytes(header[:2], "big"),
        _mac(found),
        payload[:SNAPLEN],
    )


def _mac(found: dict[int, bytes]) -> str:
    """Return the sender's address: told by the kernel, or read from an Ethernet header (ingress tells no other)."""
    told, link = found.get(MAC, b""), found.get(LINK_HEADER, b"")
    if len(told) >= 10 and told[:2] == b"\0\6":
        return told[4:10].hex(":")
    return link[6:12].hex(":") if len(link) == 14 else ""


def _attributes(body: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place + 4 <= len(body):
        length, kind = struct.unpack_from("=HH", body, place)
        if length < 4 or place + length > len(body):
            return
        yield kind & 0x3FFF, body[place + 4 : place + length]
        place += (length + 3) & ~3


class Socket:
    """The samples of the namespace in which this is made."""

    def __init__(self, group: int = GROUP) -> None:
        """Bind the group.

        Raises:
            OSError: the kernel has no such log, or another process holds the group (EBUSY).
        """
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            self._socket.settimeout(PATIENCE)
            bind = _attribute(COMMAND, struct.pack("=B", 1))  # NFULNL_CFG_CMD_BIND
            rest = (
                _attribute(MODE, struct.pack(">IBx", SNAPLEN, 2))  # NFULNL_COPY_PACKET
                + _attribute(THRESHOLD, struct.pack(">I", WAITING))
                + _attribute(TIMEOUT, struct.pack(">I", DELAY))
                + _attribute(FLAGS, struct.pack(">H", 1))  # NFULNL_CFG_F_SEQ
            )
            for attributes in (bind, rest):
                self._configure(group, attributes)
            self._socket.setblocking(False)
        except OSError:
            self._socket.close()
            raise

    def _configure(self, group: int, attributes: bytes) -> None:
        body = struct.pack(">BBH", 0, 0, group) + attributes
        self._socket.sendto(struct.pack("=IHHII", 16 + len(body), CONFIG, REQUEST_ACK, 1, 0) + body, (0, 0))
        while True:
            answer = self._socket.recv(1 << 16)
            length, kind = struct.unpack_from("=IH", answer)
            if kind == ERROR and length >= 20:
                number = -struct.unpack_from("=i", answer, 16)[0]
                if number:
                    raise OSError(number, "the kernel refused the log group")
                return

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._socket.fileno()

    def read(self) -> bytes | None:
        """Return the next datagram, or None where none waits; empty bytes mean that the kernel had to throw samples away."""
        try:
            return self._socket.recv(1 << 18)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                return b""
            raise

    def close(self) -> None:
        """Give the group back, and the namespace free."""
        self._socket.close()


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
