"""Live files on their way: content and signature come together, both are verified, and the newest is asked for once for all screens.

What a channel's packager signed for this channel, this path and this moment is kept until its window has passed; whatever else an origin
shows is refused, and what was verified before is shown on for as long as it may be.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import BinaryIO, Protocol

from appliance.runtime.errors import Corrupt, HeadgateError, Refused, Unreachable
from appliance.runtime.once import Once
from gateway.exchange import metrics
from gateway.exchange.decide import Refuse
from gateway.exchange.holding_back import HoldingBack
from gateway.exchange.journal import Journal
from gateway.exchange.origin import Origins
from gateway.exchange.releases import Held
from gateway.exchange.ring import Entry, Ring
from gateway.release import media
from gateway.release.live import freshness, signing
from gateway.release.live.names import newest, read
from gateway.release.live.signing import Claim
from gateway.release.manifest import Live, Release
from gateway.store.faults import told
from gateway.store.live import Incoming, LiveObjects

AT_ONCE = 32  # live files being fetched
WAITING = 512
TRIES = 4  # a playlist and its fields are two files: the packager may write between the two answers
AGAIN = 0.03  # seconds until the two are read again
MOST_NAMED = 1000  # playlists of which is known what they named
AHEAD = 256 << 10  # bytes of a playlist that is read for what it names
SWEEP = 5.0  # seconds between two looks at what has run out
log = logging.getLogger("headgate.exchange")


class Filters(Protocol):
    """Both filters, for one live file that came."""

    async def pass_live(self, held: Held, path: str, content: str, fields: str, floor: int) -> Claim:
        """Return what the packager says of the incoming file ``content`` by the incoming file ``fields``, or raise Refused."""


@dataclass(frozen=True)
class Came:
    """A live file that may be shown, for ``fresh`` seconds without asking again."""

    entry: Entry
    came: str  # origin or store
    fresh: float


class Channels:
    """The live files of all channels."""

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        origins: Origins,
        store: LiveObjects,
        incoming: Incoming,
        filters: Filters,
        journal: Journal,
        holding_back: HoldingBack,
        allowed: Callable[[Release], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._tasks, self._origins, self._store, self._incoming = tasks, origins, store, incoming
        self._filters, self._journal, self._holding_back, self._now = filters, journal, holding_back, now
        self._allowed = allowed  # raises Refused for a channel that is withdrawn
        self._ring = Ring()
        self._named: OrderedDict[tuple[str, str], frozenset[str]] = OrderedDict()  # what each playlist named last
        self._once: Once[tuple[str, str, str], tuple[Entry, bool]] = Once(tasks, at_once=AT_ONCE, waiting=WAITING)
        metrics.LIVE_OBJECTS.set_function(lambda: len(self._ring))
        metrics.LIVE_BYTES.set_function(lambda: self._ring.bytes)

    async def get(self, held: Held, live: Live, path: str) -> Came:
        """Return ``path`` of the channel as the packager signed it last; many who ask make one request to the origin.

        Raises:
            Refused: it is not signed for now (``not-signed``, ``stale-segment``, ...), or no origin has it (``unknown-path``).
            Unreachable: the origins are away, and what is here has run out.
        """
        return self.here(held, live, path) or await self.renewed(held, live, path)

    def here(self, held: Held, live: Live, path: str) -> Came | None:
        """Return ``path`` of the channel if it came so lately that nobody need be asked."""
        entry = self._present(held.admitted.release.code, live, path)
        fresh = self._fresh(entry, live, path) if entry is not None else 0.0
        return Came(entry, "store", fresh) if entry is not None and fresh > 0 else None

    async def renewed(self, held: Held, live: Live, path: str) -> Came:
        """Return ``path`` as it is signed now, asked for again.

        Raises:
            Refused, Unreachable: as ``get``.
        """
        key = (held.admitted.release.code, path, live.key)
        entry, new = await self._once.do(key, lambda: self._renew(held, live, path))
        return Came(entry, "origin" if new else "store", max(0.0, self._fresh(entry, live, path)))

    async def signature(self, held: Held, live: Live, path: str) -> bytes:
        """Return the fields beside ``path`` at the first origin that has some, not looked into.

        Raises:
            Refused: no origin has them (``unknown-path``).
            Unreachable: the origins are away.
        """
        failure: HeadgateError = Unreachable("the policy names no origin")
        where = signing.path_at_origin(held.admitted.release.code, path) + signing.SUFFIX
        for origin in [name for name, each in held.policy.origins.items() if each.role == "origin"]:
            fields = b""
            try:
                async with self._origins.ask(origin, where, signing.LONGEST) as answer:
                    async for chunk in answer.chunks():
                        fields = (fields + bytes(chunk))[
                            : signing.LONGEST
                        ]  # compared, and looked into when they are renewed
                return fields
            except (Unreachable, Refused) as error:
                failure = failure if isinstance(failure, Refused) else error
        raise failure

    def read(self, came: Came) -> bytes:
        """Return the bytes of a file that came.

        Raises:
            OSError: it is gone already.
        """
        return self._store.path(came.entry.claim.sha256).read_bytes()

    def _present(self, code: str, live: Live, path: str) -> Entry | None:
        """Return what is here and may be shown still."""
        entry = self._ring.get(code, path)
        if entry is None or entry.signer != live.key or entry.until <= self._now():
            return None
        return entry if self._store.has(entry.claim.sha256, entry.claim.size) else None

    def _fresh(self, entry: Entry, live: Live, path: str) -> float:
        """Return for how many seconds more nobody is asked: a playlist for half a segment, a segment for a whole one."""
        keep = live.segment / 2 if freshness.is_playlist(path) else live.segment
        return min(entry.checked + keep, entry.until) - self._now()

    async def _renew(self, held: Held, live: Live, path: str) -> tuple[Entry, bool]:
        code, began = held.admitted.release.code, time.monotonic()
        present = self._present(code, live, path)
        failure: HeadgateError = Unreachable("the policy names no origin")
        first = present.origin if present else None
        # Origins alone: what a parent keeps is not asked anew each half segment.
        origins = [name for name, each in held.policy.origins.items() if each.role == "origin"]
        for origin in sorted(origins, key=lambda name: name != first):
            try:
                entry = await self._from(origin, held, live, path, present)
            except Unreachable as error:
                failure = failure if isinstance(failure, Refused) else error
                metrics.LIVE.labels("unreachable").inc()
            except (Corrupt, Refused) as error:
                refusal = _refusal(error, path, origin)
                metrics.LIVE.labels(refusal.reason).inc()
                if refusal.reason != "unknown-path":  # an origin without it tried nothing
                    await self._journal.refused(refusal, None, release=code, path=path, origin=origin)
                failure = refusal.error()
            else:
                self._still(held.admitted.release, entry)
                new = present is None or entry.claim.sequence != present.claim.sequence
                metrics.LIVE.labels("stored" if new else "unchanged").inc()
                self._keep(code, path, entry)
                if new:
                    metrics.LIVE_SECONDS.observe(time.monotonic() - began)
                    self._ahead(held, live, path, entry)
                return entry, new
        self._allowed(held.admitted.release)
        if present is not None and present.until > self._now():
            # Verified, and still of now: a screen need not suffer for what an origin shows meanwhile.
            entry = replace(present, checked=self._now())
            self._keep(code, path, entry)
            return entry, False
        raise failure

    def _still(self, release: Release, entry: Entry) -> None:
        """Let a file go that came while its channel was withdrawn; nothing is awaited between this and its being kept.

        Raises:
            Refused: the channel is withdrawn (``withdrawn``).
        """
        try:
            self._allowed(release)
        except Refused:
            if not self._ring.holds(entry.claim.sha256):
                self._store.remove(entry.claim.sha256)
            raise

    def _keep(self, code: str, path: str, entry: Entry) -> None:
        for sha256 in self._ring.put(code, path, entry):
            self._store.remove(sha256)

    async def _from(self, origin: str, held: Held, live: Live, path: str, present: Entry | None) -> Entry:
        """Return what ``origin`` has as ``path`` now."""
        # A playlist may be written twice in a second, which the ETags of some servers do not tell apart.
        if present is not None and present.origin == origin and present.etag and not freshness.is_playlist(path):
            where = signing.path_at_origin(held.admitted.release.code, path) + signing.SUFFIX
            async with self._origins.ask(origin, where, signing.LONGEST, present.etag) as answer:
                if answer.unchanged:
                    return replace(present, checked=self._now())
        for left in reversed(range(TRIES)):
            try:
                return await self._whole(origin, held, live, path, last=not left)
            except Refused as error:
                if error.reason != "digest-mismatch" or not left:
                    raise
            await asyncio.sleep(AGAIN)
        raise AssertionError("not reached")

    async def _whole(self, origin: str, held: Held, live: Live, path: str, *, last: bool) -> Entry:
        code = held.admitted.release.code
        where = signing.path_at_origin(code, path)
        async with self._arriving() as (content, fields):
            came, etag = await asyncio.gather(
                self._take(origin, where, content, live.largest),
                self._take(origin, where + signing.SUFFIX, fields, signing.LONGEST),
                return_exceptions=True,
            )
            for failure in (came, etag):
                if isinstance(failure, Refused) and failure is etag and failure.reason == "unknown-path":
                    refused = Refused("not-signed", "the origin has no signature beside it")
                    refused.about["filter"] = "exchange"
                    raise await self._hold_back(refused, content, origin, code, path)
                if isinstance(failure, OSError):
                    raise told(failure) from failure
                if isinstance(failure, BaseException):
                    raise failure
            try:
                claim = await self._filters.pass_live(held, path, content, fields, self._floor(code, live, path))
            except Refused as refused:
                if refused.reason == "digest-mismatch" and not last:  # written between the two answers, it seems
                    raise
                raise await self._hold_back(refused, content, origin, code, path) from refused
            try:
                self._store.adopt(self._incoming.path(content), claim.sha256)
            except OSError as error:
                raise told(error) from error
        return Entry(claim, freshness.until(claim, live, path), self._now(), live.key, str(etag), origin)

    async def _hold_back(self, refused: Refused, content: str, origin: str, code: str, path: str) -> Refused:
        told = {"release": code, "path": f"{signing.FOLDER}/{path}", "origin": origin, "type": media.type_of(path)}
        where = self._incoming.path(content)
        return (await self._holding_back.hold(where, Refuse.of(refused), told, live=True)).error()

    def _floor(self, code: str, live: Live, path: str) -> int:
        """Return the greatest sequence that this packager was seen to sign at ``path``.

        It may be forgotten with the entry: what is older runs out before it does.
        """
        entry = self._ring.get(code, path)
        return entry.claim.sequence if entry is not None and entry.signer == live.key else 0

    @contextlib.asynccontextmanager
    async def _arriving(self) -> AsyncIterator[tuple[str, str]]:
        """Yield the names of two new incoming files, which are gone afterwards."""
        names = []
        try:
            for _ in range(2):
                try:
                    name, file = self._incoming.new()
                except OSError as error:
                    raise told(error) from error
                file.close()
                names.append(name)
            yield names[0], names[1]
        finally:
            for name in names:
                self._incoming.remove(name)

    async def _take(self, origin: str, where: str, name: str, largest: int) -> str:
        """Write what an origin has at ``where`` into the incoming file ``name``; return its ETag."""
        with self._incoming.path(name).open("r+b", buffering=0) as file:
            async with self._origins.ask(origin, where, largest) as answer:
                size = 0
                async for chunk in answer.chunks():
                    size += len(chunk)
                    if size > largest:
                        raise Refused("too-large", f"the origin's answer is longer than {largest} bytes", 413)
                    await asyncio.to_thread(_write, file, chunk)
                return answer.etag

    def _ahead(self, held: Held, live: Live, path: str, entry: Entry) -> None:
        """Fetch the newest segment and part that a verified playlist names, so that they are here when the first screen asks.

        What it named before and names no longer has passed, and goes first where there is no room.
        """
        if freshness.is_playlist(path) and entry.claim.size <= AHEAD:
            with contextlib.suppress(OSError, Corrupt):
                data = self._store.path(entry.claim.sha256).read_bytes()
                for name in newest(path, data):
                    self._tasks.create_task(self._try(held, live, name))
                key, named = (held.admitted.release.code, path), read(path, data).paths
                self._ring.pass_by(key[0], self._named.pop(key, frozenset()) - named)
                self._named[key] = named
                while len(self._named) > MOST_NAMED:
                    self._named.popitem(last=False)

    async def _try(self, held: Held, live: Live, path: str) -> None:
        try:
            await self.get(held, live, path)
        except HeadgateError as error:
            log.debug("%s was not fetched ahead: %s", path, error)

    def forget(self, code: str) -> tuple[int, int]:
        """Remove all that is here of a channel that was withdrawn, also what was replaced; return how many objects of how many bytes."""
        before = self._ring.bytes
        gone = self._ring.drop(code)
        for sha256 in gone:
            self._store.remove(sha256)
        return len(gone), before - self._ring.bytes

    async def sweep(self) -> None:
        """Remove what has run out, for ever."""
        while True:
            await asyncio.sleep(SWEEP)
            for sha256 in self._ring.expire(self._now()):
                self._store.remove(sha256)


def _write(file: BinaryIO, chunk: bytes | memoryview) -> None:
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]


def _refusal(error: Corrupt | Refused, path: str, origin: str) -> Refuse:
    sentence = f"'{path}' at the origin '{origin}': {error}"
    return Refuse("digest-mismatch", sentence) if isinstance(error, Corrupt) else Refuse.of(error, sentence)
