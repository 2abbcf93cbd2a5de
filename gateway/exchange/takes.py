"""Releases that come in: from a drop folder through the same judgement into the store as what origins have."""

from __future__ import annotations

import asyncio
import functools
import time
from collections import OrderedDict
from datetime import UTC, datetime

from appliance.runtime.errors import Refused
from gateway.exchange import decide
from gateway.exchange.decide import Peer, Refuse
from gateway.exchange.dropped import Dropped
from gateway.exchange.journal import Journal
from gateway.exchange.judge import Judge
from gateway.exchange.listings import Listings
from gateway.exchange.objects import Fills
from gateway.exchange.pace import Pace
from gateway.exchange.releases import Held, Releases
from gateway.isolation.policy import Lane, Policy
from gateway.release.manifest import File, Release
from gateway.release.trust.reasons import UNLISTED
from gateway.store.keeper import Keeper

MOST_HELD = 16  # releases on their way in whose manifests are kept in mind; the others are verified again


class Takes:
    """Takes releases in, for the peers that write drop folders."""

    def __init__(
        self, judge: Judge, releases: Releases, fills: Fills, keeper: Keeper, journal: Journal, listings: Listings
    ) -> None:
        self._listings = listings
        self._judge, self._releases, self._fills, self._keeper, self._journal = judge, releases, fills, keeper, journal
        self._pace = Pace()
        self._held: OrderedDict[tuple[Peer, str], tuple[Held, bytes, tuple[Lane, ...]]] = OrderedDict()

    async def offer(self, policy: Policy, peer: Peer, drop: Dropped, code: str) -> dict[str, object]:
        """Judge the release that lies in ``drop``; return what is missing of it, and take it in where nothing is.

        Raises:
            Refused: it may not come in.
        """
        held, envelope, lanes = await self._verified(policy, peer, drop, code)
        release = held.admitted.release
        widest = max(lane.largest for lane in lanes)
        for path, file in release.files.items():
            if file.size > widest:
                told = f"'{path}' has {file.size} bytes; the lane lets objects of {widest} bytes pass"
                raise await self._refused(Refuse("too-large", told), peer, release=code, path=path)
        allowed = await self._allowed(policy, peer, held, None)
        missing = await self._missing(release, application=allowed)
        if not missing:
            await asyncio.to_thread(self._keeper.bring, release, peer.zone)  # first: what stays must not go meanwhile
            await self._releases.take_in(held, envelope, peer)
            self._held.pop((peer, code), None)
        return {"release": code, "version": release.version, "missing": missing}

    async def take(self, policy: Policy, peer: Peer, drop: Dropped, code: str, path: str) -> File:
        """Take one file of a release out of ``drop``: verified and in the store when this returns.

        Raises:
            Refused: it may not come in, or is not what its manifest says.
        """
        known = self._held.get((peer, code))
        if known is None or known[0].policy is not policy:
            known = await self._verified(policy, peer, drop, code)
        held, _, lanes = known
        lane = max(lanes, key=lambda lane: lane.largest)
        file = decide.pass_object(lane, held.admitted.release, path)
        if isinstance(file, Refuse):
            raise await self._refused(file, peer, release=code, path=path)
        allowed = await self._allowed(policy, peer, held, path)
        if not await self._fills.has(path, file, application=allowed):
            if slow := self._pace.take(lane, time.monotonic()):
                raise await self._refused(slow, peer, release=code, path=path)
            source = functools.partial(drop.part, code, file.sha256, file.size)
            await self._fills.take_in(held, path, file, source, peer, application=allowed)
        return file

    async def _verified(
        self, policy: Policy, peer: Peer, drop: Dropped, code: str
    ) -> tuple[Held, bytes, tuple[Lane, ...]]:
        if first := decide.lanes_out_of(policy, peer.zone, code):
            raise await self._refused(first, peer, release=code)
        envelope = await asyncio.to_thread(drop.envelope, code)
        try:
            held = await self._judged(policy, peer, drop, code, envelope)
        except Refused as error:
            await self._journal.refused(Refuse.of(error), peer, release=code)
            raise
        lanes = decide.pass_out_of(policy, peer.zone, held.admitted.release, datetime.now(UTC))
        if isinstance(lanes, Refuse):
            raise await self._refused(lanes, peer, release=code)
        self._held[peer, code] = (held, envelope, lanes)
        self._held.move_to_end((peer, code))
        while len(self._held) > MOST_HELD:
            self._held.popitem(last=False)
        return held, envelope, lanes

    async def _judged(self, policy: Policy, peer: Peer, drop: Dropped, code: str, envelope: bytes) -> Held:
        """Judge the release; where its body does not list it yet, what the body signed beside it is handed in for the centre to name."""
        try:
            return await self._releases.judge(policy, code, envelope)
        except Refused as error:
            if error.reason not in UNLISTED:
                raise
            listing = await asyncio.to_thread(drop.listing, code)
            if listing is None:
                raise
        release = self._listings.may_leave(policy, peer, envelope)
        if isinstance(release, Refuse):
            raise release.error()
        await self._listings.hand_in(policy, release, listing)
        return await self._releases.judge(policy, code, envelope)

    async def _allowed(self, policy: Policy, peer: Peer, held: Held, path: str | None) -> bool:
        """Return whether the release may bring what runs; the filter decides, and what is judged here besides can only refuse."""
        allowed = await self._judge.may_pass(policy, held.admitted, peer.zone, path, direction="in")
        if isinstance(allowed, Refuse):
            told = {"path": path} if path is not None else {}
            raise await self._refused(allowed, peer, release=held.admitted.release.code, **told)
        return allowed

    async def _refused(self, refusal: Refuse, peer: Peer, **what: str) -> Refused:
        await self._journal.refused(refusal, peer, **what)
        return refusal.error()

    async def _missing(self, release: Release, *, application: bool) -> list[str]:
        """Return the paths whose objects are not in the store as what they are here, one for each object."""
        first = {(file.sha256, file.type): (path, file) for path, file in reversed(release.files.items())}
        return [path for path, file in first.values() if not await self._fills.has(path, file, application=application)]
