"""The typed requests of one peer, judged and carried out: the exchange API of docs/architecture.md."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field, StringConstraints

from appliance.runtime import http
from appliance.runtime.errors import Corrupt, HeadgateError, Refused
from appliance.telemetry.records import MOST_IN_BATCH, Record
from gateway.exchange import answer, decide, metrics
from gateway.exchange.asks import Ask, Text, Via, parse
from gateway.exchange.decide import Peer, Refuse
from gateway.exchange.dropped import Dropped
from gateway.exchange.identifiers import Identifiers
from gateway.exchange.journal import Journal
from gateway.exchange.judge import Judge
from gateway.exchange.listings_api import ListingsApi
from gateway.exchange.objects import Fills
from gateway.exchange.pace import Pace
from gateway.exchange.registering import Registering
from gateway.exchange.releases import Held, Releases
from gateway.exchange.suspects import Suspects
from gateway.exchange.takes import Takes
from gateway.exchange.waiting import Waiting
from gateway.exchange.webs import Webs
from gateway.exchange.withdrawn import MOST, Withdrawals
from gateway.isolation.policy import Lane, Policy
from gateway.playlists.blocking import Wanted
from gateway.release import orders, paths
from gateway.resolver import codes
from gateway.store.keeper import Keeper

LONGEST = 32 << 10  # bytes of a request
MOST_NOTED = 100  # deliveries of one file in one record that the keeper hears of, one by one
OLDEST_TOLD = 10.0**8  # seconds; of what no origin has spoken about since the start
LONGEST_ORDERS = 4 << 20  # bytes of a request that brings orders


class AskRelease(Ask):
    """``POST /release``."""

    release: Text
    via: Via = Field(default_factory=list)  # the boxes that ask for it, of which share tells


class AskObject(Ask):
    """``POST /object``."""

    release: Text
    path: Text
    via: Via = Field(default_factory=list)


class Use(Ask):
    """That so many bytes of a file went to another box; ``hit``: it was in the store before it was asked for."""

    release: Text
    path: Text
    bytes: int = Field(ge=0, le=1 << 40)
    hit: bool


class AskUsed(Ask):
    """``POST /used``, of share: hints for what to keep."""

    uses: Annotated[list[Use], Field(max_length=200)]


class AskTake(Ask):
    """``POST /take``: a release that lies in the peer's drop folder, or one file of it."""

    release: Text
    path: Text | None = None


class AskLive(Ask):
    """``POST /live``: a file of a channel, by its path below ``live/``; of a playlist also what a player waits for."""

    release: Text
    path: Text
    msn: int | None = Field(None, ge=0, lt=1 << 50)
    part: int | None = Field(None, ge=0, lt=1 << 50)


class AskOrders(Ask):
    """``POST /order``: orders in their envelopes, the serial of the centre's last one where it told, and whether it can be asked."""

    envelopes: tuple[Annotated[str, StringConstraints(max_length=orders.LONGEST)], ...] = Field(
        (), max_length=MOST, strict=False
    )
    head: int | None = Field(None, ge=0)
    online: bool = True


class AskSerial(Ask):
    """``POST /serial``: waits while this process answers and this serial is the last one."""

    instance: str = Field("", max_length=64)
    serial: int = Field(-1, ge=-1)


class AskWithdrawn(Ask):
    """``POST /withdrawn``: what was carried out and how many responses were broken off for it; waits for more."""

    after: int = Field(-1, ge=-1)
    stopped: int = Field(0, ge=0)


class AskRecords(Ask):
    """``POST /records``: some at once, taken all or none."""

    records: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MOST_IN_BATCH)]


class AskLookup(Ask):
    """``POST /lookup``."""

    code: Text


