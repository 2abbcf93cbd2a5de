"""An origin's response on its way to a screen, whole or in parts, its header fields as the origin wrote them."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

from gateway.caching import fields as headers
from gateway.caching.body import Body
from gateway.caching.cache_status import Did, told
from gateway.caching.fields import Fields
from gateway.delivery.front import counted, places, seen
from gateway.delivery.metering.meter import Running
from gateway.serving.choose import Part
from gateway.serving.parts import spans
from gateway.serving.send import GRACE, SLOWEST

CHUNK = 256 << 10  # bytes of one write
READS = 0.05  # seconds between two looks whether a screen has read of what was written in many small pieces
MOST_INTERIM = 16  # interim responses of one answer

Piece = tuple[bytes, int, int]  # what goes before it, its first byte, the one behind its last


class Passed(web.StreamResponse):
    """A response that says what the origin said, and nothing of ours but ``Cache-Status``."""


class Sending:
    """What was sent to a request so far; ``meter`` begins to count it, as a hit or not."""

    def __init__(self, request: web.Request, meter: Callable[[bool], Running]) -> None:
        self.request, self.did, self.sent, self.begun, self.broken = request, Did(), 0, False, False
        self.meter = meter
        self.waited, self.late = 0.0, False  # seconds that the screen needed to take it; it was too slow
        self.response: web.StreamResponse = web.Response(status=502)
        self._told = 0

    @contextlib.asynccontextmanager
    async def in_time(self, count: int = 0) -> AsyncIterator[None]:
        """Bound a write of ``count`` bytes by the time that the slowest screen may have needed for all so far.

        Raises:
            TimeoutError: this one needs longer.
        """
        began = time.monotonic()
        async with asyncio.timeout(GRACE + (self.sent + count) / SLOWEST - self.waited):
            yield
        self.waited += time.monotonic() - began

    async def interim(self, status: int, fields: Sequence[tuple[str, str]]) -> None:
        """Pass an interim response on (RFC 9110 section 15.2), to who knows of them."""
        transport, self._told = self.request.transport, self._told + 1
        switching = status in (100, 101)  # of the hop before, not for the screen
        if self.request.version < (1, 1) or transport is None or switching or self.begun or self._told > MOST_INTERIM:
            return
        if seen.in_front(self.request):  # nginx would take it for the answer
            return
        lines = [f"HTTP/1.1 {status} {_phrase(status)}"]
        lines += [f"{name}: {value}" for name, value in headers.end_to_end(fields)]
        if not transport.is_closing() and not any("\r" in line or "\n" in line for line in lines):
            transport.write("\r\n".join([*lines, "", ""]).encode("latin-1", "replace"))

    def abort(self) -> None:
        """Break the connection off, so that a short answer does not look whole."""
        self.broken = True
        if self.request.transport is not None:
            self.request.transport.abort()


async def send(
    sending: Sending,
    status: int,
    reason: str,
    fields: Fields,
    content: AsyncIterator[bytes] | tuple[Any, int, int | None] | tuple[Any, tuple[Part, ...], int | None] | None,
    did: Did,
) -> web.StreamResponse:
    """Answer with ``content``: as it comes from an origin, from one byte of a Body up to another (None: to its end), or in parts.

    Raises:
        HeadgateError: it broke off.
    """
    request, sending.did = sending.request, did
    response = Passed(status=status, reason=reason or _phrase(status), headers=_table(fields, did))
    for name in places.HIDDEN:  # an origin says nothing to nginx
        response.headers.popall(name, None)
    sending.response = response
    pieces: list[Piece] = []
    body: Body | None = None
    match content:
        case (Body() as body, int(start), int(end)):
            response.content_length = end - start
            pieces = [(b"", start, end)]
        case (Body() as body, int(start), None):
            response.headers.popall(hdrs.CONTENT_LENGTH, None)
        case (Body() as body, tuple(parts), int(size)):
            pieces, tail = _multipart(response, parts, size)
            pieces.append((tail, 0, 0))
            response.content_length = sum(len(head) + end - start for head, start, end in pieces)
        case None if status != 304:
            response.content_length = 0
    if response.content_length is None and request.version >= (1, 1) and status not in (204, 304):
        response.enable_chunked_encoding()
    with sending.meter(did.hit) as running:
        sending.begun = True
        content_at = (
            spans((len(head), end - start) for head, start, end in pieces if end > start) if len(pieces) > 1 else ()
        )
        response.headers.update(counted.of_answer(request, running.what, content_at))
        out = _Out(sending, response, running)
        try:
            async with sending.in_time():
                out.writer = await response.prepare(request)
            if request.method != "HEAD" and status not in (204, 304):
                if body is None:
                    await _relay(out, content)
                elif pieces:
                    await _pieces(out, body, pieces)
                else:
                    await _to_end(out, body)
            async with sending.in_time():
                await response.write_eof()
            running.end(status, sending.sent, sending.sent, request.method)
        except (ConnectionError, TimeoutError) as error:  # the screen left, or is too slow: the fill goes on without it
            sending.late = isinstance(error, TimeoutError)
            sending.abort()
    return response


class _Out:
    """A response that is written, and counted as it is."""

    def __init__(self, sending: Sending, response: web.StreamResponse, running: Running) -> None:
        self._sending, self._response, self._running = sending, response, running
        self.writer: AbstractStreamWriter | None = None

    async def head(self, data: bytes) -> None:
        """Write what is between two parts."""
        async with self._sending.in_time():
            await self._response.write(data)

    async def content(self, data: bytes) -> None:
        """Write content."""
        if not data:
            return
        async with self._sending.in_time(len(data)):
            while self._running.is_crowded():  # noqa: ASYNC110 (the kernel tells nobody what was acknowledged)
                await asyncio.sleep(READS)
            # aiohttp keeps the head for the one write with what comes first, and writes the size of a chunk before it (RFC 9112 7.1).
            ahead = len(getattr(self.writer, "_headers_buf", None) or b"")
            if self._response.chunked:
                ahead += len(f"{len(data):x}\r\n")
            self._running.content(self._response.status, len(data), ahead)
            await self._response.write(data)
        self._sending.sent += len(data)


async def _relay(out: _Out, content: Any) -> None:
    if content is None:
        return
    async for chunk in content:
        await out.content(chunk)


async def _pieces(out: _Out, body: Body, pieces: Sequence[Piece]) -> None:
    for head, start, end in pieces:
        if head:
            await out.head(head)
        at = start
        while at < end:
            await body.reach(at)
            data = body.read(at, min(CHUNK, end - at))
            if not data:
                raise ConnectionResetError("the body is shorter than was promised")
            await out.content(data)
            at += len(data)


async def _to_end(out: _Out, body: Body) -> None:
    at = body.start
    while (await body.reach(at)) > at:
        data = body.read(at, CHUNK)
        await out.content(data)
        at += len(data)


def _multipart(response: web.StreamResponse, parts: Sequence[Part], size: int) -> tuple[list[Piece], bytes]:
    boundary, media = secrets.token_hex(12), response.headers.get(hdrs.CONTENT_TYPE)
    kind = f"Content-Type: {media}\r\n" if media else ""
    response.headers[hdrs.CONTENT_TYPE] = f"multipart/byteranges; boundary={boundary}"
    pieces = [
        (
            f"\r\n--{boundary}\r\n{kind}Content-Range: bytes {part.first}-{part.last}/{size}\r\n\r\n".encode(),
            part.first,
            part.last + 1,
        )
        for part in parts
    ]
    return pieces, f"\r\n--{boundary}--\r\n".encode()


def _table(fields: Fields, did: Did) -> CIMultiDict[str]:
    table: CIMultiDict[str] = CIMultiDict()
    for name, value in fields:
        table.add(name, value.encode("latin-1", "replace").decode("utf-8", "replace"))
    table.add("Cache-Status", told(did))
    return table


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
