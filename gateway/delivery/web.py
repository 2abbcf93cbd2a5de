"""Plain HTTP origins: requests whose ``Host`` is an admitted one, answered by an ordinary shared cache (RFC 9111)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from functools import partial
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

import aiohttp
from aiohttp import web

from appliance.runtime import http
from appliance.runtime.errors import Corrupt, HeadgateError, Refused, Unreachable
from gateway.caching import fields as headers
from gateway.caching import freshness, ranges, validation, variants
from gateway.caching.cache_status import Did, told
from gateway.caching.decide import Ask, Nothing, Use, decide, forwarded, helps
from gateway.caching.directives import TARGETED, of_response
from gateway.caching.fields import Fields
from gateway.caching.filling import Coming, Confirmed, Fill, Filling, Passing
from gateway.caching.kept import Kept
from gateway.caching.stored import Asked, Stored
from gateway.delivery import metrics
from gateway.delivery.front import places, seen
from gateway.delivery.metering.meter import Meter, Running
from gateway.delivery.passing import Sending, send
from gateway.serving.choose import Part, Parts, Unsatisfiable
from gateway.serving.send import GRACE, SLOWEST

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110 section 9.2.1
MOST_FIELDS = 100  # fields of a request
LONGEST_TARGET = 8000  # characters
LONGEST_BODY = 64 << 20  # bytes of a request's body
USED = "web:"  # before an origin's name, where a record of use has a release's code
OURS = {"host", *(name.lower() for name in places.SAID)}  # fields of a request that are no part of what is asked
AGAIN = 3  # times that a request looks anew at what is stored, before it asks for itself


class Origin(NamedTuple):
    """Whose words they are: the origin's name in the policy, and the body that it is of, if any."""

    name: str
    body: str = ""


