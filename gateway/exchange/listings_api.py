"""The exchange's answers about trust metadata: to who brings releases in, to other boxes, and to telemetry on the centre's behalf."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field, StringConstraints

from appliance.runtime.errors import Refused
from gateway.exchange import decide
from gateway.exchange.asks import Ask, Text, Via, parse
from gateway.exchange.decide import Peer
from gateway.exchange.listings import Listings
from gateway.exchange.metadata import Metadata
from gateway.isolation.policy import Policy
from gateway.release import paths
from gateway.release.trust import layout

Handler = Callable[[Peer, bytes, web.Request], Awaitable[web.StreamResponse]]
Reason = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z-]{0,63}$")]


class AskBase(Ask):
    """``POST /listing``, of who brings releases in: what ``body`` signs the listing of ``release`` over."""

    release: Text
    body: Text


class AskFile(Ask):
    """``POST /trust``, of share: a verified file of trust metadata."""

    file: Text
    via: Via = Field(default_factory=list)


class AskListings(Ask):
    """``POST /listings``, of telemetry: what waits for the centre; waits for more than the number ``after``."""

    after: int = Field(-1, ge=-1)


class AskWaiting(Ask):
    """``POST /listing``, of telemetry: a file that waits, or why the centre does not take it."""

    file: Text
    reason: Reason | None = None
    error: Text | None = None


class ListingsApi:
    """``policy`` gives the one in force."""

    def __init__(self, policy: Callable[[], Policy], listings: Listings, metadata: Metadata) -> None:
        self._policy, self._listings, self._metadata = policy, listings, metadata

    def answers(self, peer: Peer) -> dict[str, Handler]:
        """Return what ``peer`` may ask, with who answers."""
        if peer.run in decide.BRINGS:
            return {"listing": self._base}
        if peer == decide.ORDERS:
            return {"listings": self._waiting, "listing": self._told}
        return {"trust": self._file} if peer.run == decide.SHARE else {}

    async def _base(self, peer: Peer, data: bytes, _: web.Request) -> web.Response:
        ask, policy = parse(AskBase, data), self._policy()
        code = paths.code_of(ask.release)
        if refusal := decide.lanes_out_of(policy, peer.zone, code):
            raise refusal.error()
        return web.json_response(await self._listings.base(policy, ask.body, code))

    async def _file(self, peer: Peer, data: bytes, _: web.Request) -> web.Response:
        ask = parse(AskFile, data)
        policy = self._policy()
        if policy.trust is None:
            raise Refused("unknown-path", "the policy of this box has no 'trust:'", 404)
        given = await self._metadata.give(policy, layout.parse(ask.file), ask.via)
        return web.json_response({"data": given.decode()})

    async def _waiting(self, peer: Peer, data: bytes, _: web.Request) -> web.Response:
        number, files = await self._listings.news(self._policy, parse(AskListings, data).after)
        return web.json_response({"number": number, "files": files})

    async def _told(self, peer: Peer, data: bytes, _: web.Request) -> web.Response:
        ask: Any = parse(AskWaiting, data)
        if ask.reason is None:
            given = await self._listings.give(self._policy(), ask.file)
            return web.json_response({"data": given.decode()})
        await self._listings.not_taken(self._policy(), ask.file, Refused(ask.reason, ask.error or ask.reason))
        return web.Response(status=204)
