"""Requests answered the moment they are read, where the whole answer is known already.

aiohttp's own parser reads every request, but for one whose head says, byte for byte, what one before said: that is offered to the
application's ``AGAIN``, if it has one. A request without a body, on a connection that waits for one and whose last answer has left, is
offered to the application's ``QUICK``; what that does not answer goes aiohttp's way of tasks, routes and responses. An answer that the
connection does not take at once is ended in a task of aiohttp's, so that the connection is as busy as with any other. One with much to
write may be put off (``Later``) until all requests that came at the same time were read: small ones need not wait behind it, and what reads
requests stays in the processor's cache, out of which so many bytes would drive it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from aiohttp import HttpVersion11, web
from aiohttp.http import SERVER_SOFTWARE
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from appliance.runtime.bounded import CROWD, Connection, Crowd, takes, waits

Rest = Callable[[], Awaitable[None]]  # writes what is left of an answer, or aborts the connection


class Later(NamedTuple):
    """An answer that is ready, and not written yet."""

    write: Callable[
        [], Rest | None
    ]  # begins it, and returns what ends it where the connection does not take all at once


# Writes the answer and returns True, or begins it and returns what ends it, or tells how to begin it, or does nothing and returns False.
Quick = Callable[[RawRequestMessage, asyncio.Transport], bool | Rest | Later]
QUICK: web.AppKey[Quick] = web.AppKey("quick")


class Again(Protocol):
    """Answers requests by the bytes of their head."""

    def again(self, data: bytes, transport: asyncio.Transport, *, alone: bool) -> bool:
        """Write the answer if ``data`` is one whole request that can be answered so, and return whether.

        ``alone``: to this connection nothing else was written since the last one that was answered so.
        """

    def head(self, data: bytes, message: RawRequestMessage) -> None:
        """Take note that ``data`` is the whole of a request that was answered quickly, as ``message``."""


AGAIN: web.AppKey[Again] = web.AppKey("again")


def written(status: int, reason: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Return a whole answer as aiohttp would write it."""
    if "Content-Type" not in headers:
        headers = {"Content-Type": "application/octet-stream", **headers}
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    length = f"Content-Length: {len(body)}\r\n"
    return f"HTTP/1.1 {status} {reason}\r\n{lines}{length}{_dated(int(time.time()))}\r\n".encode() + body


@lru_cache(maxsize=2)
def _dated(second: int) -> str:
    return f"Date: {formatdate(second, usegmt=True)}\r\nServer: {SERVER_SOFTWARE}\r\n"


class Runner(web.AppRunner):
    """aiohttp's, which offers requests to the application's ``QUICK`` and bounds its ``CROWD``, if it has them."""

    @property
    def made(self) -> web.Server | None:
        """aiohttp's own server, that every connection belongs to."""
        return super().server

    @property
    def server(self) -> Any:
        """What makes a protocol for each connection."""
        quick, again, crowd, made = self.app.get(QUICK), self.app.get(AGAIN), self.app.get(CROWD), self.made
        if made is None or (quick is None and crowd is None):
            return made
        return _Offering(made, quick or _nothing, again, crowd)


def _nothing(_: RawRequestMessage, __: asyncio.Transport) -> bool:
    return False


class _Offering:
    """A server whose connections offer their requests, and belong to a crowd; all else of it is aiohttp's."""

    def __init__(self, server: web.Server, quick: Quick, again: Again | None, crowd: Crowd | None) -> None:
        self._server, self._quick, self._again, self._crowd = server, quick, again, crowd
        self._put_off = _PutOff()

    def __call__(self) -> Any:
        protocol: Any
        if self._crowd is None:
            protocol = self._server()
        else:
            protocol = Connection(self._server, self._crowd, loop=self._server._loop, **self._server._kwargs)
            protocol.goes_on = self._put_off.write
            protocol.again = self._again.again if self._again is not None else None
        protocol._parser = _Parser(protocol, protocol._parser, self._quick, self._again, self._put_off)
        return protocol

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)


