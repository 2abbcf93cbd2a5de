"""Objects on their way from an origin into the store: digested while they come, visible once they are verified and durable."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import BinaryIO

from appliance.runtime.errors import Corrupt, Refused, Unreachable
from appliance.runtime.once import Once
from gateway.exchange import metrics
from gateway.exchange.decide import Peer, Refuse
from gateway.exchange.journal import Journal
from gateway.exchange.origin import CHUNK, MOST_WRONG, Origins
from gateway.exchange.releases import Held
from gateway.release.manifest import File, Release
from gateway.store import metrics as kept
from gateway.store.keeper import Keeper, Room
from gateway.store.objects import Objects
from gateway.store.scrub import Pace

AT_ONCE = 16  # fills under way
MOST_BROKEN = 4  # answers that broke off before an object is given up
OURS = ("store-full", "store-broken")  # no other origin would help
WAITING = 512  # objects that wait for their turn


class Fills:
    """Fills the store, one origin request for an object however many wait for it."""

    def __init__(
        self, tasks: asyncio.TaskGroup, origins: Origins, store: Objects, keeper: Keeper, journal: Journal
    ) -> None:
        self._origins, self._store, self._keeper, self._journal = origins, store, keeper, journal
        self._paces: dict[str, Pace] = {}  # of objects that are fetched ahead, as slowly as the plan says
        self._once: Once[str, None] = Once(tasks, at_once=AT_ONCE, waiting=WAITING)
        metrics.FILLING.set_function(lambda: len(self._once))

    async def make_present(
        self, held: Held, path: str, file: File, zone: str, *, via: Sequence[str] = (), pace: Pace | None = None
    ) -> str:
        """Return ``store`` where the object was there already, ``origin`` once it was fetched, verified and stored for ``zone``.

        ``via`` are the boxes that ask for it. With a ``pace`` it comes as slowly, until a screen asks for the same.

        Raises:
            Refused: what parents and origins have is not the object (``digest-mismatch``), or the disk is full (``store-full``).
            Unreachable: they are away.
        """
        if self._store.has(file.sha256, file.size):
            return "store"
        if pace is None:
            self._paces.pop(file.sha256, None)
        elif file.sha256 not in self._once:
            self._paces[file.sha256] = pace
        try:
            await self._once.do(file.sha256, lambda: self._fill(held, path, file, zone, via))
        finally:
            if pace is not None:
                self._paces.pop(file.sha256, None)
        return "origin"

    async def _fill(self, held: Held, path: str, file: File, zone: str, via: Sequence[str]) -> None:
        release = held.admitted.release
        try:
            room = await asyncio.to_thread(self._keeper.room_for, file.size, release.body, zone)
        except Refused as error:
            metrics.FILLS.labels(error.reason).inc()
            await self._journal.refused(Refuse(error.reason, str(error)), None, release=release.code, path=path)
            raise
        with room:
            await self._ask(held, path, file, room, via)
            await asyncio.to_thread(self._keeper.added, file.sha256, file.size, release.body, zone, release.code)

    async def _ask(self, held: Held, path: str, file: File, room: Room, via: Sequence[str]) -> None:
        """Ask whoever is best, and others where that one has not what the manifest says."""
        began = time.monotonic()
        code = held.admitted.release.code
        wrong: list[str] = []
        broken = 0
        refusal: Refuse | None = None
        while True:
            origin: list[str] = []
            try:
                await self._take(f"/releases/{code}/{path}", file, room, wrong, via, origin)
            except Unreachable:
                metrics.FILLS.labels("unreachable").inc()
                broken += 1
                if origin and broken < MOST_BROKEN:  # it broke off in the middle, and rests: somebody else is asked now
                    continue
                if refusal is None:
                    raise
            except (Corrupt, Refused) as error:
                refusal = _refusal(error, path, origin[0] if origin else "")
                metrics.FILLS.labels(refusal.reason).inc()
                await self._journal.refused(
                    refusal, None, release=code, path=path, **({"origin": origin[0]} if origin else {})
                )
                if origin and refusal.reason == "digest-mismatch" and len(wrong) < MOST_WRONG:
                    wrong += origin  # somebody else may have the right bytes
                    continue
            else:
                metrics.FILLS.labels("stored").inc()
                metrics.FILLED.inc(file.size)
                metrics.SECONDS.observe(time.monotonic() - began)
                return
            raise refusal.error()

    async def take_in(
        self, release: Release, path: str, file: File, source: Callable[[], BinaryIO], peer: Peer
    ) -> None:
        """Put an object that a peer brings into the store, by the same verification as one that an origin has.

        Raises:
            Refused: it is not the object (``digest-mismatch``), or the disk is full (``store-full``); or as ``source`` raised it.
        """

        async def fill() -> None:
            try:
                with await asyncio.to_thread(self._keeper.room_for, file.size, release.body, peer.zone) as room:
                    await self._copy(file, source, room)
                    told = (file.sha256, file.size, release.body, peer.zone, release.code)
                    await asyncio.to_thread(self._keeper.added, *told)
            except (Corrupt, Refused) as error:
                refusal = _refusal(error, path, peer.name)
                metrics.FILLS.labels(refusal.reason).inc()
                await self._journal.refused(refusal, peer, release=release.code, path=path)
                raise refusal.error() from error
            metrics.FILLS.labels("stored").inc()
            metrics.FILLED.inc(file.size)

        await self._once.do(file.sha256, fill)

    async def _copy(self, file: File, source: Callable[[], BinaryIO], room: Room) -> None:
        with await asyncio.to_thread(source) as data, self._store.write(file.sha256, file.size) as writer:
            while chunk := await asyncio.to_thread(data.read, CHUNK):
                await asyncio.to_thread(writer.write, chunk)
                room.took(len(chunk))
            await asyncio.to_thread(writer.finish)

    async def _take(
        self, path: str, file: File, room: Room, wrong: Sequence[str], via: Sequence[str], origin: list[str]
    ) -> None:
        """Fetch the object into the store; where the disk gets full in the middle, others go and it is tried once more."""
        try:
            await self._receive(path, file, room, wrong, via, origin)
        except Refused as error:
            if error.reason == "store-broken":
                kept.ERRORS.labels("write").inc()
            if error.reason != "store-full" or not await asyncio.to_thread(self._keeper.squeeze, file.size):
                raise
            await self._receive(path, file, room, wrong, via, origin)

    async def _receive(
        self, path: str, file: File, room: Room, wrong: Sequence[str], via: Sequence[str], origin: list[str]
    ) -> None:
        async with self._origins.any(path, max(1, file.size), wrong=wrong, via=via) as answer:
            origin[:] = [answer.origin]
            with self._store.write(file.sha256, file.size) as writer:
                async for chunk in answer.chunks():
                    await asyncio.to_thread(writer.write, chunk)
                    room.took(len(chunk))
                    if (pace := self._paces.get(file.sha256)) is not None:
                        await asyncio.sleep(pace.after(len(chunk), time.monotonic()))
                await asyncio.to_thread(writer.finish)


def _refusal(error: Corrupt | Refused, path: str, origin: str) -> Refuse:
    """Return why an origin's answer was not stored: what is not the manifest's object, by size or by digest, is a mismatch."""
    if isinstance(error, Refused) and error.reason in OURS:
        return Refuse(error.reason, str(error))
    sentence = f"'{path}' at '{origin}': {error}" if origin else f"'{path}': {error}"
    if isinstance(error, Corrupt) or error.reason == "too-large":
        return Refuse("digest-mismatch", sentence)
    return Refuse(error.reason, sentence)
