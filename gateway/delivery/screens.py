"""``GET /r/CODE/PATH``: what a television or a phone asks for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, assert_never
from urllib.parse import parse_qsl

from aiohttp import HttpVersion10, web
from aiohttp.http import SERVER_SOFTWARE
from aiohttp.typedefs import Middleware

from appliance.runtime import http
from appliance.runtime.bounded import CROWD, Crowd
from appliance.runtime.errors import Corrupt, HeadgateError, Refused, Unreachable
from appliance.runtime.quick import AGAIN, QUICK
from gateway.delivery import cmcd, cmsd, fields, line, metrics, page
from gateway.delivery.ahead import Ahead
from gateway.delivery.ahead_live import AheadLive
from gateway.delivery.beyond import Beyond
from gateway.delivery.front import counted, seen
from gateway.delivery.front.asked import Front
from gateway.delivery.front.doubts import Doubts
from gateway.delivery.front.held import Held, alike, own
from gateway.delivery.front.transfers import Transfers
from gateway.delivery.hot import Hot
from gateway.delivery.ladder import Shown
from gateway.delivery.large import Answers
from gateway.delivery.line import Line
from gateway.delivery.live import PREFIX, Channels
from gateway.delivery.metering.delivery import What
from gateway.delivery.metering.meter import Meter, Running
from gateway.delivery.opening import Opening
from gateway.delivery.passing import Passed
from gateway.delivery.quality import Quality
from gateway.delivery.remade import Remade
from gateway.delivery.reports import Reports
from gateway.permission import door as doors
from gateway.permission.door import Door, Granted
from gateway.permission.judge import Asked
from gateway.permission.withdrawn import Withdrawal, Withdrawn
from gateway.playlists import delta
from gateway.playlists.ladder import HLS, Limits
from gateway.release import paths
from gateway.serving.choose import NotModified, Part, Parts, Unsatisfiable, Whole, choose
from gateway.serving.coming import Coming, Object, Superseded
from gateway.serving.exchange import Exchange, LiveFile, Manifest
from gateway.serving.parts import SPANS, send_parts
from gateway.serving.running import Running as Requests
from gateway.serving.running import Turn
from gateway.serving.send import LAST, LATE, SMALL, is_readable, send
from gateway.store.objects import Objects

COUNTED = web.RequestKey("counted", What)  # what it is counted as
# CMSD-Static of what is asked for, when that was (seconds), and whether the answer is made ready before it is known when it can begin.
SAYS: web.RequestKey[tuple[str, float, bool]] = web.RequestKey("says", tuple)


class Screens:
    """The requests of one zone."""

    def __init__(
        self,
        site: str,
        zone: str,
        store: Objects,
        incoming: Path,
        channels: Channels,
        exchange: Exchange,
        meter: Meter,
        quality: Quality,
    ) -> None:
        self.site, self._zone = site, zone
        self.line = Line()
        self.ladder = Shown(Limits())
        self.beyond: Beyond | None = None  # refuses what the ladder leaves out
        self._offers = Remade(lambda data, _: delta.offered(data))
        self._deltas = Remade(lambda data, _: delta.shortened(data))
        self.ahead: Ahead | None = None  # fetches what comes next
        self.ahead_live: AheadLive | None = None  # and of live channels
        self.front: Front | None = None  # answers nginx, where that stands in front
        self.transfers: Transfers | None = (
            None  # what nginx delivers; also while an earlier nginx brings its last ones to their end
        )
        self.doubts: Doubts | None = None  # looks at what nginx did not send whole
        self._stopped = 0  # responses broken off of which nobody was told yet
        self.plain: Middleware | None = None  # answers what is for origins of plain HTTP (``web.py``)
        self._opening = Opening(store, incoming, channels, exchange)
        self._exchange, self._meter = exchange, meter
        self._running, self._quality = Requests(self._broken_off), quality
        self._broken: set[tuple[str, int]] = set()  # connections of screens with nginx whose answers delivery broke off
        self._reports = Reports(exchange, quality)
        self.withdrawn = Withdrawn()  # what is withdrawn of tokens; doors come and go
        self._large = Answers(zone, exchange, self.line, self._running, self.told)
        self._hot = Hot(zone, store, exchange, meter, quality, self.line, self._large, self._served)

    @property
    def door(self) -> Door | None:
        """The door, where the policy asks for tokens."""
        return self._hot.door

    @door.setter
    def door(self, door: Door | None) -> None:
        self._hot.door = door
        self._hot.forget()

    def application(self) -> web.Application:
        """Return what answers at the zone's address, or to the nginx in front of it."""
        app = http.application(1024)  # nobody sends us a body
        app.router.add_get("/", self._health)
        app.router.add_get("/r/{code}/{path:.+}", self._get)
        app.router.add_options("/r/{code}/{path:.+}", self._preflight)
        app.router.add_post("/cmcd/{code}", self._report)
        app.router.add_options("/cmcd/{code}", self._preflight_report)
        app.on_response_prepare.append(_sign)
        app.on_response_prepare.append(self._tell)
        app.on_response_prepare.append(_count_in_front)
        app.middlewares.append(self._elsewhere)
        if self.plain is not None:
            app.middlewares.append(self.plain)
        app[http.LOST] = self._lost
        crowd = app[CROWD] = Crowd(lambda reason: metrics.REFUSALS.labels(self._zone, reason).inc())
        metrics.CONNECTIONS.labels(self._zone).set_function(crowd.here.total)
        if self.front is None:
            app[QUICK], app[AGAIN] = self._hot.answer, self._hot
        else:
            app.router.add_get("/-/permit", self.front.permit)
            app.router.add_get("/-/object", self.front.object)
            app.router.add_post("/-/end", self.front.end)
        return app

    def _lost(self, transport: asyncio.Transport) -> None:
        self._large.lost(transport)
        self._meter.lost(transport)

    def _served(self, manifest: Manifest, path: str, following: Sequence[str]) -> None:
        if self.ahead is not None:  # the screen goes on
            self.ahead.served(manifest, path, following)

    @web.middleware
    async def _elsewhere(self, request: web.Request, handler: http.Handler) -> web.StreamResponse:
        """Answer in our words, and count, what aiohttp's router refuses (other paths and methods) and what it takes (HTTP/0.9)."""
        if request.version < HttpVersion10:
            return self._refused(505, "bad-http", "screens speak HTTP/1.1 here")
        try:
            return await handler(request)
        except web.HTTPClientError as error:
            reason = {404: "unknown-path", 405: "method-not-allowed"}.get(error.status, "bad-request")
            response = self._refused(error.status, reason, error.reason)
            response.headers.update({name: value for name, value in error.headers.items() if name == "Allow"})
            return response

    def _refused(self, status: int, reason: str, sentence: str) -> web.Response:
        metrics.REQUESTS.labels(self._zone, str(status), "none").inc()
        metrics.REFUSALS.labels(self._zone, reason).inc()
        response = http.answer(status, reason, sentence)
        response.headers.update({**fields.CORS, "Cache-Control": "no-store"})
        return response

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(text=page.health(self.site, self._zone), content_type="text/html", charset="utf-8")

    async def _preflight(self, _: web.Request) -> web.Response:
        return web.Response(status=204, headers=fields.PREFLIGHT)

    async def _preflight_report(self, _: web.Request) -> web.Response:
        return web.Response(status=204, headers=fields.REPORTING)

    async def _report(self, request: web.Request) -> web.StreamResponse:
        response = await self._or_refusal(request, self._reports.take)
        response.headers.update(fields.CORS)
        return response

    async def _get(self, request: web.Request) -> web.StreamResponse:
        return await self._or_refusal(request, self._serve)

    async def _or_refusal(self, request: web.Request, handler: http.Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except HeadgateError as error:
            return self._refused(*_told(error), str(error))

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        began = time.monotonic()
        self.may_begin()
        code, path = paths.code_of(request.match_info["code"]), request.match_info["path"]
        if fault := paths.fault_in(path):
            raise Refused("bad-request", fault, 400)
        granted = self._admitted(request)
        with self._running.of(code, request, granted.permit if granted else None) as turn:
            try:
                return await self._answer_running(turn, request, code, path, began, granted)
            except Superseded:  # before the first byte
                request.pop(LAST, None)
                return await self._answer_running(turn, request, code, path, began, granted, patient=True)

    def _admitted(self, request: web.Request) -> Granted | None:
        """Return what a token permits, or None where none is asked for.

        Raises:
            Refused: this is not permitted.
        """
        if self.door is None:
            return None
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = Asked(
            request.method,
            str(seen.url_of(request).without_query_params(*doors.QUERY)),
            seen.screen_of(request),
            headers,
        )
        return self.door.admit(doors.shown(headers, request.cookies, request.query), asked, time.time())

    async def withdraw(self, codes: Sequence[str], tokens: Sequence[Withdrawal] | None) -> int:
        """Break off what runs of the releases ``codes``, and by ``tokens`` (all that are withdrawn; None: as before); return how many.

        The list of tokens first, so that nobody begins by one that is broken off; nginx's own ones last, when nothing begins any more.

        Raises:
            Unreachable, Refused: some of nginx's could not be broken off.
        """
        if self.front is not None:
            self.front.withdraw(codes)
        self._large.write()  # what is put off is cut like all that has begun
        self._stopped += self._running.cut(codes)
        if tokens is not None and self.withdrawn.replace(tokens):
            if self.door is not None:
                self.door.forget()
            if self.front is not None:
                self.front.lock()
            self._stopped += self._running.cut_permits(partial(self.withdrawn.refusal, now=time.time()))
        if self.front is not None:
            await self.front.settle()
        if self.transfers is not None:
            withdrawn, now = frozenset(codes), time.time()
            self._stopped += await self.transfers.cut(
                lambda carried: carried.release in withdrawn or self.withdrawn.marked(carried.marks, now), self._broken
            )
            self._broken.clear()
        stopped, self._stopped = self._stopped, 0
        metrics.WITHDRAWN.labels(self._zone).inc(stopped)
        return stopped

    async def end(self) -> None:
        """Break off what nginx delivers, which is about to end and would say no more of it.

        Raises:
            Unreachable, Refused: it could not be broken off.
        """
        self._running.cut_all(Refused("busy", "nginx ends: ask again", 503))
        if self.transfers is not None:
            await self.transfers.end(self._broken)
        self._broken.clear()

    def _broken_off(self, request: object) -> None:
        """Take note of a screen whose connection with nginx holds what delivery sends no more of."""
        if isinstance(request, web.BaseRequest) and (end := seen.end_of(request)) is not None:
            self._broken.add(end)

    async def _answer_running(
        self,
        turn: Turn,
        request: web.Request,
        code: str,
        path: str,
        began: float,
        granted: Granted | None,
        *,
        patient: bool = False,
    ) -> web.StreamResponse:
        """Answer; ``patient``: nothing is made ready before the exchange has said what comes."""
        manifest = await self._exchange.manifest(code)
        if self.beyond is not None:
            await self.beyond.check(manifest, code, path)
        if self.ahead is not None:
            self.ahead.asked(manifest, path)
        early = None if patient else self._opening.early(manifest, path, request, turn.begin)
        file, opened, cache, keep, coming = early or await self._opening.open(manifest, code, path, request.query)
        if self.ladder.filters(file.type):
            file, opened, coming = await self.ladder.show(file, opened, coming)
        live = manifest.live is not None and path.startswith(PREFIX)
        if live and file.type == HLS:
            file, opened, coming = await self._offers.show(file, opened, coming)
            if delta.asked(request.query):
                file, opened, coming = await self._deltas.show(file, opened, coming)
        seconds = manifest.live.segment if manifest.live is not None and live else 0.0
        request[SAYS] = (
            cmsd.static(path, file.type, manifest.entry, live=live, seconds=seconds),
            began,
            early is not None,
        )
        subject = granted.subject if granted else ""
        with (
            opened,
            self._meter.begin(request.transport, manifest.release, path, manifest.body, cache, subject) as running,
        ):
            if early is None:
                turn.begin()
            request[COUNTED] = running.what
            try:
                response, sent, count, readable = await self._answer(
                    request, file, opened, cache, keep, coming, granted, running
                )
            except Corrupt:
                await self._exchange.damaged(manifest, path)
                raise
            running.end(response.status, sent, count, request.method)
        if not readable:
            await self._exchange.damaged(manifest, path)
        told = self._quality.hear(code, request.headers, request.query)
        if LATE in request:
            metrics.REFUSALS.labels(self._zone, "too-slow").inc()
        if request.method == "GET" and sent == count:
            self._served(manifest, path, told.next if told is not None else ())
            if self.ahead_live is not None and live:
                self.ahead_live.served(manifest, code, path)
        if cache == "hit" and manifest.live is None and sent == count and self.front is None:
            self._hot.learn(request, response, manifest, code, path)
        self._count(response.status, cache, sent, time.monotonic() - began, broken=int(sent < count))
        return response

    async def _answer(
        self,
        request: web.Request,
        file: Object | LiveFile,
        opened: BinaryIO,
        cache: str,
        keep: int,
        coming: Coming | None,
        granted: Granted | None,
        running: Running,
    ) -> tuple[web.StreamResponse, int, int, bool]:
        """Answer; return the response, the bytes of content sent, those that were to be sent, and whether the disk gave them."""
        etag = f'"{file.sha256}"'
        headers = {
            **fields.CORS,
            **fields.of_file(file.sha256, keep, hit=cache == "hit", private=granted is not None),
        }
        if granted is not None and granted.keep is not None:
            # A playlist's addresses carry no token: the screen shows it by cookie from now on.
            left = max(0, int(granted.permit.until - time.time()))
            headers["Set-Cookie"] = f"{doors.NAME}={granted.keep}; Path=/r/; Max-Age={left}; HttpOnly; SameSite=Lax"
        choice = choose(request.headers, request.method, file.size, etag)
        match choice:
            case NotModified():
                return web.Response(status=304, headers=headers), 0, 0, True
            case Unsatisfiable():
                return (
                    web.Response(status=416, headers={**headers, "Content-Range": f"bytes */{file.size}"}),
                    0,
                    0,
                    True,
                )
            case Whole():
                first, count, status = 0, file.size, 200
            case Part(first, last):
                count, status = last - first + 1, 206
                headers["Content-Range"] = f"bytes {first}-{last}/{file.size}"
            case Parts(parts):
                response, sent = await send_parts(
                    request, headers, opened, parts, file.size, file.type, coming, running
                )
                count = sum(part.last - part.first + 1 for part in parts)
                return (
                    response,
                    sent,
                    count,
                    sent == count or _is_refused(coming) or is_readable(opened, parts[0].first),
                )
            case unknown:
                assert_never(unknown)
        headers["Content-Type"] = file.type
        response, sent = await send(request, status, headers, opened, first, count, coming, running)
        if request.method == "HEAD":
            return response, sent, 0, True
        return response, sent, count, sent == count or _is_refused(coming) or is_readable(opened, first + sent)

    async def _tell(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add what a player is told of the object, the box and its line (CTA-5006)."""
        if SAYS not in request or response.status not in (200, 206):
            return
        says, began, early = request[SAYS]
        response.headers[cmsd.STATIC] = says
        if says.startswith("ot=m"):
            return
        if (response.content_length or 0) <= SMALL:
            told = self.told()  # it says nothing of a line, and is answered the same to everybody for a moment
        elif not early:
            told = self.told(line.look(request.transport), time.monotonic() - began)
        else:  # how long it took is not known yet
            said = self.told(line.look(request.transport))
            request[LAST] = (cmsd.DYNAMIC, lambda: cmsd.delayed(said, self.site, time.monotonic() - began))
            return
        if told:
            response.headers[cmsd.DYNAMIC] = told

    def told(self, link: cmsd.Link | None = None, delay: float | None = None) -> str:
        """Return ``CMSD-Dynamic`` of now, for everybody, or for the player at ``link`` whose answer took ``delay`` seconds."""
        most = self.line.share(self._quality.running())
        return cmsd.dynamic(self.site, most=most, duress=self.line.loaded(), link=link, delay=delay)

    def may_begin(self) -> None:
        """Refuse where a delivery could not be accounted for.

        Raises:
            Refused: too much waits already (``busy``).
        """
        self._meter.check()
        if self.transfers is not None and self.transfers.full:
            raise Refused("busy", "more of nginx's deliveries cannot be accounted for now", 503)

    def heard(self, some: Sequence[Held]) -> None:
        """Take note of requests that nginx answered by itself."""
        for ended, carried in own(some):
            if ended.query or any(ended.cmcd):
                self._quality.hear(
                    carried.release,
                    {name: told for name, told in zip(cmcd.HEADERS, ended.cmcd, strict=False) if told},
                    dict(parse_qsl(ended.query)),
                )
            if self.doubts is not None:
                self.doubts.hear(ended, carried)
        for (status, cache, seconds, done), (count, sent) in alike(own(some)).items():
            self._count(status, cache, sent, seconds, count=count, broken=0 if done else count)

    def turned(self, reason: str) -> None:
        """Count a request that nginx refused by itself."""
        metrics.REFUSALS.labels(self._zone, reason).inc()

    def shows(self, kind: str) -> bool:
        """Return whether files of the media type ``kind`` are shown in this zone as they are."""
        return not self.ladder.filters(kind)

    def grants(self, manifest: Manifest, path: str) -> bool:
        """Return whether it is known that the zone's ladder does not leave a file out."""
        return self.beyond is None or self.beyond.grants(manifest, path)

    def gives(self, manifest: Manifest, path: str) -> None:
        """Take note that nginx gives a screen a file: what comes next is fetched."""
        if self.ahead is not None:
            self.ahead.asked(manifest, path)
            self.ahead.served(manifest, path)
        if self.ahead_live is not None and manifest.live is not None and path.startswith(PREFIX):
            self.ahead_live.served(manifest, manifest.release, path)

    def _count(self, status: int, cache: str, sent: int, seconds: float, *, count: int = 1, broken: int) -> None:
        """Count answers that are alike, ``sent`` bytes of content all together, each with its ``seconds``."""
        requests, served, observed = metrics.of_answers(self._zone, status, cache)
        requests.inc(count)
        served.inc(sent)
        self.line.sent(sent)
        observed.observe_all(seconds, count)
        if broken:
            metrics.BROKEN_OFF.labels(self._zone).inc(broken)


def _is_refused(coming: Coming | None) -> bool:
    """Return whether what did not come whole was refused on its way, not unreadable on the disk."""
    return coming is not None and not coming.stored


async def _count_in_front(request: web.Request, response: web.StreamResponse) -> None:
    """Leave it to nginx to say how much of this it sent: what was no use (416) is not counted."""
    if COUNTED in request and response.status in (200, 206, 304):
        response.headers.update(counted.of_answer(request, request[COUNTED], response.get(SPANS, ())))


async def _sign(_: web.Request, response: web.StreamResponse) -> None:
    if isinstance(response, Passed):  # an origin's own words, and none of aiohttp's
        if response.headers.get("Server") == SERVER_SOFTWARE:
            del response.headers["Server"]
        return
    response.headers["Server"] = "headgate"  # which software and version is nobody's business in a screen zone
    response.headers.update(fields.SIGNED)


def _told(error: HeadgateError) -> tuple[int, str]:
    match error:
        case Refused():
            return error.status, error.reason
        case Unreachable():
            return 504, "unreachable"
        case _:
            return 502, "corrupt"
