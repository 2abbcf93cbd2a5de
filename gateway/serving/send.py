"""An object on its way to a screen: large ones by one ``sendfile`` of the kernel, small ones in one write with the headers."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, Protocol

from aiohttp import web

from appliance.runtime.errors import Corrupt, HeadgateError
from gateway.serving.coming import Coming, Growing
from gateway.serving.running import shut

SMALL = 64 << 10  # bytes; below this one copy costs less than a second system call
SLOWEST = 16 << 10  # bytes a second; slower screens would hold descriptors for ever
FIRST = 4 << 10  # bytes that each screen waiting for the same object gets before one of them gets more
GRACE = 30.0  # seconds before that is looked at
LATE = web.RequestKey("late", bool)  # its screen read too slowly, and was broken off
# The last field of its answer, and what gives its value once the first byte is there.
LAST: web.RequestKey[tuple[str, Callable[[], str]]] = web.RequestKey("last", tuple)


class Counting(Protocol):
    """Who counts what goes out (``gateway/delivery/metering``)."""

    def content(self, status: int, count: int, ahead: int = 0) -> None:
        """Note that ``count`` bytes of content go next, behind ``ahead`` bytes of the answer's head in the same write."""


async def send(
    request: web.Request,
    status: int,
    headers: Mapping[str, str],
    file: BinaryIO,
    first: int,
    count: int,
    coming: Coming | None = None,
    counting: Counting | None = None,
) -> tuple[web.StreamResponse, int]:
    """Answer with ``count`` bytes of ``file`` from ``first`` on; return the response and the bytes that the kernel took.

    Fewer than ``count`` came to be sent where the screen left, or read too slowly, or the object that is ``coming`` was refused in the
    middle; its connection is closed then, since a short answer must not look whole.

    Raises:
        HeadgateError: the object was refused, or the disk did not give it (Corrupt), before its first byte was sent.
    """
    if request.method != "HEAD" and count <= SMALL:
        if coming is not None:
            await coming.reach(first + count)
        body = _read(file, first, count)
        whole = web.Response(status=status, headers=headers, body=body)
        return whole, count if await _complete(request, whole, counting, count) else 0
    response = (web.StreamResponse if coming is None else _Together)(status=status, headers=headers)
    response.content_length = count
    if request.method == "HEAD":
        await _complete(request, response)
        return response, 0
    sent = 0
    with contextlib.suppress(
        ConnectionError
    ):  # the screen left: what it took is counted, and nobody is there to be told
        # Of what is coming the head is made before one waits, as all who wait go on at once; it is kept back, and gives way to a refusal.
        writer = await response.prepare(request)
        ready = 0 if coming is None else await coming.reach(first + 1) - first
        if LAST in request:
            _add(writer, *request[LAST])
        if request.transport is not None:
            begin = b"" if coming is None else _read(file, first, min(FIRST, ready, count))
            if counting is not None:
                counting.content(status, count, _waiting(writer))
            if begin:
                await response.write(begin)
                sent = len(begin)
                await asyncio.sleep(0)  # the others have their turn
            sent += await send_all(request, file, first + sent, count - sent, coming)
        if sent == count:
            await response.write_eof()
    if sent < count and request.transport is not None:
        request.transport.abort()
    return response, sent


class _Together(web.StreamResponse):
    """A response whose head goes in one write with what is written first: a crowd that waits for the same costs half as much then."""

    _send_headers_immediately = False


def _add(writer: object, name: str, value: Callable[[], str]) -> None:
    """Add a field to the head that aiohttp keeps."""
    if (head := getattr(writer, "_headers_buf", None)) and (text := value()):
        setattr(writer, "_headers_buf", head[:-2] + f"{name}: {text}\r\n\r\n".encode())  # noqa: B010 (it has no other name)


def _waiting(writer: object) -> int:
    """Return the bytes of the head that aiohttp keeps for the one write with what comes next."""
    return len(getattr(writer, "_headers_buf", None) or b"")


def is_readable(file: BinaryIO, at: int) -> bool:
    """Return whether the disk gives the byte ``at`` of the file."""
    try:
        return bool(os.pread(file.fileno(), 1, at))
    except (OSError, Corrupt):
        return False


def _read(file: BinaryIO, first: int, count: int) -> bytes:
    try:
        body = file.piece(first, count) if isinstance(file, Growing) else os.pread(file.fileno(), count, first)
    except OSError as error:
        raise Corrupt(f"the store's disk does not give the object: {error.strerror}") from error
    if len(body) < count:
        raise Corrupt("the object in the store is too short")
    return body


async def send_all(request: web.Request, file: BinaryIO, first: int, count: int, coming: Coming | None) -> int:
    """Send as it comes; return the bytes that the kernel took."""
    sent = 0
    while sent < count and (transport := request.transport) is not None:
        ready = count
        if coming is not None:
            try:
                ready = min(count, await coming.reach(first + sent + 1) - first)
            except HeadgateError:
                break
            if not sent:
                ready = min(ready, FIRST)
        with _in_time(request, transport, ready - sent):
            took = await _sendfile(request, transport, file, first + sent, ready - sent)
        sent += took
        if sent < ready:
            break
        if sent < count and coming is not None:
            await asyncio.sleep(0)  # the others have their turn
    return sent


async def _complete(
    request: web.Request, response: web.StreamResponse, counting: Counting | None = None, count: int = 0
) -> bool:
    """Send a response that is whole; return whether the screen was still there."""
    if request.transport is None:
        return False
    try:
        with _in_time(request, request.transport, count):
            writer = await response.prepare(request)
            if counting is not None:
                counting.content(response.status, count, _waiting(writer))
            await response.write_eof()
    except ConnectionError:
        return False
    return True


@contextlib.contextmanager
def _in_time(request: web.Request, transport: asyncio.Transport, count: int) -> Iterator[None]:
    """Shut the connection down if its screen does not take ``count`` bytes within the time that the slowest may need."""

    def late() -> None:
        request[LATE] = True
        shut(transport)

    watch = asyncio.get_running_loop().call_later(GRACE + count / SLOWEST, late)
    try:
        yield
    finally:
        watch.cancel()


async def _sendfile(request: web.Request, transport: asyncio.Transport, file: BinaryIO, first: int, count: int) -> int:
    loop = asyncio.get_running_loop()
    try:
        descriptor = file.fileno()
    except (
        OSError,
        Corrupt,
    ):  # what a crowd begins with went out before each opens it: an error's answer would be taken for content
        return 0
    os.lseek(descriptor, first, os.SEEK_SET)
    try:
        return await loop.sendfile(transport, file, first, count, fallback=False)
    except (OSError, asyncio.SendfileNotAvailableError) as error:
        if isinstance(error, TimeoutError):  # the kernel's: the screen took nothing
            request[LATE] = True
        # asyncio leaves the file's position behind the last byte that the kernel took
        return os.lseek(descriptor, 0, os.SEEK_CUR) - first
