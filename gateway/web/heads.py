"""Answers of origins that send more than they promised: what was whole counts, and the connection is used no more.

aiohttp's parser takes such an answer for none: it forgets what it has read in a piece of which some is faulty.
"""

from __future__ import annotations

import functools
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

_HEAD_END = b"\r\n\r\n"


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