class _Written(web.StreamResponse):
    """A response that was written already."""

    @property
    def keep_alive(self) -> bool:
        """Whether the next request may come: where this one was broken off, the connection is gone anyway."""
        return True

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write nothing."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Write nothing."""


def _ending(
    protocol: Any, transport: asyncio.Transport, rest: Rest
) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    """Return what handles the next request of ``protocol``, whose answer was begun, and leaves those after it to what did before.

    Until then nothing is read from the connection, as asyncio does with its ``sendfile``: a screen may have said all that it has to say.
    """
    usual = protocol._request_handler
    transport.pause_reading()

    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        protocol._request_handler = usual
        try:
            await rest()
        finally:
            if not protocol._buffer_paused:
                transport.resume_reading()
        return _Written()

    return handle


class _PutOff:
    """What was put off by the connections of one server."""

    def __init__(self) -> None:
        self._answers: dict[Connection, tuple[Any, Later]] = {}

    def add(self, protocol: Connection, request: Any, answer: Later) -> None:
        """Write ``answer`` to the ``request`` (message and payload) of ``protocol`` once all that came meanwhile is read."""
        self._answers[protocol] = request, answer
        protocol.between = False
        protocol._loop.call_soon(protocol._loop.call_soon, self.write, protocol)  # behind the next look at what came

    def write(self, protocol: Connection) -> bool:
        """Write what is put off of ``protocol``, if anything; return whether some of it is left to be written."""
        if protocol not in self._answers:
            return False
        request, answer = self._answers.pop(protocol)
        rest, transport = answer.write(), protocol.transport
        if rest is None or transport is None:
            return False
        protocol._request_handler = _ending(protocol, transport, rest)
        protocol._messages.append(request)
        if (waiter := protocol._waiter) is not None and not waiter.done():
            waiter.set_result(None)
        return True


class _Parser:
    """The parser of one connection: what it reads is offered before it is queued."""

    __slots__ = ("_again", "_body", "_bounded", "_feed", "_parser", "_protocol", "_put_off", "_quick")

    def __init__(self, protocol: Any, parser: Any, quick: Quick, again: Again | None, put_off: _PutOff) -> None:
        self._again, self._put_off = again, put_off
        self._protocol, self._parser, self._quick, self._feed = protocol, parser, quick, parser.feed_data
        self._bounded: Connection | None = protocol if isinstance(protocol, Connection) else None
        self._body: StreamReader = EMPTY_PAYLOAD  # of the last request

    def feed_data(self, data: bytes) -> Any:
        """Return what aiohttp's parser makes of ``data``, without the requests that were answered."""
        bounded, between = self._bounded, False
        if bounded is not None:
            between, bounded.between = bounded.between, False
        read = self._feed(data)
        messages = read[0]
        if not messages:
            if bounded is not None and data and self._body.is_eof():
                bounded.partly(len(data))
            return read
        if bounded is not None:
            bounded.whole()
            self._body = messages[-1][1]
            bounded.between = self._body is EMPTY_PAYLOAD and data.endswith(b"\r\n\r\n")
            self._put_off.write(bounded)
        protocol = self._protocol
        if not waits(protocol):
            return read
        transport = protocol.transport
        answered = 0
        for message, payload in messages:
            if (
                message.method != "GET"
                or message.should_close
                or message.upgrade
                or message.version != HttpVersion11
                or payload is not EMPTY_PAYLOAD
                or not takes(transport)
                or not (answer := self._quick(message, transport))
            ):
                break
            rest = answer if callable(answer) else None
            if isinstance(answer, Later):
                if bounded is None or len(messages) > answered + 1:  # what comes behind it must not go before it
                    rest = answer.write()
                else:
                    self._put_off.add(bounded, (message, payload), answer)
            if rest is not None:
                protocol._request_handler = _ending(protocol, transport, rest)
                break
            answered += 1
            self._parser.message_consumed()
            if answer is True and between and len(messages) == 1 and self._again is not None and bounded is not None:
                self._again.head(data, message)
        if not answered:
            return read
        protocol._next_keepalive_close_time = protocol._loop.time() + protocol._keepalive_timeout
        return messages[answered:], read[1], read[2]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)
