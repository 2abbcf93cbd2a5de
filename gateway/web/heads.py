"""Heads of answers: interim ones before the final one, bounded; and origins that send more than they promised.

Of the latter what was whole counts, and the connection is used no more: aiohttp's parser takes such an answer for none, since it forgets
what it has read in a piece of which some is faulty.
"""

from __future__ import annotations

import functools
import os
from contextvars import ContextVar
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

from gateway.web.wire import MOST_INTERIM, Fields, Interim

HEARS: ContextVar[Interim | None] = ContextVar("hears", default=None)  # is told interim answers as they come
_HEAD_END = b"\r\n\r\n"


class Response(aiohttp.ClientResponse):
    """aiohttp's, which also notes the interim answers before the final one; too many of them are an error."""

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        """Return the response, once its final head is here."""
        told: list[tuple[int, Fields]] = []
        protocol = connection.protocol  # which the connection forgets, where the answer has ended already
        read = protocol.read

        async def noting() -> Any:
            message, payload = await read()
            if 100 <= message.code < 200 and message.code != 101:
                if len(told) >= MOST_INTERIM:
                    raise aiohttp.ClientPayloadError("too many interim answers")
                told.append((message.code, text(message.raw_headers)))
                if message.code != 100 and (hears := HEARS.get()) is not None:
                    await hears(*told[-1])
            return message, payload

        protocol.read = noting
        try:
            response = await super().start(connection)
        finally:
            del protocol.read
        self.interim = [one for one in told if one[0] != 100]
        return response


def why(error: Exception) -> str:
    """Return what went wrong with an origin, in words that say nothing of where it is: screens are shown them."""
    match error:
        case aiohttp.ClientConnectorError():
            return os.strerror(error.os_error.errno) if error.os_error.errno else "no connection"
        case aiohttp.ServerDisconnectedError():
            return "it closed before it had answered"
        case aiohttp.ClientResponseError():
            return f"no HTTP: {error.message}"[:200]
    return str(error)[:200] or "no answer in time"


def text(raw: tuple[tuple[bytes, bytes], ...]) -> Fields:
    """Return fields with a character for each byte."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw]


def lenient(connector: aiohttp.TCPConnector) -> aiohttp.TCPConnector:
    """Let the connections of ``connector`` take such answers; return it."""
    connector._factory = functools.partial(_Protocol, loop=connector._loop)  # type: ignore[assignment]
    return connector


class _Protocol(ResponseHandler):
    """aiohttp's, whose parser is fed head by head."""

    def set_response_params(self, **given: Any) -> None:
        super().set_response_params(**given)
        self._parser = _Heads(self._parser, self)  # type: ignore[assignment]


class _Heads:
    """Feeds a parser up to the end of each head, so that the final one is not lost by what comes behind its body."""

    def __init__(self, parser: Any, protocol: ResponseHandler) -> None:
        self._parser, self._protocol, self._payload = parser, protocol, None

    def feed_data(self, data: bytes) -> Any:
        found: list[Any] = []
        while data and self._payload is None:
            end = data.find(_HEAD_END)
            piece = data if end < 0 else data[: end + len(_HEAD_END)]
            data = data[len(piece) :]
            messages, upgraded, tail = self._parser.feed_data(piece)
            found += messages
            self._payload = next((payload for message, payload in messages if message.code >= 200), None)
            if upgraded:
                return found, upgraded, tail + data
        if not data:
            return found, False, b""
        try:
            messages, upgraded, tail = self._parser.feed_data(data)
        except HttpProcessingError:
            if self._payload is None or not self._payload.is_eof():
                raise
            self._protocol.force_close()  # what follows on this connection is nobody's answer
            return found, False, b""
        return [*found, *messages], upgraded, tail

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)
