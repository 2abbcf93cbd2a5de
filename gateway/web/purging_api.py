"""The asks ``purge`` of root and ``purges`` of delivery."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated

from aiohttp import web
from pydantic import Field

from gateway.exchange import decide, metrics
from gateway.exchange.asks import Ask, parse
from gateway.exchange.decide import Peer
from gateway.exchange.journal import Journal
from gateway.isolation.policy import Policy
from gateway.release.orders import Order
from gateway.web.purging import MOST_KEPT, Done, Gone, Purge, Purges


class AskPurges(Ask):
    """``POST /purges``: which start of the exchange the peer knows, what it carried out last, and how; waits for more."""

    instance: str = Field("", max_length=64)
    after: int = Field(0, ge=0)
    done: Annotated[list[Done], Field(max_length=MOST_KEPT)] = Field(default_factory=list)


class PurgingApi:
    """Answers both."""

    def __init__(self, policy: Callable[[], Policy], purges: Purges, journal: Journal) -> None:
        self._policy, self._purges, self._journal = policy, purges, journal

    async def purge(self, request: web.Request) -> web.StreamResponse:
        """Have every delivery carry a purge out: a line of JSON for each that confirmed, and one at the end."""
        purge = parse(Purge, await request.read())
        peers = self._peers()
        began = time.monotonic()
        response = web.StreamResponse()
        response.content_type = "application/x-ndjson"
        await response.prepare(request)
        confirmed = []
        async for one in self._purges.give(purge, peers):
            confirmed.append(one)
            await response.write(_line({**asdict(one), "seconds": round(one.seconds, 4)}))
        seconds = time.monotonic() - began
        told = {**asdict(Gone.of(peers, confirmed)), "seconds": round(seconds, 4)}
        metrics.PURGES.labels("box").inc()
        metrics.PURGE_SECONDS.observe(seconds)
        await self._journal.purged({"purge": purge.what[:1000], "soft": purge.soft, **told})
        await response.write(_line({**told, "done": True}))
        await response.write_eof()
        return response

    async def order(self, order: Order) -> Gone:
        """Have every delivery carry out a purge that came as an order; one that is away holds all stale when it returns."""
        kind, name = order.what.target
        purge = Purge.model_validate(
            {"tags" if kind == "tag" else kind: [name] if kind == "tag" else name, "soft": bool(order.soft)}
        )
        began, peers = time.monotonic(), self._peers()
        gone = Gone.of(peers, [one async for one in self._purges.give(purge, peers)])
        metrics.PURGES.labels("order").inc()
        metrics.PURGE_SECONDS.observe(time.monotonic() - began)
        return gone

    def _peers(self) -> frozenset[str]:
        return frozenset(peer.name for peer in decide.peers(self._policy()) if peer.run == "delivery")

    async def follow(self, peer: Peer, request: web.Request) -> web.StreamResponse:
        """Tell a delivery what to forget."""
        ask = parse(AskPurges, await request.read())
        found = await self._purges.follow(peer.name, ask.instance, ask.after, ask.done)
        told = [{"serial": serial, **purge.model_dump()} for serial, purge in found or []]
        missed = found is None
        return web.json_response(
            {"instance": self._purges.instance, "serial": self._purges.serial, "missed": missed, "purges": told}
        )


def _line(told: dict[str, object]) -> bytes:
    return json.dumps(told).encode() + b"\n"
