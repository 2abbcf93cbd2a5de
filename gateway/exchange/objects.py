"""Objects on their way from an origin into the store: through both filters, piece by piece, visible as far as both passed them.

The way is a line, and has no other end: origin -> ``incoming`` -> admission (the bytes are those that were signed) -> inspection (the
signed bytes are harmless) -> store. Parsers see nothing that an admitted body did not sign.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import BinaryIO

from appliance.runtime.errors import Corrupt, HeadgateError, Refused, Unreachable
from gateway.exchange import metrics
from gateway.exchange.crossing import Crossing
from gateway.exchange.decide import Peer, Refuse
from gateway.exchange.fill import Fill
from gateway.exchange.holding_back import HoldingBack
from gateway.exchange.journal import Journal
from gateway.exchange.judge import Judge
from gateway.exchange.origin import MOST_WRONG, Origins
from gateway.exchange.releases import Held, Orders
from gateway.filters.client import Inspection
from gateway.release.manifest import PIECE, File, Release
from gateway.store import metrics as kept
from gateway.store.incoming import Arrival, Incoming
from gateway.store.keeper import Keeper
from gateway.store.objects import Objects
from gateway.store.passed import As, Passed
from gateway.store.scrub import Pace

Bring = Callable[[Crossing], Awaitable[None]]  # takes an object's bytes through the filters
READ = 1 << 20  # bytes of a file that a peer brings, read at once
AT_ONCE = 16  # fills under way
MOST_BROKEN = 4  # answers that broke off before an object is given up
OURS = ("store-full", "store-broken")  # no other origin would help
WAITING = 512  # objects that wait for their turn


class Fills:
    """Fills the store, one origin request for an object however many wait for it."""

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        origins: Origins,
        store: Objects,
        incoming: Incoming,
        keeper: Keeper,
        passed: Passed,
        judge: Judge,
        inspection: Inspection,
        journal: Journal,
        orders: Orders,
    ) -> None:
        self._orders = orders
        self._tasks, self._origins, self._journal = tasks, origins, journal
        self._store, self._incoming, self._keeper, self._passed = store, incoming, keeper, passed
        self._judge, self._inspection = judge, inspection
        self._holding_back = HoldingBack(incoming.quarantine)
        self._under_way: dict[As, Fill] = {}
        self._free = asyncio.Semaphore(AT_ONCE)
        metrics.FILLING.set_function(lambda: len(self._under_way))

    async def make_present(
        self, held: Held, path: str, file: File, zone: str, *, via: Sequence[str] = (), pace: Pace | None = None
    ) -> str:
        """Return ``store`` where the object was there already, ``origin`` once it is stored, as it may pass into ``zone``.

        ``via`` are the boxes that ask for it. With a ``pace`` it comes as slowly, until a screen asks for the same.

        Raises:
            Refused: it may not pass, a filter refused it, or the disk is full (``store-full``).
            Unreachable: parents and origins are away.
        """
        allowed = await self._judge.may_pass(held.policy, held.admitted, zone, path)
        if isinstance(allowed, Refuse):
            if allowed.reason != "not-yet":  # a premiere is fetched before it
                raise allowed.error()
            allowed = False
        fill = await self.start(held, path, file, zone, via=via, pace=pace, application=allowed)
        if fill is None:
            return "store"
        await fill.done()
        return "origin"

    async def start(
        self,
        held: Held,
        path: str,
        file: File,
        zone: str,
        *,
        via: Sequence[str] = (),
        pace: Pace | None = None,
        application: bool = False,
    ) -> Fill | None:
        """Return the object on its way, or None where it is in the store and passed as what it is to be served as.

        Raises:
            Refused: too many are under way (``busy``).
        """

        async def fetch(crossing: Crossing) -> None:
            await self._gather(crossing, held, path, via)

        return await self._begin(held, path, file, zone, fetch, pace=pace, application=application)

    async def take_in(
        self,
        held: Held,
        path: str,
        file: File,
        source: Callable[[], BinaryIO],
        peer: Peer,
        *,
        application: bool = False,
    ) -> None:
        """Put an object that a peer brings into the store, through the same filters as one that an origin has.

        Raises:
            Refused: a filter refused it, or the disk is full (``store-full``); or as ``source`` raised it.
        """

        async def copy(crossing: Crossing) -> None:
            try:
                with await asyncio.to_thread(source) as data:
                    await crossing.take(_pieces(data))
            except (Corrupt, Refused) as error:
                refusal = _refusal(error, path, peer.name)
                told = {"release": held.admitted.release.code, "path": path}
                refusal = await self._hold_back(crossing, refusal, **told, origin=peer.name)
                await self._journal.refused(refusal, peer, **told)
                raise refusal.error() from error

        fill = await self._begin(held, path, file, peer.zone, copy, pace=None, application=application)
        if fill is not None:
            await fill.done()

    async def has(self, path: str, file: File, *, application: bool) -> bool:
        """Return whether the object is in the store and passed as what it is in this place.

        Raises:
            Refused: the disk cannot say (``store-broken``).
        """
        return self._has(file) and await asyncio.to_thread(self._passed.has, _as(path, file, application=application))

    def _has(self, file: File) -> bool:
        try:
            return self._store.has(file.sha256, file.size)
        except OSError as error:  # the folder that it is in, or would be
            raise Refused("store-broken", f"the store's disk cannot be read: {error.strerror}", 507) from error

    async def _begin(
        self, held: Held, path: str, file: File, zone: str, bring: Bring, *, pace: Pace | None, application: bool
    ) -> Fill | None:
        if await self.has(path, file, application=application):
            return None
        what = _as(path, file, application=application)
        fill = self._under_way.get(what)
        if fill is None:
            if len(self._under_way) >= WAITING:
                raise Refused("busy", "too much is being fetched already: ask again", 503)
            fill = self._under_way[what] = Fill(what, file)
            fill.pace = pace
            self._tasks.create_task(self._run(fill, held, path, zone, bring))
        elif pace is None:
            fill.pace = None
        return fill

    async def _run(self, fill: Fill, held: Held, path: str, zone: str, bring: Bring) -> None:
        failure: HeadgateError | None = Refused("busy", "the exchange is ending", 503)
        try:
            async with self._free:
                if self._has(fill.file):
                    await self._inspect_again(fill, held, path)
                    await asyncio.to_thread(self._passed.add, fill.what)
                else:
                    await self._fill(fill, held, path, zone, bring)
                fill.verified = fill.file.size
            failure = None
        except HeadgateError as error:
            failure = error
            if isinstance(error, Refused):
                metrics.FILLS.labels(error.reason).inc()
        finally:
            del self._under_way[fill.what]
            fill.end(failure)

    async def _fill(self, fill: Fill, held: Held, path: str, zone: str, bring: Bring) -> None:
        began, file, release = time.monotonic(), fill.file, held.admitted.release
        async with contextlib.AsyncExitStack() as stack:
            try:  # before anything of it came
                room = self._keeper.room_at_once(file.size, release.body, zone)
                if room is None:
                    room = await asyncio.to_thread(self._keeper.room_for, file.size, release.body, zone)
                stack.enter_context(room)
                arrival = stack.enter_context(self._incoming.arrive(file.sha256, file.size))
                inspecting = self._inspection.inspecting(fill.what, path, file.size, arrival.name)
                looking = await stack.enter_async_context(inspecting)
            except Refused as error:
                refusal = _refusal(error, path, "")
                await self._journal.refused(refusal, None, release=release.code, path=path)
                raise refusal.error() from error
            await bring(Crossing(fill, arrival, room, held, path, self._judge, looking))
            await self._finish(arrival, partial(self._settle, arrival, fill.what, release, zone))
        await self._orders.withheld(release, file.sha256)
        metrics.FILLS.labels("stored").inc()
        metrics.FILLED.inc(file.size)
        metrics.SECONDS.observe(time.monotonic() - began)

    def _settle(self, arrival: Arrival, what: As, release: Release, zone: str) -> None:
        """Make the object durable, and take note of it."""
        arrival.finish()
        self._keeper.added(what.sha256, arrival.written, release.body, zone, release.code)
        self._passed.add(what)

    async def _finish(self, arrival: Arrival, settle: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(settle)
        except Refused as error:
            if not await self._squeezed(error, arrival.written):
                raise
            await asyncio.to_thread(settle)

    async def _squeezed(self, error: Corrupt | Refused, size: int) -> bool:
        """Return whether the disk, which got full in the middle, has room again."""
        if isinstance(error, Refused) and error.reason == "store-broken":
            kept.ERRORS.labels("write").inc()
        if not isinstance(error, Refused) or error.reason != "store-full":
            return False
        return bool(await asyncio.to_thread(self._keeper.squeeze, size))

    async def _gather(self, crossing: Crossing, held: Held, path: str, via: Sequence[str]) -> None:
        """Bring the whole object through, from whoever has it, going on where somebody broke off or sent something else."""
        code, size = held.admitted.release.code, crossing.size
        wrong: list[str] = []
        broken = 0
        squeezed = False
        refusal: Refuse | None = None
        while True:
            origin: list[str] = []
            first = crossing.written
            try:
                async with self._origins.any(
                    f"/releases/{code}/{path}", max(1, size - first), first=first, wrong=wrong, via=via
                ) as answer:
                    origin.append(answer.origin)
                    await crossing.take(answer.chunks())
            except Unreachable:
                metrics.FILLS.labels("unreachable").inc()
                broken += 1
                if origin and broken < MOST_BROKEN:  # it broke off in the middle, and rests: somebody else is asked now
                    continue
                if refusal is None:
                    raise
            except (Corrupt, Refused) as error:
                if not squeezed and await self._squeezed(error, size):
                    squeezed = True  # once
                    crossing.rewind()
                    continue
                refusal = _refusal(error, path, origin[0] if origin else "")
                told = {"release": code, "path": path, **({"origin": origin[0]} if origin else {})}
                refusal = await self._hold_back(crossing, refusal, **told)
                await self._journal.refused(refusal, None, **told)
                if origin and refusal.reason == "digest-mismatch" and len(wrong) < MOST_WRONG:
                    wrong += origin  # somebody else may have the right bytes
                    crossing.rewind()
                    continue
            else:
                return
            raise refusal.error()

    async def _hold_back(self, crossing: Crossing, refusal: Refuse, **told: str) -> Refuse:
        if not crossing.written:
            return refusal
        return await self._holding_back.hold(crossing.path, refusal, {"type": crossing.type, **told})

    async def _inspect_again(self, fill: Fill, held: Held, path: str) -> None:
        """Have an object of the store inspected as something that it never passed as."""
        what, size = fill.what, fill.file.size
        try:
            async with self._inspection.inspecting(what, path, size) as looking:
                for first in range(0, max(1, size), PIECE):
                    count = min(PIECE, size - first)
                    await looking.look(first, count, last=first + count == size)
        except Refused as error:
            refusal = Refuse.of(error, f"'{path}' as {what.type}: {error}")
            told = {"release": held.admitted.release.code, "path": path, "sha256": what.sha256}
            refusal = await self._holding_back.hold(self._store.path(what.sha256), refusal, {"type": what.type, **told})
            await self._journal.refused(refusal, None, **told)
            raise refusal.error() from error


def _as(path: str, file: File, *, application: bool) -> As:
    return As(file.sha256, file.type, application, path.count("/"))


async def _pieces(data: BinaryIO) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(data.read, READ):
        yield chunk


def _refusal(error: Corrupt | Refused, path: str, origin: str) -> Refuse:
    """Return why an origin's answer was not stored: what is not the manifest's object, by size or by digest, is a mismatch."""
    if isinstance(error, Refused) and error.reason in OURS:
        return Refuse.of(error)
    sentence = f"'{path}' at '{origin}': {error}" if origin else f"'{path}': {error}"
    if isinstance(error, Corrupt) or error.reason == "too-large":
        return Refuse("digest-mismatch", sentence, {"filter": "exchange"})
    return Refuse.of(error, sentence)
