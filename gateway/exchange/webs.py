"""The ask ``web`` of delivery: a plain HTTP request read as a typed one, judged by lane, made anew, and its answer likewise."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from aiohttp import web

from appliance.runtime.errors import HeadgateError, Refused, Unreachable
from gateway.exchange import decide, metrics
from gateway.exchange.decide import Peer, Refuse
from gateway.exchange.journal import Journal
from gateway.exchange.pace import Pace
from gateway.isolation.policy import Policy
from gateway.web import fields, judge
from gateway.web.judge import Passing
from gateway.web.purging import Purges
from gateway.web.purging_api import PurgingApi
from gateway.web.wire import Fields, Telling, Web, WebAnswer, WebRequest, read_request

BODILESS = (204, 304)
AT_ONCE = (
    128  # answers of one origin under way; who asks it besides waits, and a slow one does not take the others' place
)


class Webs:
    """The way to the web origins, through fetch, and the purges of what is kept of them."""

    def __init__(self, policy: Callable[[], Policy], way: Web, journal: Journal, purges: Purges) -> None:
        self._policy, self._way, self._journal = policy, way, journal
        self._pace = Pace()
        self._turns: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(AT_ONCE))
        self.purging = PurgingApi(policy, purges, journal)

    def serve(self, peer: Peer, app: web.Application) -> None:
        """Let ``app``, on the socket of ``peer``, answer what the peer may ask of this."""
        if peer == decide.PURGES:
            app.router.add_post("/purge", self.purging.purge)
        if peer.run == "delivery":

            async def answer(request: web.Request) -> web.StreamResponse:
                return await self._web(peer, request)

            async def follow(request: web.Request) -> web.StreamResponse:
                return await self.purging.follow(peer, request)

            app.router.add_post("/web", answer)
            app.router.add_post("/purges", follow)

    async def _web(self, peer: Peer, request: web.Request) -> web.StreamResponse:
        telling = Telling(request)
        try:
            response = await self._pass(peer, await read_request(request), telling)
        except HeadgateError as error:
            reason = getattr(error, "reason", type(error).__name__.lower())
            metrics.REQUESTS.labels(peer.zone, "web", reason).inc()
            return await telling.failed(error)
        metrics.REQUESTS.labels(peer.zone, "web", "done").inc()
        return response

    async def _pass(self, peer: Peer, asked: WebRequest, telling: Telling) -> web.StreamResponse:
        passing = judge.request(self._policy(), peer.zone, asked.host, asked.method, asked.length)
        if isinstance(passing, Refuse):
            await self._refuse(passing, peer, asked)
            raise passing.error()
        async with self._turns[passing.name]:
            return await self._pass_on(peer, asked, passing, telling)

    async def _pass_on(self, peer: Peer, asked: WebRequest, passing: Passing, telling: Telling) -> web.StreamResponse:
        telling.check()
        if (fast := self._pace.take(passing.lane, time.monotonic())) is not None:
            await self._refuse(fast, peer, asked)
            raise fast.error()
        await self._journal.passed_web(peer, passing.name, asked.host, asked.method)
        made = replace(asked, headers=fields.of_request(passing.origin, asked.headers))
        if not isinstance(made.body, bytes):
            made.body = self._inward(peer, passing, made.body)

        async def interim(status: int, headers: Fields) -> None:
            await telling.interim(status, self._of_answer(passing, headers))

        async with self._way.ask(made, interim) as answer:
            bodied = asked.method != "HEAD" and answer.status not in BODILESS
            refusal = judge.answer(passing, answer.status, answer.headers, bodied=bodied)
            if refusal is not None:
                await self._refuse(refusal, peer, asked)
                raise refusal.error()
            metrics.WEB.labels(peer.zone, passing.name, f"{answer.status // 100}xx").inc()
            shown = self._of_answer(passing, answer.headers)
            return await telling.answer(
                WebAnswer(answer.status, answer.reason, shown, [], self._outward(peer, passing, asked, answer.body))
            )

    def _of_answer(self, passing: Passing, headers: Fields) -> Fields:
        return fields.of_answer(passing.origin, headers, sniffed=passing.lane.active)

    async def _inward(self, peer: Peer, passing: Passing, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the request's body, as far as the policy lets it pass; a longer one breaks off, and the origin never takes it for whole."""
        size = 0
        async for chunk in body:
            size += len(chunk)
            if size > passing.origin.request:
                raise Refused("too-large", f"a request's body may have {passing.origin.request} bytes", 413)
            metrics.WEB_BYTES.labels(peer.zone, passing.name, "in").inc(len(chunk))
            yield chunk

    async def _outward(
        self, peer: Peer, passing: Passing, asked: WebRequest, body: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        size = 0
        try:
            async for chunk in body:
                size += len(chunk)
                if size > passing.largest:
                    refusal = Refuse("too-large", f"the answer is longer than {passing.largest} bytes")
                    await self._refuse(refusal, peer, asked)
                    raise refusal.error()
                metrics.WEB_BYTES.labels(peer.zone, passing.name, "out").inc(len(chunk))
                yield chunk
        except Unreachable:
            metrics.WEB_TRUNCATED.labels(peer.zone, passing.name).inc()
            raise

    async def _refuse(self, refusal: Refuse, peer: Peer, asked: WebRequest) -> None:
        await self._journal.refused(refusal, peer, object="web", host=asked.host[:100], method=asked.method)
