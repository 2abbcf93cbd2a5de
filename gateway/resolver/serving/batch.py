"""``POST /batch``: up to 10,000 codes at once, answered as JSON lines while they are found."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime

from aiohttp import web

from appliance.runtime.errors import Corrupt, Refused
from gateway.resolver.answer.as_batch import CHUNK, LARGEST, Count, damaged, lines, parse_batch
from gateway.resolver.serving.resolver import Resolver

LINES = "application/x-ndjson"
KINDS = ("application/json", "text/plain")
AT_ONCE = 4  # batches that are answered at the same time; the others wait their turn
PATIENCE = 10.0  # seconds they wait


class Batches:
    """The batches of one zone's resolver."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def post(self, request: web.Request) -> web.StreamResponse:
        """Answer ``POST /batch``.

        Raises:
            Refused: ``bad-request``, ``too-large``, or ``busy`` where too many batches are under way.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                await self._turns.acquire()
        except TimeoutError as error:
            self._counted("busy")
            raise Refused("busy", "too many batches are under way: try again", 503) from error
        try:
            return await self._answer(request)
        finally:
            self._turns.release()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        asked = await self._asked(request)
        finder = self._resolver.finder
        finder.renew()
        source, now = finder.source(), datetime.now(UTC)
        headers = {"Content-Type": LINES, "Cache-Control": "no-store"}
        if source is not None:
            headers["Headgate-Table"] = source.label
            if source.stale(now):
                headers["Headgate-Stale"] = "true"
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        counted: Count = Counter()
        for start in range(0, len(asked), CHUNK):
            part = asked[start : start + CHUNK]
            try:
                told = lines(part, finder.many, source, self._resolver.here, now, counted)
            except Corrupt as error:  # the answer has begun: the lines themselves must tell it
                told = damaged(part, error, counted)
            await response.write(told)
            await asyncio.sleep(0)  # single questions have their turn
        await response.write_eof()
        for (scheme, outcome), count in counted.items():
            self._resolver.numbers.answered(scheme, outcome, count)
        self._counted("answered")
        return response

    async def _asked(self, request: web.Request) -> list[bytes]:
        if request.content_type not in KINDS:
            self._counted("bad-request")
            raise Refused("bad-request", f"a batch is {' or '.join(KINDS)}", 415)
        try:
            return parse_batch(await request.read(), request.content_type)
        except web.HTTPRequestEntityTooLarge as error:
            self._counted("too-large")
            raise Refused("too-large", f"a batch has at most {LARGEST} bytes", 413) from error
        except (ValueError, RecursionError) as error:
            self._counted("bad-request")
            raise Refused("bad-request", str(error), 400) from error

    def _counted(self, result: str) -> None:
        self._resolver.numbers.batches.labels(self._resolver.zone, result).inc()