class Exchange:
    """Everything that a request needs; ``policy`` is replaced when the guard enforces another one."""

    def __init__(
        self,
        policy: Policy,
        judge: Judge,
        releases: Releases,
        fills: Fills,
        keeper: Keeper,
        waiting: Waiting,
        suspects: Suspects,
        identifiers: Identifiers,
        journal: Journal,
        takes: Takes,
        drops: Path,
        withdrawals: Withdrawals,
        listings: ListingsApi,
        registering: Registering,
        webs: Webs,
    ) -> None:
        self.policy, self._judge, self._keeper, self._waiting = policy, judge, keeper, waiting
        self._suspects, self._takes, self._drops = suspects, takes, drops
        self._releases, self._fills, self._identifiers, self._journal = releases, fills, identifiers, journal
        self._withdrawals, self._listings, self._registering = withdrawals, listings, registering
        self._webs = webs
        self._pace = Pace()

    def application(self, peer: Peer) -> web.Application:
        """Return what answers on the socket of ``peer``."""
        app = http.application(LONGEST_ORDERS if peer == decide.ORDERS else LONGEST)

        def route(ask: str, handler: Any) -> None:
            async def counted(request: web.Request) -> web.StreamResponse:
                try:
                    response: web.StreamResponse = await handler(peer, await request.read(), request)
                except HeadgateError as error:
                    metrics.REQUESTS.labels(
                        peer.zone, ask, getattr(error, "reason", type(error).__name__.lower())
                    ).inc()
                    raise
                metrics.REQUESTS.labels(peer.zone, ask, "done").inc()
                return response

            app.router.add_post(f"/{ask}", counted)

        self._webs.serve(peer, app)

        for ask, handler in (self._listings.answers(peer) | self._registering.answers(peer)).items():
            route(ask, handler)
        if peer.run in decide.BRINGS:  # they bring, and are given nothing
            route("take", self._take)
            return app
        if peer == decide.ORDERS:
            route("order", self._order)
            route("serial", self._serial)
            return app
        route("withdrawn", self._withdrawn)
        route("release", self._release)
        route("object", self._object)
        if peer.run == decide.SHARE:
            route("used", self._used)
        else:
            route("live", self._live)
            route("damaged", self._damaged)
            route("lookup", self._lookup)
            route("record", self._record)
            route("records", self._records)
        return app

    async def _release(self, peer: Peer, data: bytes, _: web.Request) -> web.Response:
        ask = parse(AskRelease, data)
        held, _lane = await self._passing(peer, paths.code_of(ask.release), ask.via)
        if peer.run == decide.SHARE:  # it crosses nothing
            age = min(time.monotonic() - held.heard, OLDEST_TOLD)
            return web.json_response({**decide.told(held.admitted), "age": age})
        await self._journal.passed_manifest(peer, held.admitted.release)
        return web.json_response(decide.told(held.admitted))

    async def _object(self, peer: Peer, data: bytes, request: web.Request) -> web.StreamResponse:
        ask = parse(AskObject, data)
        code = paths.code_of(ask.release)
        held, lane = await self._passing(peer, code, ask.via)
        release, shares = held.admitted.release, peer.run == decide.SHARE
        allowed = await self._judge.may_pass(
            held.policy, held.admitted, peer.zone, ask.path, direction="boxes" if shares else "out"
        )
        if isinstance(allowed, Refuse):
            await self._journal.refused(allowed, peer, release=code, path=ask.path)
            raise allowed.error()
        file = release.files[ask.path]
        fill = await self._fills.start(held, ask.path, file, peer.zone, via=ask.via, application=allowed)
        if fill is not None:
            if not shares:
                await self._at_its_rate(lane, peer, release=code)
            await fill.begun()
        came = "store" if fill is None else "origin"
        if not shares:  # it crosses nothing
            await self._journal.passed(peer, release, ask.path, file, came)
        return await answer.stream(request, file, fill, came)

    async def _damaged(self, peer: Peer, data: bytes, _: web.Request) -> web.Response:
        """Have an object read again that the peer could not read whole; only what it may have, and only if it is damaged it goes."""
        ask = parse(AskObject, data)
        held, _lane = await self._passing(peer, paths.code_of(ask.release))
        file = held.admitted.release.files.get(ask.path)
        if file is None:
            raise Refused("unknown-path", "the release has no such file", 404)
        self._suspects.tell(file.sha256)
        return web.Response(status=204)

    async def _take(self, peer: Peer, data: bytes, _: web.Request) -> web.Response:
        ask = parse(AskTake, data)
        code = paths.code_of(ask.release)
        drop = Dropped(self._drops / peer.name)
        if ask.path is None:
            return web.json_response(await self._takes.offer(self.policy, peer, drop, code))
        file = await self._takes.take(self.policy, peer, drop, code, ask.path)
        return web.json_response({"sha256": file.sha256, "size": file.size})

    async def _live(self, peer: Peer, data: bytes, _: web.Request) -> web.Response:
        ask = parse(AskLive, data)
        code = paths.code_of(ask.release)
        held, lane = await self._passing(peer, code)
        release = held.admitted.release
        live = decide.pass_live(release, ask.path)
        if isinstance(live, Refuse):
            await self._journal.refused(live, peer, release=code, path=ask.path)
            raise live.error()
        await self._at_its_rate(lane, peer, release=code)
        found = await self._waiting.get(held, live, ask.path, None if ask.msn is None else Wanted(ask.msn, ask.part))
        file = decide.live_file(lane, ask.path, found.entry.claim)
        if isinstance(file, Refuse):
            await self._journal.refused(file, peer, release=code, path=ask.path)
            raise file.error()
        await self._journal.passed(peer, release, f"live/{ask.path}", file, found.came)
        return web.json_response({**decide.file_told(file), "from": found.came, "fresh": round(found.fresh, 3)})

    async def _order(self, peer: Peer, data: bytes, _: web.Request) -> web.Response:
        ask = parse(AskOrders, data)
        await self._withdrawals.hear(head=ask.head, online=ask.online)  # what it does not have yet holds releases back
        keys = self.policy.orders.keys if self.policy.orders else {}
        outcome = await self._withdrawals.take([text.encode() for text in ask.envelopes], keys)
        await self._withdrawals.hear(head=ask.head, online=ask.online)
        return web.json_response(outcome.told())

    async def _serial(self, peer: Peer, data: bytes, _: web.Request) -> web.Response:
        ask = parse(AskSerial, data)
        instance, serial = await self._withdrawals.next_start(ask.instance, ask.serial)
        return web.json_response({"instance": instance, "serial": serial})

    async def _withdrawn(self, peer: Peer, data: bytes, _: web.Request) -> web.Response:
        ask = parse(AskWithdrawn, data)
        serial, codes, tokens = await self._withdrawals.follow(peer, ask.after, ask.stopped)
        told = None if tokens is None else [one.model_dump() for one in tokens]
        return web.json_response({"serial": serial, "releases": codes, "tokens": told})

    async def _lookup(self, peer: Peer, data: bytes, _: web.Request) -> web.Response:
        ask = parse(AskLookup, data)
        code = codes.parse(ask.code)
        lane = decide.lane_into(self.policy, peer.zone, "identifier")
        if isinstance(lane, Refuse):
            await self._journal.refused(lane, peer, object="identifiers")
            raise lane.error()
        await self._at_its_rate(lane, peer, object="identifiers")
        return web.json_response(await self._identifiers.look_up(self.policy, code.canonical))

    async def _record(self, peer: Peer, data: bytes, _: web.Request) -> web.Response:
        return await self._take_records(peer, [data])

    async def _records(self, peer: Peer, data: bytes, _: web.Request) -> web.Response:
        return await self._take_records(peer, parse(AskRecords, data).records)

    async def _take_records(self, peer: Peer, told: Sequence[bytes | dict[str, Any]]) -> web.Response:
        try:
            records = [Record.parse(one) if isinstance(one, bytes) else Record.of(one) for one in told]
        except Corrupt as error:
            raise Refused("bad-request", str(error), 400) from error
        lane = decide.lane_out_of(self.policy, peer.zone, "record")
        refusals = [decide.may_tell(peer, record) for record in records]
        refusal = next(filter(None, refusals), None) or (lane if isinstance(lane, Refuse) else None)
        if refusal is not None:
            await self._journal.refused(refusal, peer, object="record")
            raise refusal.error()
        if isinstance(lane, Lane):
            await self._at_its_rate(lane, peer, object="record")
        await self._journal.append_all(records)
        for record in records:
            if record.kind == "usage":
                self._note_usage(record.body)
        return web.Response(status=204)

    def _note_usage(self, body: Mapping[str, Any]) -> None:
        code, hit = str(body.get("release")), body.get("cache") == "hit"
        files = body.get("files")
        if not isinstance(files, dict):  # one delivery, as told by delivery before it aggregated
            self._note_use(code, str(body.get("path")), body.get("bytes"), hit=hit)
            return
        for path, figures in files.items():
            match figures:
                case [int(requests), int(sent)] if requests > 0:
                    for _ in range(min(requests, MOST_NOTED)):
                        self._note_use(code, path, sent // requests, hit=hit)

    async def _used(self, peer: Peer, data: bytes, _: web.Request) -> web.Response:
        for use in parse(AskUsed, data).uses:
            self._note_use(use.release, use.path, use.bytes, hit=use.hit)
        return web.Response(status=204)

    def _note_use(self, code: str, path: str, sent: object, *, hit: bool) -> None:
        """Tell the keeper what was delivered; a release that is not in memory any more is not worth being read again for that."""
        held = self._releases.peek(code)
        file = held.admitted.release.files.get(path) if held else None
        if held and file and isinstance(sent, int) and sent > 0:
            self._keeper.used(file.sha256, file.size, min(sent, file.size), held.admitted.release.code, hit=hit)

    async def _at_its_rate(self, lane: Lane, peer: Peer, **what: str) -> None:
        refusal = self._pace.take(lane, time.monotonic())
        if refusal is not None:
            await self._journal.refused(refusal, peer, **what)
            raise refusal.error()

    async def _passing(self, peer: Peer, code: str, via: Sequence[str] = ()) -> tuple[Held, Lane]:
        """Return the verified release and the lane that lets it into the peer's zone; a refusal is recorded."""
        policy = self.policy
        await self._withdrawals.settled(ordered=policy.orders is not None)
        # Before any origin hears of the question.
        lane = decide.in_catalogue(policy, peer.zone, code) or decide.may_ask(policy, peer)
        if isinstance(lane, Lane):
            try:
                held = await self._releases.get(policy, code, via)
            except Refused as error:
                await self._journal.refused(Refuse.of(error), peer, release=code)
                raise
            shares = peer.run == decide.SHARE
            allowed = await self._judge.may_pass(
                policy, held.admitted, peer.zone, direction="boxes" if shares else "out"
            )
            lane = allowed if isinstance(allowed, Refuse) else lane
        if isinstance(lane, Refuse):
            await self._journal.refused(lane, peer, release=code)
            raise lane.error()
        return held, lane
