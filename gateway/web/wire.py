"""How our daemons tell each other of a plain HTTP request and its answer: lines of JSON, then the body as it is.

The connection's own framing says where a body ends. One that breaks off is never taken for a whole one.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager as AsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Self

import aiohttp
from aiohttp import web
from pydantic import Field, StringConstraints

from appliance.runtime import http
from appliance.runtime.errors import Corrupt, HeadgateError, Refused, Unreachable
from gateway.exchange.asks import Ask, parse

LONGEST_LINE = 128 << 10  # bytes of a line: the fields of a message, told as JSON
MOST_FIELDS = 128  # field lines of one message
LONGEST_FIELD = 32 << 10  # bytes of one field line's value
LONGEST_TARGET = 8 << 10  # bytes (RFC 9110 section 4.1 asks for 8000)
MOST_INTERIM = 16  # interim answers before the final one
CHUNK = 64 << 10  # bytes
AHEAD = 256 << 10  # bytes that wait to be read, so that a line fits
CONNECTIONS = 512  # of the exchange to fetch, which has two descriptors for each
CONNECT = 5.0  # seconds
PATIENCE = 75.0  # seconds without a byte; the request to the origin has a narrower one

Fields = list[tuple[str, str]]  # names and values; each character of a value stands for one byte
Interim = Callable[[int, Fields], Awaitable[None]]
Line = tuple[
    Annotated[str, StringConstraints(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$")],
    Annotated[str, StringConstraints(pattern=r"^[\t\x20-\x7e\x80-\xff]*$", max_length=LONGEST_FIELD)],
]


class AskWeb(Ask):
    """The first line of ``POST /web``: a request's head (RFC 9110 section 6.2)."""

    host: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:\[\]_-]{1,260}$")]
    method: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z-]{0,31}$")]
    target: Annotated[str, StringConstraints(pattern=r'^/[!$-;=?-\[\]^_`a-z{|}~"<>\\]*$', max_length=LONGEST_TARGET)]
    headers: Annotated[list[Annotated[Line, Field(strict=False)]], Field(max_length=MOST_FIELDS)] = Field(
        default_factory=list
    )
    length: int | None = Field(None, ge=0)  # bytes of the body, where they are known
    body: bool = False  # whether one follows


class ToldHead(Ask):
    """A line of the answer: an interim one, the final one's head, or why there is none."""

    interim: int | None = Field(None, ge=100, le=199)
    status: int = Field(0, ge=0, le=999)
    reason: str = Field("", max_length=512)
    headers: Annotated[list[Annotated[Line, Field(strict=False)]], Field(max_length=MOST_FIELDS)] = Field(
        default_factory=list
    )
    error: str | None = None


@dataclass
class WebRequest:
    """A request for an admitted origin: ``host`` as the screen names it, ``target`` in origin form."""

    host: str
    method: str
    target: str
    headers: Fields = field(default_factory=list)
    body: bytes | AsyncIterator[bytes] = b""
    length: int | None = None  # bytes of a body that comes in pieces, where the sender told


@dataclass
class WebAnswer:
    """The origin's answer; ``body`` raises Unreachable where it breaks off before its end."""

    status: int
    reason: str
    headers: Fields
    interim: list[tuple[int, Fields]]
    body: AsyncIterator[bytes]


class Web:
    """Asks the daemon at ``socket`` for what origins of the policy's ``web:`` answer."""

    def __init__(self, socket: Path, connections: int = CONNECTIONS) -> None:
        self._socket, self._connections = socket, connections
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=http.UnixConnector(str(self._socket), limit=self._connections),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=PATIENCE),
            read_bufsize=AHEAD,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    def ask(self, request: WebRequest, interim: Interim | None = None) -> AsyncContextManager[WebAnswer]:
        """Ask for ``request``; ``interim`` is told each 1xx as soon as it comes (RFC 9110 section 15.2).

        Raises:
            Refused: it may not cross, or its answer may not.
            Unreachable: the origin is away, fails, or broke off; also raised by the answer's body.
        """
        return self._ask(request, interim)

    @contextlib.asynccontextmanager
    async def _ask(self, request: WebRequest, interim: Interim | None) -> AsyncIterator[WebAnswer]:
        if self._session is None:
            raise RuntimeError("used outside its 'async with'")
        try:
            async with self._session.post("http://box/web", data=_sent(request)) as response:
                if response.status != 200:
                    raise http.told(response.status, await response.read())
                yield await _read_head(response.content, interim)
        except (aiohttp.ClientError, TimeoutError) as error:
            if isinstance(error.__cause__, Refused):  # by whom the request's body comes from
                raise error.__cause__ from error
            raise Unreachable(f"the origin cannot be asked: {error or 'no answer in time'}") from error


