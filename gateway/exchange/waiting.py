"""Low-latency HLS at the box: what is not there yet is waited for here, once for all screens of all zones.

A packager signs files, so the origin is asked for the signature alone (some hundred bytes) until it is another one; only then for the file.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from appliance.runtime.errors import Corrupt, HeadgateError, Refused, Unreachable
from appliance.runtime.once import Once
from gateway.exchange import metrics
from gateway.exchange.live import Came
from gateway.exchange.releases import Held
from gateway.playlists.blocking import HELD, Standing, Wanted, standing
from gateway.release.live import freshness
from gateway.release.live.names import resolve
from gateway.release.manifest import Live

LONGEST = 1 << 20  # bytes of a playlist that is waited for
AT_ONCE = 256  # files waited for
WAITING = 1024
MOST_HINTS = 4096  # parts that are known to come
SOONEST, LATEST = 0.05, 1.0  # seconds between two looks at a signature
LOOKS = 4  # looks in the time of a part


class Files(Protocol):
    """The channels' files, as they are."""

    async def get(self, held: Held, live: Live, path: str) -> Came:
        """Return ``path`` as it was signed last, asked for a moment ago."""

    async def renewed(self, held: Held, live: Live, path: str) -> Came:
        """Return ``path`` as it is signed now."""

    async def signature(self, held: Held, live: Live, path: str) -> bytes:
        """Return the fields beside ``path``, not looked into."""

    def read(self, came: Came) -> bytes:
        """Return the bytes of a file that came."""


class Waiting:
    """Requests that wait for a playlist to go on, or for a part that it hints at."""

    def __init__(self, tasks: asyncio.TaskGroup, files: Files, clock: Callable[[], float] = time.monotonic) -> None:
        self._files, self._clock = files, clock
        self._once: Once[tuple[str, str, str], Came] = Once(tasks, at_once=AT_ONCE, waiting=WAITING)
        self._hints: OrderedDict[tuple[str, str], tuple[float, float]] = (
            OrderedDict()
        )  # until when, and seconds of a part
        metrics.LIVE_WAITING.set_function(lambda: len(self._once))
        self._signatures: OrderedDict[tuple[str, str, str], bytes] = (
            OrderedDict()
        )  # as seen when the file was asked for

    async def get(self, held: Held, live: Live, path: str, wanted: Wanted | None) -> Came:
        """Return ``path``; what ``wanted`` names or a playlist hinted at is waited for, at most three target durations.

        A playlist that does not go on in that time is shown as it is, as long as it may be: its origin may be away.

        Raises:
            Refused: ``wanted`` is too far ahead (``bad-request``), or as the origin answers.
            Unreachable: the origins are away, and nothing is here.
        """
        code = held.admitted.release.code
        if not freshness.is_playlist(path):
            until, part = self._hints.get((code, path), (0.0, 0.0))
            if until <= self._clock():
                return await self._files.get(held, live, path)
            came = await self._once.do((code, path, live.key), lambda: self._changed(held, live, path, part, until))
            self._hints.pop((code, path), None)
            return came
        came = await self._files.get(held, live, path)
        stands = self._noted(code, path, came)
        if wanted is None or stands is None or not stands.blocks or stands.has(wanted):
            return came
        stands.check(wanted)
        deadline = self._clock() + HELD * (stands.target or live.segment)
        pace = stands.part_target or stands.target or live.segment
        while not stands.has(wanted) and self._clock() < deadline:
            came = await self._once.do((code, path, live.key), lambda: self._changed(held, live, path, pace, deadline))
            stands = self._noted(code, path, came) or stands
        return came

    async def _changed(self, held: Held, live: Live, path: str, pace: float, deadline: float) -> Came:
        """Return the file once its signature is another one than was seen before, or as it is at the ``deadline``."""
        key, wait = (held.admitted.release.code, path, live.key), min(max(pace / LOOKS, SOONEST), LATEST)
        failure: HeadgateError | None = None
        while self._clock() < deadline:
            try:
                seen = await self._files.signature(held, live, path)
                if seen != self._signatures.get(key):
                    came = await self._files.renewed(held, live, path)
                    if came.came == "store" and key in self._signatures:  # written in this moment, it may be: once more
                        await asyncio.sleep(wait)
                        came = await self._files.renewed(held, live, path)
                    self._signatures[key] = seen
                    self._signatures.move_to_end(key)
                    while len(self._signatures) > MOST_HINTS:
                        self._signatures.popitem(last=False)
                    return came
            except (Refused, Unreachable) as error:
                if isinstance(error, Refused) and error.reason != "unknown-path":
                    raise
                failure = error
            await asyncio.sleep(wait)
        if failure is not None and not freshness.is_playlist(path):
            raise failure
        return await self._files.get(held, live, path)

    def _noted(self, code: str, path: str, came: Came) -> Standing | None:
        """Return where a playlist stands; the part that it hints at is known to come."""
        if came.entry.claim.size > LONGEST or not path.lower().endswith(".m3u8"):
            return None
        try:
            stands = standing(self._files.read(came))
            hinted = resolve(path, stands.hint) if stands and stands.hint else ""
        except (OSError, Corrupt):  # replaced meanwhile, or it hints at what no channel can hold
            return None
        if stands is not None and hinted:
            until = self._clock() + HELD * (stands.target or 1.0)
            self._hints[code, hinted] = until, stands.part_target or stands.target
            self._hints.move_to_end((code, hinted))
            while len(self._hints) > MOST_HINTS:
                self._hints.popitem(last=False)
        return stands
