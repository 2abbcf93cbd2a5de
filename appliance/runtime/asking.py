"""Questions to our own daemons over their Unix sockets: the part of HTTP/1.1 that they speak, at a small part of a full client's cost.

A crossing asks some times for each object, and takes its bytes from one of the answers: they come into a buffer that is used again and
again, and are not copied. Connections are kept, none takes descriptors (``descriptors.py``), and everything that comes in is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Self

from appliance.runtime import descriptors, http

LONGEST_HEAD = 16 << 10  # bytes of status line and headers
LONGEST_ANSWER = 64 << 20  # bytes of an answer that is read whole: a release of 100 000 files has some 16 MiB
LONGEST_LINE = 64 << 10  # bytes
READ = 64 << 10  # bytes of a head, and what comes with it
BUFFER = 1 << 20  # bytes of a body that are handed on at once
SOON = 0.01  # seconds for which they are waited for, from the first on
MOST_SPARE = 16  # buffers that are kept
_STATUS = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2})(?: [^\r\n]*)?", re.ASCII)
_NUMBER, _HEX = re.compile(r"[0-9]{1,18}", re.ASCII), re.compile(rb"[0-9a-fA-F]{1,15}", re.ASCII)


class BrokeOff(Exception):
    """The other side went away in the middle, or speaks no HTTP."""


class Away(BrokeOff):
    """Nobody listens there."""


class Connection:
    """One connection: what came and was not taken yet, and what comes."""

    def __init__(self, channel: socket.socket, patience: float) -> None:
        self._channel, self._patience = channel, patience
        self._rest = memoryview(b"")

    @property
    def usable(self) -> bool:
        """Return whether the other side has neither closed nor said anything unasked."""
        try:
            self._channel.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return not self._rest
        except OSError:
            return False
        return False

    async def comes(self, within: float) -> bool:
        """Return whether something came that was not taken yet, or the end, after at most ``within`` seconds."""
        if self._rest:
            return True
        try:
            self._channel.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return within > 0 and await _readable(self._channel, within)
        except OSError:
            pass
        return True

    def close(self) -> None:
        """Let it go."""
        self._channel.close()

    async def send(self, data: bytes) -> None:
        """Send all of ``data``."""
        try:
            await asyncio.get_running_loop().sock_sendall(self._channel, data)
        except ConnectionError as error:
            raise BrokeOff(str(error)) from error

    async def line(self, longest: int) -> bytes:
        """Return the next line, without its end."""
        came = bytearray()
        while True:
            end = bytes(self._rest).find(b"\n")
            if end >= 0:
                came += self._rest[:end]
                self._rest = self._rest[end + 1 :]
                return bytes(came.removesuffix(b"\r"))
            came += self._rest
            if len(came) > longest:
                raise BrokeOff("it answers in a line that is too long")
            self._rest = await self._some()

    async def head(self) -> tuple[int, dict[str, str]]:
        """Return the status and the headers, by their names in small letters."""
        came = bytes(self._rest)
        while (end := came.find(b"\r\n\r\n")) < 0:
            if len(came) > LONGEST_HEAD:
                raise BrokeOff("its answer has too long a head")
            came += await self._some()
        self._rest = memoryview(came)[end + 4 :]
        first, *lines = came[:end].split(b"\r\n")
        status = _STATUS.fullmatch(first)
        if status is None:
            raise BrokeOff("its answer is no HTTP")
        headers = {}
        for each in lines:
            name, colon, value = each.decode("latin-1").partition(":")
            if not colon:
                raise BrokeOff("its answer has a header that is none")
            headers[name.lower()] = value.strip()
        return int(status[1]), headers

    async def into(self, view: memoryview) -> int:
        """Fill some of ``view`` with what comes next, and return how much."""
        if not self._rest:
            return await self._receive(view)
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    async def _some(self) -> memoryview:
        some = memoryview(bytearray(READ))
        return some[: await self._receive(some)]

    async def _receive(self, view: memoryview) -> int:
        try:
            try:
                count = self._channel.recv_into(view)
            except BlockingIOError:
                async with asyncio.timeout(self._patience):
                    count = await asyncio.get_running_loop().sock_recv_into(self._channel, view)
        except ConnectionError as error:
            raise BrokeOff(str(error)) from error
        if not count:
            raise BrokeOff("it closed in the middle of its answer")
        return count


async def _readable(channel: socket.socket, within: float) -> bool:
    """Return whether ``channel`` can be read from after at most ``within`` seconds."""
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(channel, readable.set)
    try:
        async with asyncio.timeout(within):
            await readable.wait()
    except TimeoutError:
        return readable.is_set()
    finally:
        loop.remove_reader(channel)
    return True


class Answer:
    """An answer whose body is still to be read, by way of ``buffer``."""

    def __init__(self, connection: Connection, buffer: memoryview, status: int, headers: Mapping[str, str]) -> None:
        self._connection, self._buffer, self.status, self.headers = connection, buffer, status, headers
        self._chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        length = headers.get("content-length", "0" if status in (204, 304) else "")
        if not self._chunked and not _NUMBER.fullmatch(length):
            raise BrokeOff("it does not say how long its answer is")
        self._left = 0 if self._chunked else int(length)  # bytes, of the chunk or of all
        self.over = status in (204, 304) or not (self._chunked or self._left)

    async def chunks(self) -> AsyncIterator[memoryview]:
        """Yield the body, as much at once as comes within ``SOON``; each piece may be used until the next is asked for."""
        while not self.over:
            filled = await self._into(self._buffer)
            until = time.monotonic() + SOON
            while (
                filled < len(self._buffer) and not self.over and await self._connection.comes(until - time.monotonic())
            ):
                filled += await self._into(self._buffer[filled:])
            if filled:
                yield self._buffer[:filled]

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield the body's lines, each as soon as it is there."""
        waiting = b""
        while not self.over:
            *whole, waiting = (waiting + self._buffer[: await self._into(self._buffer)]).split(b"\n")
            if len(waiting) > LONGEST_LINE:
                raise BrokeOff("it answers in a line that is too long")
            for line in whole:
                yield line
        if waiting:
            yield waiting

    async def read(self, longest: int = LONGEST_ANSWER) -> bytes:
        """Return the whole body, of at most ``longest`` bytes."""
        came = bytearray()
        while not self.over:
            came += self._buffer[: await self._into(self._buffer)]
            if len(came) > longest:
                raise BrokeOff(f"its answer is longer than {longest} bytes")
        return bytes(came)

    async def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            Refused, Unreachable, Corrupt: as raised at the other side.
            ValueError: it is no JSON.
        """
        body = await self.read()
        if self.status >= 400:
            raise http.told(self.status, body)
        return json.loads(body) if self.status != 204 else None

    async def check(self) -> Self:
        """Return this answer if it is a success, else raise what the other side told.

        Raises:
            Refused, Unreachable, Corrupt: as raised at the other side.
        """
        if self.status >= 400:
            raise http.told(self.status, await self.read())
        return self

    async def _into(self, view: memoryview) -> int:
        """Fill some of ``view`` with the body; none at its end."""
        if self._chunked and not self._left:
            size = await self._connection.line(LONGEST_LINE)
            if not _HEX.fullmatch(size):
                raise BrokeOff("a piece of its answer has no length")
            self._left = int(size, 16)
            if not self._left:
                await self._end_of_line()
                self.over = True
                return 0
        count = await self._connection.into(view[: self._left])
        self._left -= count
        if not self._left:
            if self._chunked:
                await self._end_of_line()
            else:
                self.over = True
        return count

    async def _end_of_line(self) -> None:
        if await self._connection.line(LONGEST_LINE):
            raise BrokeOff("a piece of its answer is longer than it says")


class Asking:
    """Asks one daemon at its socket, over at most ``most`` connections at once; ``patience``: seconds without a byte."""

    def __init__(self, path: Path, *, most: int, patience: float) -> None:
        self._path, self._patience = path, patience
        self._turn = asyncio.Semaphore(most)
        self._idle: list[Connection] = []
        self._spare: list[memoryview] = []  # buffers that nobody uses now

    @contextlib.asynccontextmanager
    async def post(self, what: str, told: Mapping[str, Any]) -> AsyncIterator[Answer]:
        """Ask ``POST /what`` with ``told`` as JSON; yield the answer. A connection whose answer was read to its end is used again.

        Raises:
            Away: nobody listens.
            BrokeOff: the other side went away in the middle; also raised by the answer's methods.
            TimeoutError: nothing came for as long as the patience lasts.
        """
        body = json.dumps(told).encode()
        head = f"POST /{what} HTTP/1.1\r\nHost: box\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        async with self._turn:
            connection = await self._connection()
            buffer = self._spare.pop() if self._spare else memoryview(bytearray(BUFFER))
            kept = False
            try:
                await connection.send(head.encode() + body)
                answer = Answer(connection, buffer, *await connection.head())
                yield answer
                kept = answer.over and answer.headers.get("connection", "").lower() != "close"
            finally:
                if len(self._spare) < MOST_SPARE:
                    self._spare.append(buffer)
                if kept:
                    self._idle.append(connection)
                else:
                    connection.close()

    def close(self) -> None:
        """Close the connections that wait."""
        while self._idle:
            self._idle.pop().close()

    async def _connection(self) -> Connection:
        while self._idle:
            kept = self._idle.pop()
            if kept.usable:
                return kept
            kept.close()
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            channel.setblocking(False)
            descriptors.refuse(channel)
            async with asyncio.timeout(self._patience):
                await asyncio.get_running_loop().sock_connect(channel, str(self._path))
        except OSError as error:
            channel.close()
            if isinstance(error, TimeoutError):
                raise
            raise Away(f"nobody answers at {self._path}: {error.strerror}") from error
        except BaseException:
            channel.close()
            raise
        return Connection(channel, self._patience)
