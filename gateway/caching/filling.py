"""Asking origins: one request however many wait for its answer, which all of them read while it comes and which is kept where it may be."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Protocol

from appliance.runtime.errors import HeadgateError, Refused, Unreachable
from gateway.caching import fields as headers
from gateway.caching import freshness, ranges, validation, variants
from gateway.caching.body import Body
from gateway.caching.directives import TARGETED, of_response
from gateway.caching.fields import Fields
from gateway.caching.kept import Incoming, Kept, adopted
from gateway.caching.stored import Asked, Stored
from gateway.web.wire import Interim, WebAnswer, WebRequest

PATIENCE = 60.0  # seconds without anything from an origin
MOST_AT_ONCE = 1000  # requests to origins under way
MOST_OF_ORIGIN = 400  # of them to one: the others' share stays free of a slow one
# Of them by one address, behind which a house full may be: fewer than the exchange asks one origin at once, so that others get through.
MOST_OF_SCREEN = 120
LONGEST_BODY = 1 << 30  # bytes of a body that is kept
MOST_FIELDS = 200  # fields of an answer
LONGEST_HEAD = 64 << 10  # bytes of an answer's fields


class Web(Protocol):
    """Who asks origins: ``gateway.web.wire.Web``."""

    def ask(self, request: WebRequest, interim: Interim | None = None) -> AbstractAsyncContextManager[WebAnswer]:
        """Return the answer, open while its body is read; ``interim`` is told each 1xx as it comes.

        Raises:
            HeadgateError: the origin is away, broke off, or may not be asked.
        """
        ...


@dataclass(frozen=True)
class Coming:
    """A response that is kept, and is coming still."""

    stored: Stored
    body: Body


@dataclass(frozen=True)
class Confirmed:
    """The origin said that what is stored still stands."""

    stored: Stored


@dataclass(frozen=True)
class Passing:
    """A response that is for whoever asked alone."""

    answer: WebAnswer
    fields: Fields
    kept: Stored | None = None  # what was stored, for a partial answer that is not it


Outcome = Coming | Confirmed | Passing


class Fill:
    """A request to an origin that is under way."""

    def __init__(self, incoming: Incoming, interim: Interim | None) -> None:
        self.incoming, self.interim = incoming, interim
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.released = asyncio.Event()  # whoever asked first needs a Passing one no longer

    async def tell(self, status: int, told: list[tuple[str, str]]) -> None:
        """Tell whoever asked first of an interim response, as long as it waits."""
        if self.interim is not None and not self.released.is_set():
            await self.interim(status, told)


class Filling:
    """Requests to the origins of one zone, by ``web``."""

    def __init__(
        self,
        kept: Kept,
        web: Web,
        tasks: asyncio.TaskGroup,
        targets: Sequence[str] = TARGETED,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._kept, self._web, self._tasks, self._targets, self._clock = kept, web, tasks, targets, clock
        self._fills: dict[str, Fill] = {}
        self.running = 0
        self._of_origin: Counter[str] = Counter()
        self._of_screen: Counter[str] = Counter()

    def under_way(self, key: str) -> Fill | None:
        """Return the request that others may wait for, if there is one."""
        return self._fills.get(key)

    def begin(
        self,
        asked: Asked,
        sent: Fields,
        stored: Stored | None,
        body: bytes | AsyncIterator[bytes] = b"",
        length: int | None = None,
        interim: Interim | None = None,
        screen: str = "",
    ) -> Fill:
        """Ask the origin with the fields ``sent``, for ``screen``; ``stored`` is what they validate or complete.

        Raises:
            Refused: too many are being asked already.
        """
        if self.running >= MOST_AT_ONCE or self._of_origin[asked.host] >= MOST_OF_ORIGIN:
            raise Refused("busy", "too much is being fetched already: ask again", 503)
        if screen and self._of_screen[screen] >= MOST_OF_SCREEN:
            raise Refused("busy", f"{MOST_OF_SCREEN} answers are on their way to this screen: ask again", 503)
        fill = Fill(self._kept.begin(asked.key), interim)
        fill.outcome.add_done_callback(lambda future: future.cancelled() or future.exception())  # told, or nobody waits
        name = asked.key if asked.method == "GET" and not headers.values(sent, "range") else ""
        if name:
            self._fills.setdefault(name, fill)
        self._count(asked.host, screen, 1)
        request = WebRequest(asked.host, asked.method, asked.target, list(sent), body, length)
        self._tasks.create_task(self._run(fill, name, asked, request, stored, screen))
        return fill

    def _count(self, host: str, screen: str, one: int) -> None:
        self.running += one
        for table, key in ((self._of_origin, host), (self._of_screen, screen)):
            table[key] += one
            if not table[key]:
                del table[key]

    async def _run(
        self, fill: Fill, name: str, asked: Asked, request: WebRequest, stored: Stored | None, screen: str
    ) -> None:
        try:
            await self._ask(fill, asked, request, stored)
        except TimeoutError:
            _fail(fill, Unreachable("the origin says nothing"))
        except HeadgateError as error:
            _fail(fill, error)
        except OSError as error:
            _fail(fill, Refused("cache-disk", f"the cache's disk does not take the answer: {error.strerror}", 503))
        finally:
            self._count(asked.host, screen, -1)
            self._kept.over(fill.incoming)
            if self._fills.get(name) is fill:
                del self._fills[name]
            _fail(fill, Unreachable("asking the origin was broken off"))

    async def _ask(self, fill: Fill, asked: Asked, request: WebRequest, stored: Stored | None) -> None:
        requested = self._clock()
        async with contextlib.AsyncExitStack() as stack:
            async with asyncio.timeout(PATIENCE):
                answer = await stack.enter_async_context(self._web.ask(request, fill.tell))
            received = self._clock()
            bounded(answer.headers)
            told = headers.end_to_end(answer.headers)
            if not headers.values(told, "date"):
                told += (("Date", _date(received)),)
            fill.incoming.fields = told
            if (
                answer.status == 304
                and stored is not None
                and _ours(request, stored)
                and validation.confirms(stored, told)
            ):
                fresh = validation.updated(stored, told, requested, received)
                if not fill.incoming.spoiled:
                    self._kept.put(fresh)
                fill.outcome.set_result(Confirmed(fresh))
                return
            kept = None if fill.incoming.spoiled else self._keep(asked, answer, told, requested, received)
            if kept is None:
                if stored is not None and asked.method == "HEAD" and answer.status == 200:
                    self._kept.put(validation.updated(stored, told, requested, received))
                fill.outcome.set_result(Passing(answer, told, stored))
                await fill.released.wait()
                return
            await self._receive(fill, answer, kept, stored)

    def _keep(self, asked: Asked, answer: WebAnswer, told: Fields, requested: float, received: float) -> Stored | None:
        """Return the response as it is to be kept, or None."""
        part = ranges.told(told) if answer.status == 206 else None
        status = 200 if part is not None else answer.status
        if asked.method not in ("GET", "POST") or not freshness.storable(asked, status, told, received, self._targets):
            return None
        if asked.method == "POST" and not _is_about(asked, told):
            return None
        length = headers.first(told, "content-length")
        size = (
            int(length) if length is not None and length.isascii() and length.isdigit() and len(length) < 16 else None
        )
        if (size or 0) > LONGEST_BODY:
            return None
        spans: tuple[tuple[int, int], ...] = ()
        if part is not None:
            (start, end), whole = part
            if size is not None and size != end - start:
                return None  # it says two things about itself: section 3.4 lets nobody build on that
            size, spans = whole, ((start, end),)
        secret = of_response(told, self._targets).names("private")
        return Stored(
            key=asked.key,
            status=answer.status,
            reason=answer.reason,
            fields=headers.without(
                told, secret | {"content-range" if part is not None else "content-length", "content-length"}
            ),
            requested=requested,
            received=received,
            size=0 if answer.status == 204 else size,
            spans=spans,
            vary=variants.selecting(told, asked.fields),
        )

    async def _receive(self, fill: Fill, answer: WebAnswer, kept: Stored, stored: Stored | None) -> None:
        """Write the body as it comes, and keep the response once all that was promised is there."""
        start, end = kept.spans[0] if kept.status == 206 else (0, kept.size)
        joins = (
            stored is not None
            and kept.status == 206
            and stored.size is not None
            and ranges.combinable(stored, answer.headers)
        )
        if joins and stored is not None:
            one, body = stored.id, self._kept.extend(stored, start)
        else:
            one, body = self._kept.create(start)
        whole = False
        try:
            fill.outcome.set_result(Coming(replace(kept, id=one), body))
            if end == start:
                whole = self._whole(fill, kept, stored if joins else None, one, body)
                return
            chunks = aiter(answer.body)
            while True:
                async with asyncio.timeout(PATIENCE):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    break
                if body.at + len(chunk) > (end if end is not None else LONGEST_BODY):
                    raise Refused("too-large", "the origin sent more than it said, or than is kept", 502)
                last = body.at + len(chunk) == end
                if last:  # it is kept before anybody can have read its end
                    body.write_silently(chunk)
                    whole = self._whole(fill, kept, stored if joins else None, one, body)
                    return
                body.write(chunk)
            if end is not None and body.at < end:
                raise Refused("truncated", "the origin sent less than it said", 502)
            whole = self._whole(fill, kept, stored if joins else None, one, body)
        except TimeoutError:
            body.end(Unreachable("the origin says nothing any more"))
        except HeadgateError as error:
            body.end(error)
        except OSError as error:
            body.end(Refused("cache-disk", f"the cache's disk does not take the answer: {error.strerror}", 503))
        finally:
            if not body.done:
                body.end(Unreachable("receiving it was broken off"))
            if not whole and not joins:
                self._kept.drop(one)

    def _whole(self, fill: Fill, kept: Stored, joined: Stored | None, one: str, body: Body) -> bool:
        """Keep what came; return whether its file counts from now on."""
        if kept.status == 206:
            spans = ranges.joined((*kept.spans, *(joined.spans if joined else ())))
            done = replace(kept, id=one, spans=spans)
            if done.complete:
                done = replace(done, status=200, reason="OK")
        else:
            done = adopted(kept, one, body.at)
        counts = not fill.incoming.spoiled and len(done.spans) <= ranges.MOST_SPANS
        if counts:
            self._kept.put(done)
        body.end()
        return counts


def bounded(fields: Sequence[tuple[str, str]]) -> None:
    """Check the size of an answer's head.

    Raises:
        Refused: it is too large.
    """
    if len(fields) > MOST_FIELDS or sum(len(name) + len(value) + 4 for name, value in fields) > LONGEST_HEAD:
        raise Refused("answer-head", "the origin's answer has more header fields than are taken", 502)


def _ours(request: WebRequest, stored: Stored) -> bool:
    """Return whether the request carried the conditions of what is stored, not those of the client."""
    own = validation.conditions(stored)
    return bool(own) and all(one in request.headers for one in own)


def _is_about(asked: Asked, fields: Fields) -> bool:
    """Return whether the answer to a POST says that it is what a GET of the same URI would bring (RFC 9110 section 9.3.3)."""
    location = headers.first(fields, "content-location")
    return location in (asked.target, f"http://{asked.key}")


def _fail(fill: Fill, error: HeadgateError) -> None:
    if not fill.outcome.done():
        fill.outcome.set_exception(error)


def _date(now: float) -> str:
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(now))
