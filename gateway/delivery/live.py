"""Files of live channels, as the exchange told them a moment ago."""

from __future__ import annotations

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from appliance.runtime.errors import Corrupt
from appliance.runtime.once import Once
from gateway.playlists.blocking import Standing, Wanted, standing
from gateway.release.live.freshness import is_playlist
from gateway.release.live.signing import FOLDER
from gateway.release.manifest import Live
from gateway.serving.exchange import Exchange, LiveFile
from gateway.store.live import LiveObjects

MOST = 20_000  # files in memory
MOST_STANDINGS = 1000  # playlists of which is known how far they have come
AT_ONCE = 96  # playlists waited for: fewer than the connections to the exchange
PREFIX = f"{FOLDER}/"


class Channels:
    """The live files of one zone."""

    def __init__(
        self,
        store: LiveObjects,
        exchange: Exchange,
        tasks: asyncio.TaskGroup,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._exchange, self._clock = store, exchange, clock
        self._known: OrderedDict[tuple[str, str], tuple[float, LiveFile]] = OrderedDict()
        self._once: Once[tuple[str, str], LiveFile] = Once(tasks, at_once=64, waiting=1000)
        self._held: Once[tuple[str, str, Wanted], LiveFile] = Once(tasks, at_once=AT_ONCE, waiting=1000)
        self._standings: OrderedDict[str, Standing | None] = OrderedDict()  # by digest

    async def open(self, code: str, path: str, wanted: Wanted | None = None) -> tuple[LiveFile, BinaryIO, str]:
        """Return the file at ``path`` (below ``live/``) of the channel, opened, and whether it was a ``hit``.

        A playlist comes once it has what is ``wanted``: who wants the same waits for one answer.

        Raises:
            Refused, Unreachable: as the exchange answered.
        """
        known = self._known.get((code, path))
        if known is not None and known[0] > self._clock():
            opened = self._store.open(known[1].sha256, known[1].size)
            if opened is not None and (wanted is None or self._has(known[1], opened, wanted)):
                return known[1], opened, "hit"
            if opened is not None:
                opened.close()
        if wanted is None:
            file = await self._once.do((code, path), lambda: self._ask(code, path))
        else:
            file = await self._held.do((code, path, wanted), lambda: self._ask(code, path, wanted))
        opened = self._store.open(file.sha256, file.size)
        if opened is None:
            raise Corrupt("the live file that the exchange told of is not in the store")
        return file, opened, "miss"

    def known(self, code: str, path: str) -> tuple[LiveFile, Path, float] | None:
        """Return the segment at ``path`` (below ``live/``) if it is here and nobody need be asked: where, and for how many seconds."""
        until, file = self._known.get((code, path)) or (0.0, None)
        left = until - self._clock()
        if file is None or left <= 0 or is_playlist(path) or not self._store.has(file.sha256, file.size):
            return None
        return file, self._store.path(file.sha256), left

    def forget(self) -> None:
        """Ask for everything again: another policy may let other channels pass."""
        self._known.clear()

    def _has(self, file: LiveFile, opened: BinaryIO, wanted: Wanted) -> bool:
        """Return whether the playlist that is here has what is waited for, or is none that is waited for."""
        if file.sha256 not in self._standings:
            self._standings[file.sha256] = standing(os.pread(opened.fileno(), file.size, 0))
            while len(self._standings) > MOST_STANDINGS:
                self._standings.popitem(last=False)
        stands = self._standings[file.sha256]
        return stands is None or not stands.blocks or stands.has(wanted)

    async def _ask(self, code: str, path: str, wanted: Wanted | None = None) -> LiveFile:
        asked = self._clock()
        file = await self._exchange.live(code, path, wanted)
        # A playlist that was waited for is as old as its answer, not as the question.
        self._known[code, path] = (asked if wanted is None else self._clock()) + file.fresh, file
        self._known.move_to_end((code, path))
        while len(self._known) > MOST:
            self._known.popitem(last=False)
        return file


def longest(live: Live, path: str) -> int:
    """Return for how many seconds a player may keep the file at ``path``: a playlist for half a segment, a segment for a window."""
    return int(live.segment / 2) if is_playlist(path) else int(live.segment * live.window)
