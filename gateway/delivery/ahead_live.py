"""The next segment of a live DASH channel is fetched while a screen is given the one before, or as soon as it is there.

HLS needs none of this: the exchange fetches what a media playlist names last as soon as it comes. An MPD names every representation,
and need not change while segments come; so what is fetched is what comes after the segments that screens ask for.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable

from appliance.runtime.errors import HeadgateError, Refused
from gateway.delivery.ahead import LARGEST, Ahead
from gateway.delivery.live import PREFIX, Channels
from gateway.playlists import order
from gateway.playlists.order import LONGEST, Live
from gateway.serving.exchange import Manifest

MOST_ORDERS = 64  # MPDs whose order is in memory
MOST_EDGES = 1000  # segments after which nothing was known yet
MOST_WAITING = 64  # segments that are waited for
LATEST = 20.0  # seconds that one is waited for, or an MPD that names it
AGAIN, TRIES = (
    0.25,
    20,
)  # seconds until one is asked for again that is whole by the clock and not at the origin yet, and how often

log = logging.getLogger("headgate.delivery")


class AheadLive:
    """What is fetched ahead of one zone's live channels, in the bounds of ``ahead``; ``now`` tells seconds since 1970."""

    def __init__(
        self, ahead: Ahead, channels: Channels, tasks: asyncio.TaskGroup, now: Callable[[], float] = time.time
    ) -> None:
        self._ahead, self._channels, self._tasks, self._now = ahead, channels, tasks, now
        self._orders: OrderedDict[tuple[str, str], tuple[str, Live]] = (
            OrderedDict()
        )  # by channel and MPD: its digest too
        self._learning: set[tuple[str, str]] = set()
        self._edges: OrderedDict[tuple[str, str], tuple[float, Manifest]] = OrderedDict()  # and when they were served
        self._waiting: set[tuple[str, str]] = set()

    def served(self, manifest: Manifest, code: str, path: str) -> None:
        """Fetch what comes after ``path``, which a screen was given whole; learn what that is from an MPD."""
        if not path.lower().endswith(".mpd"):
            self._follow(manifest, code, path)
        elif (code, path) not in self._learning:
            self._learning.add((code, path))
            self._tasks.create_task(self._learn(code, path))

    def _follow(self, manifest: Manifest, code: str, path: str) -> None:
        now = self._now()
        for told in [told for (channel, _), (_, told) in self._orders.items() if channel == code]:
            if (found := told.after(path, now)) is not None:
                self._edges.pop((code, path), None)
                self._begin_in(found[1], manifest, code, found[0])
                return
        self._edges.setdefault((code, path), (now, manifest))  # the MPD that names what follows is yet to come
        self._edges.move_to_end((code, path))
        while len(self._edges) > MOST_EDGES:
            self._edges.popitem(last=False)

    def _begin_in(self, seconds: float, manifest: Manifest, code: str, name: str) -> None:
        if not seconds:
            self._begin(manifest, code, name)
        elif seconds <= LATEST and (code, name) not in self._waiting and len(self._waiting) < MOST_WAITING:
            self._waiting.add((code, name))
            self._tasks.create_task(self._wait(seconds, manifest, code, name, TRIES))

    async def _wait(self, seconds: float, manifest: Manifest, code: str, name: str, tries: int) -> None:
        await asyncio.sleep(seconds)
        self._waiting.discard((code, name))
        self._begin(manifest, code, name, tries)

    def _begin(self, manifest: Manifest, code: str, name: str, tries: int = TRIES) -> None:
        if manifest.live is not None and name.startswith(PREFIX):
            largest = min(manifest.live.largest, LARGEST)
            self._ahead.begin(manifest, name, largest, lambda: self._fetch(manifest, code, name, tries))

    async def _fetch(self, manifest: Manifest, code: str, name: str, tries: int) -> int:
        try:
            file, opened, cache = await self._channels.open(code, name.removeprefix(PREFIX))
        except Refused as error:
            # A packager is done with a segment some time after its last picture: the clock alone says too much.
            if error.reason == "unknown-path" and tries > 1 and (code, name) not in self._waiting:
                self._waiting.add((code, name))
                self._tasks.create_task(self._wait(AGAIN, manifest, code, name, tries - 1))
            raise
        opened.close()
        return file.size if cache == "miss" and file.came == "origin" else 0

    async def _learn(self, code: str, path: str) -> None:
        """Read what follows what by the MPD at ``path``, if it is another one; then go on where nothing was known before."""
        key = (code, path)
        try:
            file, opened, _ = await self._channels.open(code, path.removeprefix(PREFIX))
            with opened:
                if file.size > LONGEST or (key in self._orders and self._orders[key][0] == file.sha256):
                    return
                self._orders[key] = file.sha256, order.live(path, os.pread(opened.fileno(), file.size, 0))
            self._orders.move_to_end(key)
            while len(self._orders) > MOST_ORDERS:
                self._orders.popitem(last=False)
            for (channel, name), (at, manifest) in list(self._edges.items()):
                if self._now() - at > LATEST:
                    del self._edges[channel, name]
                elif channel == code:
                    self._follow(manifest, code, name)
        except HeadgateError as error:
            log.debug("%s was not read: %s", path, error)
        finally:
            self._learning.discard(key)
