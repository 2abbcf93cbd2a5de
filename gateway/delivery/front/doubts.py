"""Whether the disk gave what nginx sent less of than it began: nginx says the same of a screen that left and of a disk that fails.

So of an answer that broke off the place where it did is read here. What cannot be read is told to the exchange, as without nginx,
which looks itself, and fetches the object again.
"""

from __future__ import annotations

import asyncio
import os

from appliance.runtime.errors import HeadgateError
from gateway.delivery.front.lines import Ended
from gateway.delivery.front.opaque import Carried
from gateway.serving.exchange import Exchange, Manifest
from gateway.store.objects import Objects

AT_ONCE = 4  # objects that are read: a disk that fails may take seconds for it
MOST = 256  # that wait for it
SPAN = 128 << 10  # bytes that are read from where it broke off: with TLS nginx reads ahead of what it sends


class Doubts:
    """The objects in ``store`` that are looked at."""

    def __init__(self, store: Objects, exchange: Exchange, tasks: asyncio.TaskGroup) -> None:
        self._store, self._exchange, self._tasks = store, exchange, tasks
        self._waiting: dict[
            tuple[str, str], int
        ] = {}  # release and path, and the place; in the order in which they were told
        self._looking: set[tuple[str, str]] = set()
        self._lookers = 0

    def hear(self, ended: Ended, carried: Carried) -> None:
        """Take note of what nginx delivered by itself; with too much to look at, whoever comes next will tell."""
        key = carried.release, carried.path
        if ended.length is None or ended.head or ended.body >= ended.length:
            return
        if key in self._waiting or key in self._looking or len(self._waiting) >= MOST:
            return
        self._waiting[key] = ended.first + ended.body
        if self._lookers < AT_ONCE:
            self._lookers += 1
            self._tasks.create_task(self._look_on())

    async def _look_on(self) -> None:
        """Look at one after the other, until none waits."""
        try:
            while self._waiting:
                key = next(iter(self._waiting))
                self._looking.add(key)
                await self._look(key, self._waiting.pop(key))
        finally:
            self._lookers -= 1

    async def _look(self, key: tuple[str, str], place: int) -> None:
        code, path = key
        try:
            manifest = await self._exchange.manifest(code)
            if not await asyncio.to_thread(self._is_readable, manifest, path, place):
                await self._exchange.damaged(manifest, path)
        except HeadgateError:
            pass  # it is not served any more, or nobody can say so now
        finally:
            self._looking.discard(key)

    def _is_readable(self, manifest: Manifest, path: str, place: int) -> bool:
        """Return whether what is in the store can be read at ``place``; also where nothing is there, or another version."""
        file = manifest.files.get(path)
        try:
            opened = None if file is None else self._store.open(file.sha256, file.size)
            if file is None or opened is None:
                return True
            with opened:
                return len(os.pread(opened.fileno(), SPAN, place)) == min(SPAN, max(0, file.size - place))
        except OSError:
            return False