class WebCache:
    """The requests of one zone for the origins that ``origin_of`` knows by their names, as ``Host`` says them."""

    def __init__(
        self,
        zone: str,
        origin_of: Callable[[str], Origin | None],
        kept: Kept,
        filling: Filling,
        meter: Meter,
        tasks: asyncio.TaskGroup,
        targets: Sequence[str] = TARGETED,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._zone, self.origin_of, self._kept, self._filling, self._meter = zone, origin_of, kept, filling, meter
        self._tasks, self._targets, self._clock = tasks, targets, clock
        self.may_begin = meter.check

    @web.middleware
    async def middleware(self, request: web.Request, handler: http.Handler) -> web.StreamResponse:
        """Answer what is for an admitted origin; leave the rest to ``handler``."""
        if (known := self._known(request)) is None:
            return await handler(request)
        host, origin = known
        began = time.monotonic()
        sending = Sending(request, partial(self._begin, request.transport, origin))
        try:
            self.may_begin()
            response = await self._answer(sending, self._asked(request, host))
        except HeadgateError as error:
            status, reason = _told(error)
            metrics.REFUSALS.labels(self._zone, reason).inc()
            if sending.begun:  # what was begun cannot be taken back: it is broken off, so that it does not look whole
                sending.abort()
                return sending.response
            sending.did = Did(fwd="miss", detail=reason)
            response = http.answer(status, reason, str(error))
            response.headers["Cache-Control"] = "no-store"
            response.headers["Cache-Status"] = told(sending.did)
        cache = "hit" if sending.did.hit else "miss"
        metrics.REQUESTS.labels(self._zone, str(response.status), cache).inc()
        metrics.BYTES.labels(self._zone, cache).inc(sending.sent)
        metrics.SECONDS.labels(self._zone, cache).observe(time.monotonic() - began)
        if sending.broken:
            metrics.BROKEN_OFF.labels(self._zone).inc()
        if sending.late:
            metrics.REFUSALS.labels(self._zone, "too-slow").inc()
        return response

    async def purge(
        self, *, tags: Collection[str] = (), url: str | None = None, prefix: str | None = None, soft: bool = False
    ) -> int:
        """Remove (or, ``soft``, make stale) what has one of these tags exactly, this address, or one that begins with ``prefix``.

        Returns how many responses that were, once it is durable.
        """
        return await self._kept.purge(tags, _key(url), _key(prefix), soft=soft)

    def _known(self, request: web.Request) -> tuple[str, Origin] | None:
        """Return the admitted name that ``Host`` says, with its port or without, and the origin; or None."""
        said = request.host.lower()
        bare = said.rpartition(":")[0] if said.rpartition(":")[2].isdigit() else said
        found = ((name, self.origin_of(name)) for name in (said, bare))
        return next(((name, origin) for name, origin in found if origin is not None), None)

    def _begin(self, transport: asyncio.Transport | None, origin: Origin, hit: bool) -> Running:
        """Begin to count an answer; the addresses of a portal are its own business, and without number."""
        return self._meter.begin(transport, f"{USED}{origin.name}", "", origin.body, "hit" if hit else "miss")

    def _asked(self, request: web.Request, host: str) -> Asked:
        target = request.raw_path
        if "://" in target.partition("?")[0]:
            parts = _split(target)
            if parts is None:
                raise Refused("bad-request", "the address is none", 400)
            target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        if len(target) > LONGEST_TARGET or not target.isascii():
            raise Refused("bad-request", "the address is too long, or not written in ASCII", 414)
        if len(request.headers) > MOST_FIELDS:
            raise Refused("bad-request", "the request has too many header fields", 431)
        fields = tuple((name, _bytewise(value)) for name, value in request.headers.items() if name.lower() not in OURS)
        return Asked(request.method, host, target, fields)

    async def _answer(self, sending: Sending, asked: Asked) -> web.StreamResponse:
        if asked.method not in ("GET", "HEAD"):
            return await self._through(sending, asked)
        for _ in range(AGAIN):
            now = self._clock()
            decision = decide(asked, self._kept.shelf.find(asked.key), now, self._targets)
            match decision:
                case Nothing():
                    raise Refused("only-if-cached", "nothing that is stored answers this", 504)
                case Use(stored, refresh):
                    if refresh and self._filling.under_way(asked.key) is None:
                        self._tasks.create_task(self._refresh(asked, Ask("stale", stored)))
                    try:
                        return await self._use(sending, asked, stored, Did(hit=True))
                    except FileNotFoundError:
                        self._kept.lost(stored)
                case Ask():
                    if (response := await self._fetch(sending, asked, decision)) is not None:
                        return response
        return await self._alone(sending, asked, Ask("miss"))

    async def _fetch(self, sending: Sending, asked: Asked, ask: Ask) -> web.StreamResponse | None:
        """Wait for the answer that is asked for already, or ask; None where what is stored is to be looked at again."""
        shared = asked.method == "GET" and not headers.values(asked.fields, "range")
        fill = self._filling.under_way(asked.key) if shared else None
        if fill is None:
            return await self._alone(sending, asked, ask)
        early = not fill.outcome.done()
        try:
            outcome = await asyncio.shield(fill.outcome)
        except HeadgateError as error:
            return await self._instead(sending, asked, ask.stored, None, error)
        match outcome:
            case Coming(stored) if variants.matches(stored, asked) and self._may_share(asked, stored, early):
                if stored.status == 206:
                    return await self._completed(sending, asked, outcome, ask)
                return await self._follow(sending, asked, outcome, Did(fwd=ask.why, collapsed=True))
            case Confirmed():
                return None
            case _:
                return await self._alone(sending, asked, ask)

    def _may_share(self, asked: Asked, stored: Stored, early: bool) -> bool:
        """Return whether a request may have an answer that is coming for another: fresh, or made while it waited for nothing else."""
        if isinstance(decide(asked, [_whole(stored)], self._clock(), self._targets), Use):
            return True
        return early and not of_response(stored.fields, self._targets).whole("no-cache") and not _insists(asked)

    async def _alone(self, sending: Sending, asked: Asked, ask: Ask) -> web.StreamResponse:
        sent = forwarded(asked, ask)
        screen = seen.screen_of(sending.request)
        fill = self._filling.begin(asked, sent, ask.stored, interim=sending.interim, screen=screen)
        try:
            try:
                outcome = await asyncio.shield(fill.outcome)
            except HeadgateError as error:
                return await self._instead(sending, asked, ask.stored, None, error)
            match outcome:
                case Confirmed(stored):
                    return await self._use(sending, asked, stored, Did(fwd=ask.why, fwd_status=304, stored=True))
                case Coming():
                    if outcome.stored.status == 206 and not headers.values(asked.fields, "range"):
                        return await self._completed(sending, asked, outcome, ask)
                    return await self._follow(sending, asked, outcome, Did(fwd=ask.why, stored=True))
                case Passing(answer, fields):
                    if answer.status >= 500 and ask.stored is not None:
                        erred = Unreachable(f"the origin answered {answer.status}")
                        if helps(ask.stored, asked, self._clock(), answer.status, self._targets):
                            return await self._instead(sending, asked, ask.stored, answer.status, erred)
                    if answer.status in (206, 412, 416) and _range_is_ours(asked, sent):
                        return await self._again(sending, asked)
                    did = Did(fwd=_why(asked, ask), fwd_status=answer.status)
                    return await send(sending, answer.status, answer.reason, fields, answer.body, did)
        finally:
            fill.released.set()

    async def _again(self, sending: Sending, asked: Asked) -> web.StreamResponse:
        """Ask for the whole: the rest alone would not go together with what is stored."""
        return await self._alone(sending, asked, Ask("partial"))

    async def _completed(self, sending: Sending, asked: Asked, coming: Coming, ask: Ask) -> web.StreamResponse:
        """Answer with the whole, of which the rest is coming.

        Raises:
            Refused: no part was asked for (``unexpected-answer``): asked again, such an origin would send one again.
        """
        if ask.stored is None:
            raise Refused("unexpected-answer", "the origin sent a part where the whole was asked for", 502)
        if not ranges.combinable(ask.stored, _content_range(coming.stored)):
            return await self._again(sending, asked)
        await coming.body.reach((coming.stored.size or 0) - 1)
        stored = self._kept.shelf.get(coming.stored.id)
        if stored is None or not stored.complete:
            return await self._again(sending, asked)
        return await self._use(sending, asked, stored, Did(fwd="partial", fwd_status=206, stored=True))

    async def _instead(
        self, sending: Sending, asked: Asked, stored: Stored | None, status: int | None, error: HeadgateError
    ) -> web.StreamResponse:
        """Answer with what is stored although it is stale, since the origin gave nothing better.

        Raises:
            HeadgateError: nothing may be used.
        """
        away = isinstance(error, Unreachable) or (isinstance(error, Refused) and error.status >= 500)
        if stored is None or not away or not helps(stored, asked, self._clock(), status, self._targets):
            raise error
        return await self._use(sending, asked, stored, Did(hit=True, fwd_status=status, detail="origin-away"))

    async def _refresh(self, asked: Asked, ask: Ask) -> None:
        """Ask for what is stored anew, while it is used."""
        plain = Asked("GET", asked.host, asked.target, headers.without(asked.fields, validation.CONDITIONS | {"range"}))
        fill: Fill | None = None
        try:
            fill = self._filling.begin(plain, forwarded(plain, ask), ask.stored)
            await asyncio.shield(fill.outcome)
        except HeadgateError as error:
            metrics.REFUSALS.labels(self._zone, _told(error)[1]).inc()
        finally:
            if fill is not None:
                fill.released.set()

    async def _through(self, sending: Sending, asked: Asked) -> web.StreamResponse:
        """Pass a request on that is not answered from what is stored, and forget what it may have changed (section 4.4)."""
        request = sending.request
        body: bytes | AsyncIterator[bytes] = b""
        if request.body_exists:
            if (request.content_length or 0) > LONGEST_BODY:
                raise Refused("too-large", "the request's body is longer than is passed on", 413)
            body = _bounded(request)
        fill = self._filling.begin(
            asked, headers.end_to_end(asked.fields), None, body, request.content_length, sending.interim,
            seen.screen_of(request),
        )  # fmt: skip
        try:
            outcome = await asyncio.shield(fill.outcome)
            fields = outcome.fields if isinstance(outcome, Passing) else outcome.stored.fields
            status = outcome.answer.status if isinstance(outcome, Passing) else outcome.stored.status
            if asked.method not in SAFE and 200 <= status < 400:
                self._invalidate(asked, fields, keep_own=isinstance(outcome, Coming))
            did = Did(fwd="method", fwd_status=status, stored=isinstance(outcome, Coming))
            if isinstance(outcome, Coming):
                return await self._follow(sending, asked, outcome, did)
            if isinstance(outcome, Confirmed):
                raise Corrupt("the origin confirmed what nobody asked about")
            return await send(sending, status, outcome.answer.reason, fields, outcome.answer.body, did)
        finally:
            fill.released.set()

    def _invalidate(self, asked: Asked, fields: Fields, *, keep_own: bool) -> None:
        keys = set() if keep_own else {asked.key}
        base = f"http://{asked.key}"
        for name in ("location", "content-location"):
            if (where := headers.first(fields, name)) is not None:
                parts = _split(where, base)
                if parts is not None and parts.netloc.lower() == asked.host:
                    keys.add(f"{asked.host}{parts.path or '/'}{'?' + parts.query if parts.query else ''}")
        for key in keys - ({asked.key} if keep_own else set()):
            self._kept.invalidate(key)

    async def _follow(self, sending: Sending, asked: Asked, coming: Coming, did: Did) -> web.StreamResponse:
        """Answer with what is coming, as it comes."""
        stored = coming.stored
        if stored.status != 206 and validation.not_modified(asked, stored, self._clock()) and _reads(asked):
            return await send(sending, 304, "Not Modified", _for_304(stored.fields), None, did)
        if stored.status == 206:
            start, end = stored.spans[0]
            return await send(sending, 206, stored.reason, _content_range(stored), (coming.body, start, end), did)
        return await self._parts(sending, asked, stored, stored.fields, coming.body, did)

    async def _use(self, sending: Sending, asked: Asked, stored: Stored, did: Did) -> web.StreamResponse:
        """Answer with what is stored.

        Raises:
            FileNotFoundError: its body went.
        """
        now = self._clock()
        self._kept.shelf.use(stored)
        age = freshness.age(stored, now)
        directives = of_response(stored.fields, self._targets)
        secret = directives.names("no-cache") if did.hit else frozenset()
        fields = (*headers.without(stored.fields, {"age", *secret}), ("Age", str(int(age))))
        ttl = int(freshness.lifetime(stored, self._targets) - age)
        did = Did(did.hit, did.fwd, did.fwd_status, did.stored, did.collapsed, ttl, asked.key, did.detail)
        if _reads(asked) and validation.not_modified(asked, stored, now):
            return await send(sending, 304, "Not Modified", _for_304(fields), None, did)
        return await self._parts(sending, asked, stored, fields, self._kept.open(stored), did)

    async def _parts(
        self, sending: Sending, asked: Asked, stored: Stored, fields: Fields, body: object, did: Did
    ) -> web.StreamResponse:
        """Answer with the parts of a stored response that are asked for, or all of it."""
        match ranges.wanted(asked, stored):
            case Unsatisfiable():
                return await send(
                    sending,
                    416,
                    "Range Not Satisfiable",
                    (*fields, ("Content-Range", f"bytes */{stored.size}")),
                    None,
                    did,
                )
            case Part(first, last):
                fields = (
                    *headers.without(fields, {"content-range"}),
                    ("Content-Range", f"bytes {first}-{last}/{stored.size}"),
                )
                return await send(sending, 206, "Partial Content", fields, (body, first, last + 1), did)
            case Parts(parts):
                return await send(sending, 206, "Partial Content", fields, (body, parts, stored.size), did)
            case _:
                end = stored.size
                return await send(sending, stored.status, stored.reason, fields, (body, 0, end), did)


def _split(url: str, base: str = "") -> SplitResult | None:
    """Return the parts of an address, seen from ``base``; None where it is none."""
    try:
        return urlsplit(urljoin(base, url))
    except ValueError:
        return None


def _bytewise(value: str) -> str:
    """Return a value as aiohttp reads it with one character for each byte."""
    return value.encode("utf-8", "surrogateescape").decode("latin-1")


async def _bounded(request: web.Request) -> AsyncIterator[bytes]:
    """Yield a request's body, as it comes.

    Raises:
        Refused: it is too long, comes too slowly (it holds a request to the origin), or is none.
    """
    taken, latest = 0, asyncio.get_running_loop().time() + GRACE
    while True:
        try:
            async with asyncio.timeout_at(latest + taken / SLOWEST):
                chunk = await request.content.readany()
        except TimeoutError as error:
            raise Refused("too-slow", "the request's body comes too slowly", 408) from error
        except (web.RequestPayloadError, aiohttp.ClientPayloadError) as error:
            raise Refused("bad-http", "the request's body is none, or broke off", 400) from error
        if not chunk:
            return
        taken += len(chunk)
        if taken > LONGEST_BODY:
            raise Refused("too-large", "the request's body is longer than is passed on", 413)
        yield chunk


def _for_304(fields: Fields) -> Fields:
    """Return what a 304 says (RFC 9110 section 15.4.5): nothing about a body that does not come."""
    return headers.without(fields, {"content-length", "content-encoding", "content-type", "content-range"})


def _reads(asked: Asked) -> bool:
    return asked.method in ("GET", "HEAD")


def _insists(asked: Asked) -> bool:
    return "no-cache" in " ".join(headers.values(asked.fields, "cache-control")).lower()


def _whole(stored: Stored) -> Stored:
    """Return a response that is coming as if it were here."""
    size = stored.size if stored.size is not None else 1
    return Stored(
        stored.key, stored.status, stored.reason, stored.fields, stored.requested, stored.received, size,
        ((0, size),) if size else (), stored.vary,
    )  # fmt: skip


def _range_is_ours(asked: Asked, sent: Fields) -> bool:
    return bool(headers.values(sent, "range")) and not headers.values(asked.fields, "range")


def _content_range(stored: Stored) -> Fields:
    start, end = stored.spans[0]
    return (*stored.fields, ("Content-Range", f"bytes {start}-{end - 1}/{stored.size}"))


def _why(asked: Asked, ask: Ask) -> str:
    return "method" if asked.method == "HEAD" and ask.why == "uri-miss" else ask.why


def _key(url: str | None) -> str | None:
    """Return the key of an address: its host in lower case, and the rest as it stands."""
    if not url:  # none, or the prefix of them all
        return url
    host, slash, rest = url.split("://", 1)[-1].partition("/")
    return f"{host.lower()}{slash or '/'}{rest}"


def _told(error: HeadgateError) -> tuple[int, str]:
    match error:
        case Refused():
            return error.status, error.reason
        case Unreachable():
            return HTTPStatus.GATEWAY_TIMEOUT, "unreachable"
        case _:
            return HTTPStatus.BAD_GATEWAY, "corrupt"