def _sent(request: WebRequest) -> bytes | AsyncIterator[bytes]:
    """Return what is sent: the head's line, then the body. What is here already goes at once, so that nothing is left to be sent later."""
    body = request.body
    told = {"host": request.host, "method": request.method, "target": request.target, "headers": request.headers}
    if isinstance(body, bytes):
        return _line({**told, "length": len(body), "body": bool(body)}) + body
    return _after(_line({**told, "length": request.length, "body": True}), body)


async def _after(line: bytes, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield line
    async for chunk in body:
        yield chunk


async def _read_head(content: aiohttp.StreamReader, told: Interim | None) -> WebAnswer:
    interim: list[tuple[int, Fields]] = []
    while True:
        head = parse_head(await _next_line(content))
        if head.error is not None:
            raise http.told(head.status, json.dumps({"reason": head.reason, "error": head.error}).encode())
        if head.interim is None:
            return WebAnswer(head.status, head.reason, head.headers, interim, _body(content))
        if len(interim) >= MOST_INTERIM:
            raise Corrupt("too many interim answers")
        interim.append((head.interim, head.headers))
        if told is not None:
            await told(head.interim, head.headers)


def parse_head(line: bytes) -> ToldHead:
    """Return what a line of the answer tells.

    Raises:
        Corrupt: it tells nothing.
    """
    try:
        return parse(ToldHead, line)
    except Refused as error:
        raise Corrupt(f"the answer's head is none: {error}") from error


async def _body(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    try:
        async for chunk in content.iter_chunked(CHUNK):
            yield chunk
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unreachable("truncated: the answer broke off before its end") from error


async def _next_line(content: aiohttp.StreamReader) -> bytes:
    try:
        line = await content.readline()
    except ValueError as error:
        raise Corrupt("a message's head is too long") from error
    if not line.endswith(b"\n") or len(line) > LONGEST_LINE:
        raise Corrupt("a message's head is none")
    return line


async def read_request(request: web.Request) -> WebRequest:
    """Return the request that a peer tells of; its body comes as it is read.

    Raises:
        Refused: it is none (``bad-request``).
    """
    try:
        ask = parse(AskWeb, await _next_line(request.content))
    except Corrupt as error:
        raise Refused("bad-request", str(error), 400) from error
    body: bytes | AsyncIterator[bytes] = request.content.iter_chunked(CHUNK) if ask.body else b""
    return WebRequest(ask.host, ask.method, ask.target, ask.headers, body, ask.length)


class Telling:
    """Tells the asker of an answer, as it comes."""

    def __init__(self, request: web.Request) -> None:
        self._request, self._response = request, web.StreamResponse()
        self._response.content_type = "application/octet-stream"
        self._bodied = False  # whether the answer's head was told: what comes behind it is body

    def check(self) -> None:
        """Raise unless the asker is still there.

        Raises:
            Unreachable: it left while it waited.
        """
        if self._request.transport is None:
            raise Unreachable("the asker left")

    async def interim(self, status: int, headers: Fields) -> None:
        """Tell an interim answer."""
        await self._write(_line({"interim": status, "headers": headers}))

    async def failed(self, error: HeadgateError) -> web.StreamResponse:
        """Tell why there is no answer.

        Raises:
            HeadgateError: ``error``, where nothing was told yet: its status says it; or where the answer broke off.
        """
        if self._bodied or not self._response.prepared:
            raise error
        if isinstance(error, Refused):
            reason, status = error.reason, error.status
        else:
            reason, status = ("unreachable", 504) if isinstance(error, Unreachable) else ("corrupt", 502)
        await self._write(_line({"reason": reason, "status": status, "error": str(error)}))
        await self._response.write_eof()
        return self._response

    async def answer(self, answer: WebAnswer) -> web.StreamResponse:
        """Tell the answer to its end; the connection breaks off where the body does, and HeadgateError is raised on."""
        self._bodied = True
        await self._write(_line({"status": answer.status, "reason": answer.reason, "headers": answer.headers}))
        try:
            async for chunk in answer.body:
                await self._response.write(chunk)
        except HeadgateError:
            if self._request.transport is not None:
                self._request.transport.abort()  # the only way to say so once the body has begun
            raise
        await self._response.write_eof()
        return self._response

    async def _write(self, data: bytes) -> None:
        if not self._response.prepared:
            await self._response.prepare(self._request)
        await self._response.write(data)


def _line(told: dict[str, object]) -> bytes:
    return json.dumps(told).encode() + b"\n"
