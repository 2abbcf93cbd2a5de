"""The next segment is fetched while a screen plays the one before: bounded, and counted as used or as wasted."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

from appliance.runtime.errors import HeadgateError
from gateway.delivery import metrics
from gateway.playlists.ladder import DASH, HLS
from gateway.playlists.order import LONGEST, following
from gateway.release.references import resolve
from gateway.serving.exchange import Exchange, Manifest
from gateway.store.objects import Objects

AT_ONCE = 4  # segments being fetched ahead in one zone
LARGEST = 32 << 20  # bytes of one
MOST_BYTES = 256 << 20  # that were fetched and that no screen has asked for yet
MOST_NEXT = 2  # that one request has fetched ahead
MOST_ORDERS = 64  # playlists whose order is in memory
KEPT = 120.0  # seconds after which what nobody asked for was fetched in vain

log = logging.getLogger("headgate.delivery")


class Ahead:
    """What is fetched ahead in one zone; ``clock`` tells seconds that only grow."""

    def __init__(
        self,
        zone: str,
        store: Objects,
        exchange: Exchange,
        tasks: asyncio.TaskGroup,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._zone, self._store, self._exchange, self._tasks, self._clock = zone, store, exchange, tasks, clock
        self._orders: OrderedDict[tuple[str, str], dict[str, str]] = OrderedDict()  # by version and playlist
        self._running: set[tuple[str, str]] = set()
        self._fetched: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()  # when, and bytes
        self._bytes = 0  # of what was fetched and is being fetched, and was not asked for yet

    def asked(self, manifest: Manifest, path: str) -> None:
        """Take note that a screen asks for ``path``: if it was fetched ahead, it was of use."""
        if (found := self._fetched.pop((manifest.digest, path), None)) is not None:
            self._bytes -= found[1]
            self._count("used", found[1])

    def served(self, manifest: Manifest, path: str, told: Sequence[str] = ()) -> None:
        """Fetch what comes after ``path``, which a screen was given whole: what it ``told`` (CMCD ``nor``), else as the playlist has it."""
        self._expire()
        file = manifest.files.get(path)
        if file is None:
            return
        if file.type in (HLS, DASH):
            self._learn(manifest, path)
            return
        names = []
        for text in told[:MOST_NEXT]:
            try:
                names.append(resolve(path, text))
            except ValueError:
                log.debug("a player tells of no file of the release: %r", text[:80])
        if not names:
            names = [order[path] for key, order in self._orders.items() if key[0] == manifest.digest and path in order]
        for name in dict.fromkeys(names[:MOST_NEXT]):
            self._begin(manifest, name)

    def begin(self, manifest: Manifest, name: str, largest: int, fetch: Callable[[], Awaitable[int]]) -> None:
        """Fetch the file ``name`` of at most ``largest`` bytes by ``fetch``, which returns how many came, if there is room for it."""
        self._expire()
        key = (manifest.digest, name)
        if key in self._running or key in self._fetched:
            return
        if len(self._running) < AT_ONCE and self._bytes + largest <= MOST_BYTES:
            self._running.add(key)
            self._bytes += largest
            self._tasks.create_task(self._run(key, largest, fetch))

    def _begin(self, manifest: Manifest, name: str) -> None:
        file = manifest.files.get(name)
        if file is not None and file.size <= LARGEST and not self._exchange.allows(manifest, name):
            size = file.size
            self.begin(manifest, name, size, lambda: self._fetch(manifest, name, size))

    async def _fetch(self, manifest: Manifest, name: str, size: int) -> int:
        coming = await self._exchange.object(manifest, name)
        if coming.stored:
            return 0
        await coming.reach(size)
        return size

    async def _run(self, key: tuple[str, str], largest: int, fetch: Callable[[], Awaitable[int]]) -> None:
        size = 0
        try:
            size = await fetch()
        except HeadgateError as error:
            log.debug("%s was not fetched ahead: %s", key[1], error)
        finally:
            self._running.discard(key)
            self._bytes += size - largest
        if size:
            self._fetched[key] = self._clock(), size
            self._count("fetched", size)

    def _learn(self, manifest: Manifest, path: str) -> None:
        key, file = (manifest.digest, path), manifest.files[path]
        if key in self._orders or file.size > LONGEST:
            return
        opened = self._store.open(file.sha256, file.size)
        if opened is None:
            return
        with opened:
            self._orders[key] = following(path, os.pread(opened.fileno(), file.size, 0), file.type)
        while len(self._orders) > MOST_ORDERS:
            self._orders.popitem(last=False)

    def _expire(self) -> None:
        while self._fetched and self._clock() - next(iter(self._fetched.values()))[0] > KEPT:
            size = self._fetched.popitem(last=False)[1][1]
            self._bytes -= size
            self._count("wasted", size)

    def _count(self, outcome: str, size: int) -> None:
        metrics.AHEAD.labels(self._zone, outcome).inc()
        metrics.AHEAD_BYTES.labels(self._zone, outcome).inc(size)
