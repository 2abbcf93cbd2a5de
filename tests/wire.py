"""What servers really sent: TCP captured on the loopback interface, put together by sequence numbers, read as HTTP/1.1.

Independent of all code of the project: packets, not what anybody says that was sent. Needs root (AF_PACKET).
"""

from __future__ import annotations

import ctypes
import re
import socket
import struct
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

IP, TCP = 0x0800, 6  # ETH_P_IP, IPPROTO_TCP
SOL_PACKET, PACKET_STATISTICS, SO_RCVBUFFORCE, SO_ATTACH_FILTER = 263, 6, 33, 26
PACKET_HOST = 0  # as it comes in: the loopback interface shows each packet as it goes out, too
BUFFER = 512 << 20  # bytes
FIN, SYN, RST = 1, 2, 4


@dataclass
class Flow:
    """One direction of a connection: bytes by their distance from the first."""

    start: int | None = None
    data: bytearray = field(default_factory=bytearray)
    seen: list[tuple[int, int]] = field(default_factory=list)

    def add(self, sequence: int, flags: int, payload: bytes) -> None:
        """Take a segment."""
        if flags & SYN:
            self.start = sequence + 1
        if self.start is None or not payload:
            return
        at = (sequence - self.start) & 0xFFFFFFFF
        if len(self.data) < at + len(payload):
            self.data.extend(bytes(at + len(payload) - len(self.data)))
        self.data[at : at + len(payload)] = payload
        self.seen.append((at, at + len(payload)))

    def whole(self) -> bytes:
        """Return what was seen, which must have no gap."""
        end = 0
        for first, last in sorted(self.seen):
            assert first <= end, f"the capture has a gap of {first - end} bytes"
            end = max(end, last)
        return bytes(self.data[:end])


class Capture:
    """The flows from and to ports of 127/8."""

    def __init__(self, ports: frozenset[int]) -> None:
        self._ports = ports
        self._channel = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(IP))
        self._channel.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        self._filter = _only(self._channel, sorted(ports))
        self._channel.bind(("lo", IP))
        self._channel.settimeout(0.1)
        self.flows: defaultdict[tuple[str, int, str, int], list[Flow]] = defaultdict(list)
        self._done = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                packet, told = self._channel.recvfrom(1 << 18)
            except TimeoutError:
                if self._done.is_set():
                    return
                continue
            if told[2] == PACKET_HOST:
                self._take(packet)

    def _take(self, packet: bytes) -> None:
        head = (packet[0] & 15) * 4
        total = struct.unpack_from("!H", packet, 2)[0] or len(packet)
        here, there, sequence, _, offset, flags = struct.unpack_from("!HHIIBB", packet, head)
        source, target = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
        flows = self.flows[source, here, target, there]
        # Who connects where nobody listens is refused with the sequence number 0 (RFC 9293, section 3.10.7.1): a conversation of its own.
        if flags & SYN or not flows or (flags & RST and sequence == 0):
            flows.append(Flow())
        flows[-1].add(sequence, flags, packet[head + (offset >> 4) * 4 : total])

    def stop(self) -> None:
        """End the capture, once everything that was sent is taken; nothing of it may be missing."""
        self._done.set()
        self._thread.join(30)
        assert not self._thread.is_alive()
        _, dropped = struct.unpack("=II", self._channel.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        assert not dropped, f"{dropped} packets were not captured"
        self._channel.close()

    def conversations(self) -> Iterator[tuple[bytes, bytes]]:
        """Return what each client asked and what it was sent."""
        for (source, here, target, there), flows in list(self.flows.items()):
            if here in self._ports and there not in self._ports:
                asked = self.flows[target, there, source, here]
                # The last words of a connection that began before the capture may have come of one end alone.
                for one, other in ((asked, flows), (flows, asked)):
                    if len(one) > len(other) and one[0].start is None:
                        del one[0]
                for one, other in zip(asked, flows, strict=True):
                    yield one.whole(), other.whole()


@dataclass
class Counted:
    """Content that was seen on the wire: bytes and requests by path."""

    bytes: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)


@contextmanager
def captured(*ports: int) -> Iterator[Counted]:
    """Capture while the block runs; the result is filled in at its end."""
    capture, counted = Capture(frozenset(ports)), Counted()
    try:
        yield counted
    finally:
        capture.stop()
    for asked, sent in capture.conversations():
        _count(asked, sent, counted)


def _count(asked: bytes, sent: bytes, counted: Counted) -> None:
    """Count the content of the answers of one connection: of those with an entity tag, which refusals do not have."""
    requests = re.findall(rb"(GET|HEAD|OPTIONS) (\S+) HTTP/1\.1\r\n", asked)
    for method, target in requests:
        head, found, rest = sent.partition(b"\r\n\r\n")
        if not found:
            assert not head or head.startswith(b"HTTP/1.1"), head[:200]
            return
        status = int(head[9:12])
        names = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
        }
        length = int(names.get(b"content-length", b"0")) if method == b"GET" and status not in (204, 304) else 0
        if names.get(b"transfer-encoding") == b"chunked" and method == b"GET":
            body, sent = _chunks(rest)
        else:
            body, sent = rest[:length], rest[length:]
        if method == b"GET" and b"etag" in names and status != 416:
            path = target.decode().split("?")[0]
            boundary = names[b"content-type"].partition(b"boundary=")[2] if b"content-type" in names else b""
            size = _parts(body, boundary) if boundary else len(body)
            counted.bytes[path] += size
            counted.requests[path] += bool(size or status == 304)
    assert not sent, f"{len(sent)} bytes answer nothing"


def _chunks(rest: bytes) -> tuple[bytes, bytes]:
    """Return the content of a chunked body, which may be cut off, and what is behind it (RFC 9112 section 7.1)."""
    body = b""
    while True:
        line, found, rest = rest.partition(b"\r\n")
        if not found:
            return body, b""
        size = int(line, 16)
        if not size:
            return body, rest.removeprefix(b"\r\n")
        body, rest = body + rest[:size], rest[size + 2 :]


def _parts(body: bytes, boundary: bytes) -> int:
    """Return the bytes of content in a body of several ranges, which may be cut off (RFC 9110 section 14.6)."""
    size = 0
    while body.startswith(b"\r\n--" + boundary + b"\r\n"):
        head, found, body = body[2:].partition(b"\r\n\r\n")
        if not found:
            return size
        range_of = re.search(rb"Content-Range: bytes (\d+)-(\d+)/", head)
        assert range_of, head
        wanted = int(range_of[2]) - int(range_of[1]) + 1
        size += len(body[:wanted])
        body = body[wanted:]
    return size


def _only(channel: socket.socket, ports: list[int]) -> ctypes.Array[ctypes.c_char]:
    """Let only TCP packets from and to ``ports`` through (linux/filter.h; offsets are from the IP header)."""
    load_byte, load_half_behind, head_length, equal, returns = 0x30, 0x48, 0xB1, 0x15, 0x06
    tests = len(ports) * 2
    program = [(load_byte, 0, 0, 9), (equal, 0, tests + 3, TCP), (head_length, 0, 0, 0)]
    for offset in (0, 2):
        program.append((load_half_behind, 0, 0, offset))
        for port in ports:
            left = tests + 5 - len(program)  # to "take it", which stands last
            program.append((equal, left, 0, port))
    program += [(returns, 0, 0, 0), (returns, 0, 0, 1 << 20)]
    text = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in program))
    channel.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(text)))
    return text
