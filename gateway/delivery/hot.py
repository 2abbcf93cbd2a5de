"""Small objects that were asked for a moment ago, each as the one write that it was answered with: asked for again, it goes out at once.

The long way (``screens``) decides what is served and how; what it answered is kept for a moment, for as long as nothing of what it
decided by can have changed: the manifest is the same and fresh, and the token permits it. Anything else goes the long way.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from email.utils import formatdate

from aiohttp import web
from aiohttp.http_parser import RawRequestMessage
from multidict import CIMultiDictProxy

from appliance.runtime.errors import Refused
from gateway.delivery import cmcd, metrics
from gateway.delivery.line import Line
from gateway.delivery.metering.meter import Meter
from gateway.delivery.quality import Quality
from gateway.permission.door import NAME, Door, Granted
from gateway.serving.exchange import Exchange, Manifest
from gateway.serving.send import SMALL

HELD = 3.0  # seconds; then it is looked for in the store again
MOST = 64 << 20  # bytes in memory
LONG_WAY = ("Range", "If-None-Match", "Expect", "Authorization")  # requests with one of these
COOKIE = f"{NAME}="


@dataclass(slots=True)
class Known:
    """An answer, and what it was given by."""

    code: str
    path: str
    manifest: Manifest
    uri: str  # the path as the door judges it
    head: bytes  # without the status line and the date
    body: bytes
    until: float
    line: bytes = b""  # status and date of this second
    whole: bytes = b""  # all of it, with that line


class Hot:
    """The answers of one zone; ``door`` is the zone's."""

    def __init__(self, zone: str, exchange: Exchange, meter: Meter, quality: Quality, line: Line) -> None:
        self.door: Door | None = None
        self._exchange, self._meter, self._quality, self._load = exchange, meter, quality, line
        self._known: OrderedDict[tuple[str | None, str], Known] = OrderedDict()
        self._bytes = 0
        self._second, self._line = 0, b""
        self._requests = metrics.REQUESTS.labels(zone, "200", "hit")
        self._sent = metrics.BYTES.labels(zone, "hit")
        self._seconds = metrics.SECONDS.labels(zone, "hit")

    def forget(self) -> None:
        """Forget all: another policy may decide otherwise."""
        self._known.clear()
        self._bytes = 0

    def learn(
        self, request: web.Request, response: web.StreamResponse, manifest: Manifest, code: str, path: str
    ) -> None:
        """Keep an answer that was given from the store, if the same would be given to everybody who asks so."""
        target, _, query = request.raw_path.partition("?")
        if (
            response.status != 200
            or request.method != "GET"
            or not isinstance(response, web.Response)
            or not isinstance(response.body, bytes)
            or len(response.body) > SMALL
            or "Set-Cookie" in response.headers
            or any(name in request.headers for name in LONG_WAY)
            or (query and not _is_cmcd(query))
        ):
            return
        lines = (
            f"{name}: {value}\r\n" for name, value in response.headers.items() if name not in ("Date", "Connection")
        )
        head = "".join((*lines, "\r\n")).encode()
        key = (request.headers.get("Host"), target)
        self._drop(key)
        until = time.monotonic() + HELD
        self._known[key] = Known(code, path, manifest, request.url.raw_path, head, response.body, until)
        self._bytes += len(response.body)
        while self._bytes > MOST:
            self._drop(next(iter(self._known)))

    def answer(self, message: RawRequestMessage, transport: asyncio.Transport) -> bool:
        """Answer a request that can be answered by what is known."""
        headers = message.headers
        target, _, query = message.path.partition("?")
        key = (headers.get("Host"), target)
        known = self._known.get(key)
        if known is None:
            return False
        began = time.monotonic()
        if began >= known.until or not self._exchange.is_fresh(known.code, known.manifest):
            self._drop(key)
            return False
        if (query and not _is_cmcd(query)) or any(map(headers.__contains__, LONG_WAY)):
            return False
        subject = ""
        if self.door is not None:
            granted = self._admitted(self.door, headers, transport, known.uri)
            if granted is None:
                return False
            subject = granted.subject
        try:
            self._meter.check()
            self._write(known, transport, subject)
        except Refused:
            return False  # the long way tells why
        if query or any(map(headers.__contains__, cmcd.HEADERS)):
            self._quality.hear(known.code, headers, message.url.query if query else {})
        self._requests.inc()
        self._sent.inc(len(known.body))
        self._load.sent(len(known.body))
        self._seconds.observe(time.monotonic() - began)
        return True

    def _write(self, known: Known, transport: asyncio.Transport, subject: str) -> None:
        line = self._status_line()
        if known.line is not line:
            known.line, known.whole = line, b"".join((line, known.head, known.body))
        manifest, size = known.manifest, len(known.body)
        with self._meter.begin(transport, manifest.release, known.path, manifest.body, "hit", subject) as running:
            running.content(200, size, len(known.whole) - size)
            transport.write(known.whole)
            running.end(200, size, size)

    def _admitted(
        self, door: Door, headers: CIMultiDictProxy[str], transport: asyncio.Transport, uri: str
    ) -> Granted | None:
        token = headers.get(NAME)
        if token is None:
            cookie = headers.get("Cookie", "")
            if not cookie.startswith(COOKIE) or ";" in cookie:
                return None
            token = cookie[len(COOKIE) :]
        place = transport.get_extra_info("peername")
        return door.known(token, place[0], uri, time.time()) if isinstance(place, tuple) else None

    def _status_line(self) -> bytes:
        if (second := int(time.time())) != self._second:
            self._second, self._line = (
                second,
                f"HTTP/1.1 200 OK\r\nDate: {formatdate(second, usegmt=True)}\r\n".encode(),
            )
        return self._line

    def _drop(self, key: tuple[str | None, str]) -> None:
        known = self._known.pop(key, None)
        if known is not None:
            self._bytes -= len(known.body)


def _is_cmcd(query: str) -> bool:
    """Return whether a query says something of the player, and of nothing else."""
    return query.startswith(f"{cmcd.QUERY}=") and "&" not in query
