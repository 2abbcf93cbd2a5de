"""Low-latency HLS at the box: what is not there yet is waited for here, once for all screens of all zones.

A packager signs files, so the origin is asked for the signature alone (some hundred bytes) until it is another one; only then for the file.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from appliance.runtime.errors import Corrupt, HeadgateError, Refused, Unreachable
from appliance.runtime.once import Once
from gateway.exchange import metrics
from gateway.exchange.live import Came
from gateway.exchange.releases import Held
from gateway.playlists.blocking import HELD, Standing, Wanted, pause, standing
from gateway.release.live import freshness
from gateway.release.live.names import resolve
from gateway.release.manifest import Live

LONGEST = 1 << 20  # bytes of a playlist that is waited for
AT_ONCE = 256  # files waited for
WAITING = 1024
MOST_HINTS = 4096  # parts that are known to come
log = logging.getLogger("headgate.exchange")


class Files(Protocol):
    """The channels' files, as they are."""

    def here(self, held: Held, live: Live, path: str) -> Came | None:
        """Return ``path`` if nobody need be asked for it."""

    async def get(self, held: Held, live: Live, path: str) -> Came:
        """Return ``path`` as it was signed last, asked for a moment ago."""

    async def renewed(self, held: Held, live: Live, path: str) -> Came:
        """Return ``path`` as it is signed now."""

    async def signature(self, held: Held, live: Live, path: str) -> bytes:
        """Return the fields beside ``path``, not looked into."""

    def read(self, came: Came) -> bytes:
        """Return the bytes of a file that came."""


@dataclass(frozen=True)
class Coming:
    """What is waited for: when it is due, how long apart such things come, and until when it is waited for (seconds of the clock)."""

    due: float
    pace: float
    until: float


class Waiting:
    """Requests that wait for a playlist to go on, or for a part that it hints at."""

    def __init__(self, tasks: asyncio.TaskGroup, files: Files, clock: Callable[[], float] = time.monotonic) -> None:
        self._tasks, self._files, self._clock = tasks, files, clock
        self._once: Once[tuple[str, str, str], Came] = Once(tasks, at_once=AT_ONCE, waiting=WAITING)
        self._hints: OrderedDict[tuple[str, str], Coming] = OrderedDict()
        metrics.LIVE_WAITING.set_function(lambda: len(self._once))
        # Of playlists: the signature as it was seen when the file was asked for, and when that was.
        self._signatures: OrderedDict[tuple[str, str, str], tuple[bytes, float]] = OrderedDict()

    async def get(self, held: Held, live: Live, path: str, wanted: Wanted | None) -> Came:
        """Return ``path``; what ``wanted`` names or a playlist hinted at is waited for, at most three target durations.

        A playlist that does not go on in that time is shown as it is, as long as it may be: its origin may be away. The part that it
        hints at is fetched as soon as it is signed, so that it is here when the playlist names it.

        Raises:
            Refused: ``wanted`` is too far ahead (``bad-request``), or as the origin answers.
            Unreachable: the origins are away, and nothing is here.
        """
        key = (held.admitted.release.code, path, live.key)
        if not freshness.is_playlist(path):
            hint = self._hints.get(key[:2])
            if hint is None or hint.until <= self._clock() or self._files.here(held, live, path) is not None:
                return await self._files.get(held, live, path)
            return await self._once.do(key, lambda: self._came(held, live, path, hint))
        came = await self._files.get(held, live, path)
        stands = self._noted(held, live, path, came)
        if wanted is None or stands is None or not stands.blocks or stands.has(wanted):
            return came
        stands.check(wanted)
        deadline = self._clock() + HELD * (stands.target or live.segment)
        pace = stands.part_target or stands.target or live.segment
        while not stands.has(wanted) and self._clock() < deadline:
            self._expect(held, live, path, stands)
            came = await self._once.do(key, lambda: self._changed(held, live, path, pace, deadline))
            stands = self._noted(held, live, path, came) or stands
        return came

    async def _changed(self, held: Held, live: Live, path: str, pace: float, deadline: float) -> Came:
        """Return the playlist once its signature is another one than was seen before, or as it is at the ``deadline``."""
        key = (held.admitted.release.code, path, live.key)
        before, at = self._signatures.get(key, (None, 0.0))
        while self._clock() < deadline:
            seen = await self._signature(held, live, path)
            if not isinstance(seen, HeadgateError) and seen != before:
                came = await self._files.renewed(held, live, path)
                if came.came == "store" and before is not None:  # written in this moment, it may be: once more
                    await asyncio.sleep(pause(pace, 0.0))
                    came = await self._files.renewed(held, live, path)
                self._signatures[key] = seen, self._clock()
                self._signatures.move_to_end(key)
                while len(self._signatures) > MOST_HINTS:
                    self._signatures.popitem(last=False)
                return came
            await asyncio.sleep(pause(pace, at + pace - self._clock()))
        return await self._files.get(held, live, path)

    async def _came(self, held: Held, live: Live, path: str, hint: Coming) -> Came:
        """Return the part once it is signed, whoever had it fetched."""
        failure: HeadgateError | None = None
        while self._clock() < hint.until:
            if self._files.here(held, live, path) is not None:
                return await self._files.get(held, live, path)
            seen = await self._signature(held, live, path)
            if not isinstance(seen, HeadgateError):
                return await self._files.renewed(held, live, path)
            failure = seen
            await asyncio.sleep(pause(hint.pace, hint.due - self._clock()))
        if failure is not None:
            raise failure
        return await self._files.get(held, live, path)

    async def _signature(self, held: Held, live: Live, path: str) -> bytes | HeadgateError:
        """Return the fields beside ``path``, or why there are none yet."""
        try:
            return await self._files.signature(held, live, path)
        except (Refused, Unreachable) as error:
            if isinstance(error, Refused) and error.reason != "unknown-path":
                raise
            return error

    def _expect(self, held: Held, live: Live, path: str, stands: Standing) -> None:
        """Have the hinted part fetched as soon as it is signed: somebody who waits for the playlist asks for it next."""
        hinted = _hinted(path, stands)
        key = (held.admitted.release.code, hinted, live.key)
        if hinted and key not in self._once and self._files.here(held, live, hinted) is None:
            self._tasks.create_task(self._try(held, live, hinted))

    async def _try(self, held: Held, live: Live, path: str) -> None:
        try:
            await self.get(held, live, path, None)
        except HeadgateError as error:
            log.debug("the part %s did not come: %s", path, error)

    def _noted(self, held: Held, live: Live, path: str, came: Came) -> Standing | None:
        """Return where a playlist stands; the part that it hints at is known to come."""
        if came.entry.claim.size > LONGEST or not path.lower().endswith(".m3u8"):
            return None
        try:
            stands = standing(self._files.read(came))
        except OSError:  # replaced meanwhile
            return None
        hinted = _hinted(path, stands) if stands is not None else ""
        if stands is not None and hinted:
            now, pace = self._clock(), stands.part_target or stands.target or live.segment
            key = (held.admitted.release.code, hinted)
            due = self._hints[key].due if key in self._hints else now + pace
            self._hints[key] = Coming(due, pace, now + HELD * (stands.target or live.segment))
            self._hints.move_to_end(key)
            while len(self._hints) > MOST_HINTS:
                self._hints.popitem(last=False)
        return stands


def _hinted(path: str, stands: Standing) -> str:
    """Return the path of the part that the playlist at ``path`` hints at, or nothing where it is none that a channel can hold."""
    try:
        return resolve(path, stands.hint) if stands.hint else ""
    except Corrupt:
        return ""
