"""What one zone keeps: the shelf in memory and the disk behind it, changed together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Coroutine
from dataclasses import replace
from typing import Any

from appliance.runtime.errors import Refused
from gateway.caching.body import Body
from gateway.caching.disk import Disk
from gateway.caching.fields import Fields
from gateway.caching.shelf import Shelf, tags
from gateway.caching.stored import Stored

log = logging.getLogger("headgate.delivery")


class Incoming:
    """A response that is being received: ``spoiled`` once it was purged before it was whole."""

    def __init__(self, key: str) -> None:
        self.key, self.spoiled = key, False
        self.fields: Fields | None = None  # not before its head came

    def concerns(self, wanted: Collection[str], key: str | None, prefix: str | None) -> bool:
        """Return whether a purge is about it; one by tags is about whatever has not told its tags yet, too."""
        by_tag = bool(wanted) and (self.fields is None or not set(wanted).isdisjoint(tags(self.fields)))
        return by_tag or self.key == key or (prefix is not None and self.key.startswith(prefix))


class Kept:
    """The stored responses of one zone; ``tasks`` runs what is written behind."""

    def __init__(self, disk: Disk, shelf: Shelf, tasks: asyncio.TaskGroup) -> None:
        self._disk, self.shelf, self._tasks = disk, shelf, tasks
        self._incoming: set[Incoming] = set()
        for stored in sorted(disk.load(), key=lambda one: one.received):
            if gone := shelf.put(stored):
                self._later(disk.remove(gone))

    def begin(self, key: str) -> Incoming:
        """Note that a response for ``key`` is asked for."""
        incoming = Incoming(key)
        self._incoming.add(incoming)
        return incoming

    def over(self, incoming: Incoming) -> None:
        """Note that this is over, whatever became of it."""
        self._incoming.discard(incoming)

    def create(self, start: int) -> tuple[str, Body]:
        """Return a new id and its body, whose first byte will be the one at ``start``."""
        one, descriptor = self._disk.create()
        return one, Body(descriptor, start)

    def extend(self, stored: Stored, start: int) -> Body:
        """Return the body of what is stored, to be written from ``start`` on.

        Raises:
            FileNotFoundError: it went meanwhile.
        """
        return Body(self._disk.open(stored.id), start)

    def open(self, stored: Stored) -> Body:
        """Return the body of what is stored, to be read.

        Raises:
            FileNotFoundError: it went meanwhile.
        """
        return Body(self._disk.open(stored.id), 0, stored.spans[-1][1] if stored.spans else 0)

    def put(self, stored: Stored) -> None:
        """Keep a response whose bytes are all written."""
        gone = self.shelf.put(stored)
        self._later(self._disk.remove(gone))
        self._later(self._disk.keep(stored))

    def drop(self, one: str) -> None:
        """Remove a body that came to nothing."""
        if self.shelf.get(one) is None:
            self._disk.discard(one)

    def lost(self, stored: Stored) -> None:
        """Forget a response whose body cannot be read."""
        self.shelf.remove(stored.id)
        self._later(self._disk.remove([stored.id]))

    async def purge(
        self,
        wanted: Collection[str] = (),
        key: str | None = None,
        prefix: str | None = None,
        *,
        soft: bool = False,
    ) -> int:
        """Remove for good, or make stale (``soft``), what these name; return how many responses that were, once it is durable."""
        for incoming in self._incoming:
            if incoming.concerns(wanted, key, prefix):
                incoming.spoiled = True
        found = self.shelf.chosen(wanted, key, prefix)
        if soft:
            await self._disk.soften([self.shelf.soften(stored) for stored in found])
        else:
            for stored in found:
                self.shelf.remove(stored.id)
            await self._disk.remove([stored.id for stored in found])
        return len(found)

    def invalidate(self, key: str) -> None:
        """Make stale for good what is kept under ``key``: an unsafe request succeeded (RFC 9111 section 4.4)."""
        for incoming in self._incoming:
            if incoming.key == key:
                incoming.spoiled = True
        gone = [stored.id for stored in self.shelf.find(key)]
        for one in gone:
            self.shelf.remove(one)
        self._later(self._disk.remove(gone))

    async def close(self) -> None:
        """Write what waits to be written, and close."""
        await self._disk.close()

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.create_task(_told(work))


async def _told(work: Coroutine[Any, Any, None]) -> None:
    """Do ``work`` behind; what the disk does not take is kept in memory alone, until the next start."""
    try:
        await work
    except Refused as error:
        log.warning("%s", error)


def adopted(stored: Stored, one: str, at: int) -> Stored:
    """Return the response under its id, complete with ``at`` bytes."""
    return replace(stored, id=one, size=at, spans=((0, at),) if at else ())
