"""Where releases are handed in: each goes to the drop folder, and from there piece by piece through the exchange."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from typing import Any

from appliance.runtime.errors import Corrupt, HeadgateError, Refused
from gateway.publish import metrics
from gateway.publish.drop import Drop
from gateway.publish.exchange import WAITS, Exchange, passing
from gateway.publish.uploads import UNSETTLED, Part, Upload
from gateway.release import signed

MOST_OPEN = 64  # releases on their way at once
MOST_RESULTS = 1000  # of releases that are done, kept to be asked for
AT_ONCE = 4  # files that the exchange is asked to take in at once
READING = 2  # envelopes looked at at once: a long one takes seconds, and memory
IDLE = 24 * 3600.0  # seconds without a byte until an upload is thrown away
WAITING = 7 * IDLE  # the same, of one that waits for its listing
AGAIN = 1.0  # seconds until the exchange is asked again where it could not
DEAR, SELDOM = 5.0, 60.0  # times what the last try took, and at most so many seconds
EVERY = 60.0  # seconds between two looks for what is idle

log = logging.getLogger("headgate.publish")


def pause(took: float) -> float:
    """Return the seconds until a release is offered again that waits for its listing: judging a long manifest ``took`` a while too."""
    return max(AGAIN, min(SELDOM, DEAR * took))


class Desk:
    """Every release that is on its way in, by code; ``largest`` bounds the bytes that wait in the drop folder."""

    def __init__(
        self,
        drop: Drop,
        exchange: Exchange,
        tasks: asyncio.TaskGroup,
        largest: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.drop = drop
        self._exchange, self._tasks, self._largest, self._clock = exchange, tasks, largest, clock
        self._uploads: dict[str, Upload] = {}
        self._results: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._busy: set[tuple[str, str]] = set()  # code and digest: one sender at a time
        self._beginning: set[str] = set()
        self._leaving: dict[str, asyncio.Event] = {}  # codes whose folder is being thrown away
        self._reading, self._taking = asyncio.Semaphore(READING), asyncio.Semaphore(AT_ONCE)
        self._moved = asyncio.Event()
        self._held = sum(drop.used(code) for code in drop.codes())  # bytes in the drop folder, or some more
        metrics.OPEN.set_function(lambda: len(self._uploads))
        metrics.HELD.set_function(lambda: self._held)

    def find(self, code: str) -> Upload:
        """Return the release on its way in.

        Raises:
            Refused: it is on no way (``unknown-release``).
        """
        upload = self._uploads.get(code)
        if upload is None:
            raise Refused("unknown-release", f"no release {code} is on its way in: offer it first", 404)
        return upload

    def told(self, code: str) -> dict[str, Any]:
        """Return how the release stands, or how it ended lately.

        Raises:
            Refused: neither is known (``unknown-release``).
        """
        if code not in self._uploads and code in self._results:
            return self._results[code]
        return self.find(code).told()

    async def begin(self, code: str, envelope: bytes) -> Upload:
        """Offer a release: the exchange judges its manifest, and what is missing is wanted. Offering it again changes nothing.

        Raises:
            Refused: it may not come in, with the exchange's reason; or too many are on their way (``busy``).
            Unreachable: the exchange is away.
        """
        await self._left(code)
        if code in self._beginning:
            raise Refused("busy", f"{code} is being offered by another sender: ask again", 503)
        self._beginning.add(code)
        try:
            return await self._begin(code, envelope)
        except (Refused, Corrupt) as error:
            metrics.REFUSALS.labels(error.reason if isinstance(error, Refused) else "corrupt").inc()
            raise
        finally:
            self._beginning.discard(code)

    async def _begin(self, code: str, envelope: bytes) -> Upload:
        known = self._uploads.get(code)
        if known is not None and known.envelope == envelope and known.state in UNSETTLED:
            return known
        if known is None and len(self._uploads) >= MOST_OPEN:
            raise Refused("busy", f"{MOST_OPEN} releases are on their way in already: ask again later", 503)
        async with self._reading:
            try:
                release = await asyncio.to_thread(signed.claimed, envelope)
            except Corrupt as error:
                raise Refused("not-signed", f"this is no signed release: {error}") from error
        if release.code != code:
            raise Refused("bad-request", f"this is the release {release.code}, not {code}", 400)
        if known is not None and known.release.version > release.version:
            told = f"version {known.release.version} is on its way in, this is {release.version}"
            raise Refused("older-version", told)
        await asyncio.to_thread(self.drop.begin, code, envelope)
        try:
            offered = await self._exchange.offer(code)
        except HeadgateError as error:
            if isinstance(error, Refused) and error.reason == WAITS:
                return await self._wait(Upload(release, envelope, self._clock(), listing=True, waits=str(error)))
            if (
                known is not None and self._uploads.get(code) is known
            ):  # another version, refused: the one before goes on
                await asyncio.to_thread(self.drop.begin, code, known.envelope)
            elif not passing(error):
                await asyncio.to_thread(self.drop.remove, code)
            raise
        upload = Upload(release, envelope, self._clock())
        self._results.pop(code, None)
        self._uploads[code] = upload
        if offered.missing:
            await self._want(upload, offered.missing)
        else:
            upload.accepted = True
            await self._forget(upload, offering=True)
        return upload

    async def _wait(self, upload: Upload) -> Upload:
        """Let the bytes come while the centre has not named the listing, and go on by itself when it has."""
        code, files = upload.release.code, upload.release.files
        self._results.pop(code, None)
        self._uploads[code] = upload
        first = {file.sha256: path for path, file in reversed(files.items())}
        await self._want(upload, list(first.values()))
        self._tasks.create_task(self._listed(upload))
        return upload

    async def _listed(self, upload: Upload) -> None:
        code, took = upload.release.code, 0.0
        while self._uploads.get(code) is upload:
            await asyncio.sleep(pause(took))
            if self._uploads.get(code) is not upload:
                return
            began = self._clock()
            try:
                offered = await self._exchange.offer(code)
            except HeadgateError as error:
                if passing(error) or (isinstance(error, Refused) and error.reason == WAITS):
                    upload.waits, took = str(error), self._clock() - began
                    continue
                upload.refusal = error if isinstance(error, Refused) else Refused("corrupt", str(error))
                await self._forget(upload)
                return
            upload.listing, upload.waits = False, ""
            upload.touched = self._clock()
            if offered.missing:
                upload.parts = {
                    digest: part
                    for digest, part in upload.parts.items()
                    if digest in {upload.release.files[path].sha256 for path in offered.missing}
                }
                await self._want(upload, offered.missing)
                self._tell()
                return
            upload.accepted = True
            await self._forget(upload)
            return

    async def _want(self, upload: Upload, missing: list[str]) -> None:
        code = upload.release.code
        offsets = await asyncio.to_thread(self.drop.offsets, code)
        if any(path not in upload.release.files for path in missing):
            raise Corrupt("the exchange misses files that the release does not name")
        whole = upload.want(missing, offsets)
        await asyncio.to_thread(self.drop.keep, code, set(upload.parts))
        for part in [] if upload.listing else whole:
            self._tasks.create_task(self._take(upload, part))

    async def write(
        self, upload: Upload, part: Part, offset: int, length: int | None, data: AsyncIterator[bytes]
    ) -> int:
        """Append ``data`` at ``offset`` and return the bytes that are here then; what came before a failure stays.

        Raises:
            Refused: it does not go on from what is here, is too much, somebody else is at it (``busy``), or there is no room.
        """
        key = (upload.release.code, part.sha256)
        if key in self._busy:
            raise Refused("busy", f"another sender is sending '{part.path}'", 423)
        part.judge(offset, length)
        self._busy.add(key)
        try:
            await self._append(upload, part, data)
        finally:
            self._busy.discard(key)
            if part.take(part.offset) and not upload.listing:
                self._tasks.create_task(self._take(upload, part))
            self._tell()
        return part.offset

    async def _append(self, upload: Upload, part: Part, data: AsyncIterator[bytes]) -> None:
        try:
            with self.drop.append(upload.release.code, part.sha256, part.offset) as sink:
                try:
                    async for piece in data:
                        if sink.offset + len(piece) > part.size:
                            raise Refused("too-large", f"'{part.path}' has {part.size} bytes by its manifest", 413)
                        await self._room(len(piece))
                        await asyncio.to_thread(sink.write, piece)
                        self._held += len(piece)
                        metrics.BYTES.inc(len(piece))
                        upload.touched = self._clock()
                finally:
                    part.offset = sink.offset
        except (Corrupt, FileNotFoundError) as error:  # thrown away, or written by another sender, in between
            part.offset = self.drop.offsets(upload.release.code).get(part.sha256, 0)
            raise Refused("offset-mismatch", f"'{part.path}': {part.offset} bytes are here", 409) from error

    async def _room(self, more: int) -> None:
        if self._held + more > self._largest:
            self._held = await asyncio.to_thread(lambda: sum(self.drop.used(code) for code in self.drop.codes()))
        if self._held + more > self._largest:
            raise Refused("drop-full", f"unfinished uploads take {self._held} bytes already: ask again later", 507)

    async def hand_in(self, code: str, listing: bytes) -> None:
        """Take what a body signed for the listing of a release that it offers next.

        Raises:
            Refused: too many releases are on their way (``busy``), or there is no room.
        """
        await self._left(code)
        there = await asyncio.to_thread(self.drop.codes)
        if code not in there and len(there) >= MOST_OPEN:
            raise Refused("busy", f"{MOST_OPEN} releases are on their way in already: ask again later", 503)
        await self._room(len(listing))
        await asyncio.to_thread(self.drop.put_listing, code, listing)
        self._held += len(listing)

    async def base(self, code: str, body: str) -> Any:
        """Return what ``body`` signs the listing of a release over.

        Raises:
            Refused, Unreachable: as the exchange answered.
        """
        return await self._exchange.base(code, body)

    async def register(self, statement: str, records: list[str]) -> Any:
        """Register what a body signed; it is durable, and on its way to the centre.

        Raises:
            Refused, Unreachable: as the exchange answered.
        """
        return await self._exchange.register(statement, records)

    async def next_codes(self, body: str, count: int) -> Any:
        """Return the next free codes of the blocks of ``body`` at this box.

        Raises:
            Refused, Unreachable: as the exchange answered.
        """
        return await self._exchange.next_codes(body, count)

    async def resume(self) -> None:
        """Go on with what waited for its listing before a restart; what cannot go on is left for its sender to offer again."""
        for code, envelope in (await asyncio.to_thread(self.drop.waiting)).items():
            try:
                await self.begin(code, envelope)
            except HeadgateError as error:
                log.warning("%s does not go on by itself: %s", code, error)

    async def cancel(self, code: str) -> None:
        """Throw a release on its way in away.

        Raises:
            Refused: it is on no way (``unknown-release``).
        """
        upload = self.find(code)
        upload.refusal = Refused("cancelled", "the sender took it back")
        await self._forget(upload)

    async def drop_part(self, upload: Upload, part: Part) -> None:
        """Throw the bytes of one file away; it is wanted still.

        Raises:
            Refused: somebody is sending it (``busy``).
        """
        if (upload.release.code, part.sha256) in self._busy:
            raise Refused("busy", f"another sender is sending '{part.path}'", 423)
        if part.stage == "wanted":
            part.again()
            await asyncio.to_thread(self.drop.remove_part, upload.release.code, part.sha256)

    async def _take(self, upload: Upload, part: Part) -> None:
        """Have the exchange take a whole part in; where it could not, it is asked again."""
        code = upload.release.code
        async with self._taking:
            if part.size == 0:
                with self.drop.append(code, part.sha256, 0):
                    pass
            while self._uploads.get(code) is upload and part.stage == "whole":
                at = part.path
                try:
                    for at in part.paths:
                        await self._exchange.take(code, at)
                except HeadgateError as error:
                    if passing(error):
                        upload.waits = str(error)
                        self._tell()
                        await asyncio.sleep(AGAIN)
                        continue
                    reason = error.reason if isinstance(error, Refused) else "corrupt"
                    part.stage, part.refusal = "refused", Refused(reason, str(error))
                    part.paths = [at]
                    metrics.REFUSALS.labels(reason).inc()
                else:
                    part.stage = "stored"
                upload.waits = ""
                await asyncio.to_thread(self.drop.remove_part, code, part.sha256)
                self._held -= part.size
        self._tell()
        if upload.settled:
            await self._end(upload)

    async def _end(self, upload: Upload) -> None:
        """Have the release taken in as a whole, where nothing was refused; then forget it but for its result."""
        code = upload.release.code
        if upload.ending:
            return
        upload.ending = True
        while self._uploads.get(code) is upload and upload.state != "refused":
            try:
                offered = await self._exchange.offer(code)
            except HeadgateError as error:
                if passing(error):
                    upload.waits = str(error)
                    self._tell()
                    await asyncio.sleep(AGAIN)
                    continue
                upload.refusal = error if isinstance(error, Refused) else Refused("corrupt", str(error))
                break
            if self._uploads.get(code) is not upload or offered.version != upload.release.version:
                return  # another version came in between
            if offered.missing:  # given away again in the meantime
                upload.ending = False
                await self._want(upload, offered.missing)
                self._tell()
                return
            upload.accepted = True
            break
        await self._forget(upload)

    async def _forget(self, upload: Upload, *, offering: bool = False) -> None:
        """Keep the result alone; ``offering``: from within ``begin``."""
        code = upload.release.code
        if self._uploads.get(code) is not upload:
            return
        del self._uploads[code]
        self._results[code] = upload.told()  # in the same breath: who asks must find the one or the other
        if offering:
            await asyncio.to_thread(self.drop.remove, code)
        elif code not in self._beginning:  # else another version is being offered, which throws away what it needs not
            left = self._leaving[code] = asyncio.Event()
            try:
                await asyncio.to_thread(self.drop.remove, code)
            finally:
                del self._leaving[code]
                left.set()
        while len(self._results) > MOST_RESULTS:
            self._results.popitem(last=False)
        metrics.RELEASES.labels(upload.state).inc()
        log.info("%s version %d: %s", code, upload.release.version, upload.state)
        self._tell()

    async def _left(self, code: str) -> None:
        """Wait while the folder of ``code`` is being thrown away: what comes for it now must not go with it."""
        while code in self._leaving:
            await self._leaving[code].wait()

    def leave(self) -> None:
        """Follow nothing any more; what is in the drop folder stays, to be offered again."""
        self._uploads.clear()

    async def moved(self, seconds: float) -> None:
        """Wait until some release stands otherwise than before, at most ``seconds``."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._moved.wait(), seconds)

    def _tell(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    async def tidy(self, now: float) -> None:
        """Throw away what nobody has sent a byte of for a day; ``now`` is in seconds since the epoch."""
        for upload in list(self._uploads.values()):
            idle = WAITING if upload.listing else IDLE
            if self._clock() - upload.touched > idle:
                upload.refusal = Refused("expired", f"no byte came for {idle:.0f} seconds")
                await self._forget(upload)
        for code in await asyncio.to_thread(self.drop.codes):
            if code not in self._uploads and await asyncio.to_thread(self.drop.age, code, now) > IDLE:
                await asyncio.to_thread(self.drop.remove, code)
        self._held = await asyncio.to_thread(lambda: sum(self.drop.used(code) for code in self.drop.codes()))
