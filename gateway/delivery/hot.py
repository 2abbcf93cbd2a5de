"""Objects that were asked for a moment ago: asked for again, they go out at once, a small one as the one write that it was answered with.

The long way (``screens``) decides what is served and how; what it answered is kept for a moment, for as long as nothing of what it
decided by can have changed: the manifest is the same and fresh, and the token permits it. Anything else goes the long way.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from typing import Literal
from urllib.parse import unquote_plus

from aiohttp import web
from aiohttp.http_parser import RawRequestMessage
from multidict import CIMultiDictProxy

from appliance.runtime.errors import Refused
from appliance.runtime.quick import Later
from gateway.delivery import cmcd, metrics
from gateway.delivery.known import Known, What
from gateway.delivery.large import Answers, Large
from gateway.delivery.line import Line
from gateway.delivery.metering.delivery import What as Delivered
from gateway.delivery.metering.meter import Meter
from gateway.delivery.quality import Quality
from gateway.permission.door import NAME, Door, Granted
from gateway.serving.exchange import Exchange, Manifest
from gateway.serving.send import SMALL
from gateway.store.objects import Objects

HELD = 3.0  # seconds; then it is looked for in the store again
MOST = 64 << 20  # bytes of small ones in memory
MOST_OPEN = 500  # large ones, each with two descriptors
LONG_WAY = ("If-None-Match", "Expect", "Authorization")  # requests with one of these
COOKIE = f"{NAME}="
HEADS, LONGEST_HEAD = 10_000, 2048  # heads that are known again, and bytes of one
LINE, LINE_END = b"GET /", b" HTTP/1.1"
log = logging.getLogger("headgate.delivery")


@dataclass(slots=True)
class Small(Known):
    """A small object, and the answer with it."""

    head: bytes  # without the status line and the date
    body: bytes
    line: bytes = b""  # status and date of this second
    whole: bytes = b""  # all of it, with that line
    delivered: dict[str, Delivered] = field(default_factory=dict)  # what is counted, by the token's subject


class Hot:
    """The answers of one zone; ``door`` is the zone's, ``served`` hears which large object was sent, and what its player asks for next."""

    def __init__(
        self,
        zone: str,
        store: Objects,
        exchange: Exchange,
        meter: Meter,
        quality: Quality,
        line: Line,
        large: Answers,
        served: Callable[[Manifest, str, Sequence[str]], None],
    ) -> None:
        self.door: Door | None = None
        self._store, self._exchange, self._meter, self._quality, self._load = store, exchange, meter, quality, line
        self._large, self._served = large, served
        self._known: OrderedDict[tuple[str | None, str], Small | Large] = OrderedDict()
        self._bytes = self._open = 0
        self._second, self._lines = 0, dict[int, bytes]()
        self._heads: OrderedDict[bytes, tuple[str | None, str]] = OrderedDict()  # what they say: host and token
        self._tally = metrics.Tally(zone, 200, "hit")

    def forget(self) -> None:
        """Forget all: another policy may decide otherwise."""
        while self._known:
            self._drop(next(iter(self._known)))

    def learn(
        self, request: web.Request, response: web.StreamResponse, manifest: Manifest, code: str, path: str
    ) -> None:
        """Keep an answer that was given from the store, if the same would be given to everybody who asks so."""
        target, _, query = request.raw_path.partition("?")
        if (
            request.method != "GET"
            or "Set-Cookie" in response.headers
            or any(name in request.headers for name in LONG_WAY)
            or (query and not _is_cmcd(query))
        ):
            return
        what = What(code, path, manifest, request.url.raw_path, time.monotonic() + HELD)
        known = self._large_of(what, response) if manifest.files[path].size > SMALL else _small_of(what, response)
        if known is not None:
            self._keep((request.headers.get("Host"), target), known)

    def _large_of(self, what: What, response: web.StreamResponse) -> Large | None:
        headers, file = response.headers, what.manifest.files[what.path]
        if response.status != 200 and not (response.status == 206 and "Content-Range" in headers):
            return None
        if headers.get("ETag") != f'"{file.sha256}"':  # a playlist as this zone sees it
            return None
        opened = None
        try:
            opened = self._store.open(file.sha256, file.size)
            return Large.of(what, opened, headers) if opened is not None else None
        except OSError as error:  # too much is open or mapped; or the disk has it no more, which the long way tells
            log.warning("a large object is not held open for whoever asks next: %s", error)
            if opened is not None:
                opened.close()
            return None

    def _keep(self, key: tuple[str | None, str], known: Small | Large) -> None:
        self._drop(key)
        self._known[key] = known
        if isinstance(known, Small):
            self._bytes += len(known.body)
        else:
            self._open += 1
            asyncio.get_running_loop().call_later(HELD, self._expire)
        while self._bytes > MOST or self._open > MOST_OPEN:
            self._drop(next(iter(self._known)))

    def _expire(self) -> None:
        """Let go what nobody asked for again: the disk keeps what is open, though it was removed."""
        now = time.monotonic()
        while self._known and (first := next(iter(self._known.items())))[1].until <= now:
            self._drop(first[0])

    def answer(self, message: RawRequestMessage, transport: asyncio.Transport) -> bool | Later:
        """Answer a request that can be answered by what is known, with a large object as soon as what else came was read."""
        headers = message.headers
        target, _, query = message.path.partition("?")
        key = (headers.get("Host"), target)
        known = self._known.get(key)
        if known is None:
            return False
        began = time.monotonic()
        if not self._holds(known, began) or self._is_damaged(known):
            self._drop(key)
            return False
        if (query and not _is_cmcd(query)) or any(map(headers.__contains__, LONG_WAY)):
            return False
        granted: Granted | None = None
        if self.door is not None:
            granted = self._admits(self.door, _token(headers), transport, known.uri)
            if granted is None:
                return False
        try:
            self._meter.check()
            if isinstance(known, Large):
                return self._begin(known, message, transport, granted, began)
            if "Range" in headers:
                return False
            self._write(known, transport, granted.subject if granted is not None else "")
        except Refused:
            return False  # the long way tells why
        self._hear(known, message)
        self._load.sent(len(known.body))
        self._tally.count(len(known.body), time.monotonic() - began)
        return True

    def again(self, data: bytes, transport: asyncio.Transport, *, alone: bool) -> bool:
        """Answer a request for a small object whose head says, byte for byte, what one before said (``quick.Again``)."""
        line, _, rest = data.partition(b"\r\n")
        said = self._heads.get(rest)
        if said is None or not line.startswith(LINE) or not line.endswith(LINE_END):
            return False
        host, token = said
        target, _, query = str(line[len(LINE) - 1 : -len(LINE_END)], "utf-8", "surrogateescape").partition("?")
        known = self._known.get((host, target))
        if not isinstance(known, Small) or not known.body or (query and not _is_cmcd(query)):
            return False
        began, subject = time.monotonic(), ""
        if not self._holds(known, began):
            return False
        if self.door is not None:
            granted = self._admits(self.door, token, transport, known.uri)
            if granted is None:
                return False
            subject = granted.subject
        try:
            self._meter.check()
            self._write(known, transport, subject, alone=alone)
        except Refused:
            return False
        if query:
            self._quality.hear(known.code, {}, _said(query))
        self._load.sent(len(known.body))
        self._tally.count(len(known.body), time.monotonic() - began)
        return True

    def head(self, data: bytes, message: RawRequestMessage) -> None:
        """Take note of what a head says whose request was answered by ``answer``, if that asks for all of an object."""
        headers, rest = message.headers, data.partition(b"\r\n")[2]
        if "Range" not in headers and not any(map(headers.__contains__, cmcd.HEADERS)) and len(rest) <= LONGEST_HEAD:
            self._heads[rest] = headers.get("Host"), _token(headers)
            if len(self._heads) > HEADS:
                self._heads.popitem(last=False)

    def _holds(self, known: Known, now: float) -> bool:
        """Return whether an answer may be given again."""
        return now < known.until and self._exchange.is_fresh(known.code, known.manifest)

    def _is_damaged(self, known: Known) -> bool:
        """Return whether somebody found meanwhile that the disk does not give the object."""
        return isinstance(known, Large) and not self._exchange.allows(known.manifest, known.path)

    def _begin(
        self,
        known: Large,
        message: RawRequestMessage,
        transport: asyncio.Transport,
        granted: Granted | None,
        began: float,
    ) -> Later | Literal[False]:
        chosen = known.chosen(message.headers)
        if chosen is None:
            return False
        manifest, path = known.manifest, known.path
        subject, permit = (granted.subject, granted.permit) if granted is not None else ("", None)
        running = self._meter.begin(transport, manifest.release, path, manifest.body, "hit", subject, chosen[0])
        served = partial(self._served, manifest, path, self._hear(known, message))
        return self._large.begin(known, chosen, self._status_line(chosen[0]), transport, permit, running, began, served)

    def _hear(self, known: Known, message: RawRequestMessage) -> Sequence[str]:
        """Take what a player tells; return what it will ask for next."""
        headers, query = message.headers, message.path.partition("?")[2]
        if not query and not any(map(headers.__contains__, cmcd.HEADERS)):
            return ()
        told = self._quality.hear(known.code, headers, _said(query) if query else {})
        return told.next if told is not None else ()

    def _write(self, known: Small, transport: asyncio.Transport, subject: str, *, alone: bool = False) -> None:
        line = self._status_line(200)
        if known.line is not line:
            known.line, known.whole = line, b"".join((line, known.head, known.body))
        if (what := known.delivered.get(subject)) is None:
            release, body, meter = known.manifest.release, known.manifest.body, self._meter
            what = Delivered(release, known.path, body, meter.zone, meter.screen, 200, "hit", subject)
            known.delivered[subject] = what
        self._meter.write(transport, what, known.whole, len(known.body), alone=alone)

    def _admits(self, door: Door, token: str, transport: asyncio.Transport, uri: str) -> Granted | None:
        place = transport.get_extra_info("peername")
        return door.known(token, place[0], uri, time.time()) if token and isinstance(place, tuple) else None

    def _status_line(self, status: int) -> bytes:
        if (second := int(time.time())) != self._second:
            self._second, self._lines = second, {}
        if (line := self._lines.get(status)) is None:
            date = formatdate(self._second, usegmt=True)
            line = self._lines[status] = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nDate: {date}\r\n".encode()
        return line

    def _drop(self, key: tuple[str | None, str]) -> None:
        match self._known.pop(key, None):
            case Small() as known:
                self._bytes -= len(known.body)
            case Large() as known:
                self._open -= 1
                self._large.write()  # what is put off may need the file
                known.file.close()


def _small_of(what: What, response: web.StreamResponse) -> Small | None:
    if response.status != 200 or not isinstance(response, web.Response) or not isinstance(response.body, bytes):
        return None
    lines = (f"{name}: {value}\r\n" for name, value in response.headers.items() if name not in ("Date", "Connection"))
    return Small(*what, "".join((*lines, "\r\n")).encode(), response.body)


def _token(headers: CIMultiDictProxy[str]) -> str:
    """Return the token that is shown, empty where there is none or it is not told at once."""
    if (token := headers.get(NAME)) is not None:
        return token
    cookie = headers.get("Cookie", "")
    return cookie[len(COOKIE) :] if cookie.startswith(COOKIE) and ";" not in cookie else ""


def _said(query: str) -> dict[str, str]:
    """Return what a query says of which ``_is_cmcd`` is true."""
    return {cmcd.QUERY: unquote_plus(query[len(cmcd.QUERY) + 1 :])}


def _is_cmcd(query: str) -> bool:
    """Return whether a query says something of the player, and of nothing else."""
    return query.startswith(f"{cmcd.QUERY}=") and "&" not in query
