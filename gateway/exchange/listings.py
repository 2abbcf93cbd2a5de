"""Listings that bodies hand in with their releases: shown to the admission filter, and told to the centre until it names them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from appliance.runtime.errors import Corrupt, Refused
from gateway.exchange.decide import Peer, Refuse
from gateway.exchange.judge import Judge
from gateway.isolation.policy import Policy
from gateway.release import important, signed
from gateway.release.manifest import Release
from gateway.release.trust import bundle, layout

WAIT = 20.0  # seconds that telemetry waits for news
MOST_REFUSED = 256  # files that the centre did not take, in mind

log = logging.getLogger("headgate.exchange")


class Listings:
    """What waits is the filter's to keep; here is who is told, and what the centre said."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._refused: OrderedDict[tuple[str, str], Refused] = OrderedDict()  # by file and digest
        self._moved = asyncio.Event()
        self._count = 0

    def may_leave(self, policy: Policy, peer: Peer, envelope: bytes) -> Release | Refuse:
        """Return the release in ``envelope`` by its own word, or why not even its listing leaves the peer's zone: it is important data."""
        try:
            release = signed.claimed(envelope)
        except Corrupt as error:
            return Refuse("not-signed", f"this is no signed release: {error}")
        lanes = policy.lanes_of("release", source=peer.zone)
        told = [important.by_release(policy.important, release, lane.target) for lane in lanes]
        return Refuse(important.REASON, str(told[0])) if told and all(told) else release

    async def hand_in(self, policy: Policy, release: Release, listing: bytes) -> None:
        """Have the filter keep what the body signed; handing it in again changes nothing.

        Raises:
            Refused: it does not, or the centre did not take it before.
            Unreachable: nobody who has trust metadata answers.
        """
        for name, data in bundle.parse(listing, release.body).items():
            if known := self._refused.get((name.file, hashlib.sha256(data).hexdigest())):
                raise Refused(known.reason, f"the centre does not take it: {known}")
        new = await self._judge.hand_in(policy, release.body, listing)
        if new:
            log.info("%s was handed in with %s, and waits for the centre", ", ".join(new), release.identifier)
            self._tell()

    async def base(self, policy: Policy, body: str, code: str) -> dict[str, Any]:
        """Return what ``body`` signs the listing of ``code`` over.

        Raises:
            Refused: it is not admitted, or there is no metadata to trust.
            Unreachable: nobody who has trust metadata answers.
        """
        return await self._judge.base(policy, body, code)

    async def news(self, policy: Callable[[], Policy], after: int) -> tuple[int, list[str]]:
        """Return a number and the files that wait for the centre, once the number is not ``after``, or after a while."""
        if after == self._count:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), WAIT)
        return self._count, await self._judge.waiting(policy())

    async def give(self, policy: Policy, file: str) -> bytes:
        """Return a file that waits.

        Raises:
            Refused: it does not wait any more (``unknown-path``).
        """
        return await self._judge.waiting_file(policy, layout.parse(file))

    async def not_taken(self, policy: Policy, file: str, refused: Refused) -> None:
        """Let a file go that the centre refused; its body is told when the release is offered again.

        Raises:
            Refused: it does not wait any more (``unknown-path``).
        """
        name = layout.parse(file)
        data = await self._judge.waiting_file(policy, name)
        self._refused[name.file, hashlib.sha256(data).hexdigest()] = refused
        while len(self._refused) > MOST_REFUSED:
            self._refused.popitem(last=False)
        log.error("the centre does not take %s: %s (%s)", name.file, refused, refused.reason)
        await self._judge.waiting(policy, drop=name.file)
        self._tell()

    def _tell(self) -> None:
        self._count += 1
        self._moved.set()
        self._moved = asyncio.Event()
