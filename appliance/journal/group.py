"""One fsync and one signature for all who wait at the same time: a journal for a daemon's tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from appliance.journal.log import Journal, encode
from appliance.runtime.errors import HeadgateError, Refused

MOST_WAITING = 10_000  # entries on their way to the disk
MOST_TOGETHER = 2000  # entries of one batch


class Group:
    """Appends to ``journal`` for any number of tasks; its own work is a task of ``tasks``."""

    def __init__(self, journal: Journal, tasks: asyncio.TaskGroup) -> None:
        self._journal, self._tasks = journal, tasks
        self._waiting: list[tuple[Mapping[str, Any], asyncio.Future[int]]] = []
        self._writing = False

    async def append(self, entry: Mapping[str, Any]) -> int:
        """Return the number of ``entry`` once it is durable and signed.

        Raises:
            ValueError: it is no entry.
            Refused: the disk is full (``journal-full``) or failed (``journal-broken``), or too much waits for it (``busy``).
        """
        encode(entry)  # a wrong one must not fail its neighbours
        if len(self._waiting) >= MOST_WAITING:
            raise Refused("busy", f"{MOST_WAITING} entries wait for the journal's disk: ask again", 503)
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, future))
        if not self._writing:
            self._writing = True
            self._tasks.create_task(self._write())
        return await asyncio.shield(future)

    async def prove(self, entry: Mapping[str, Any], number: int) -> bytes:
        """Return the proof that ``entry`` is number ``number`` of the journal, for anybody who has its key."""
        return await asyncio.to_thread(self._journal.prove, entry, number)

    async def _write(self) -> None:
        batch: list[tuple[Mapping[str, Any], asyncio.Future[int]]] = []
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
                try:
                    numbers = await asyncio.to_thread(self._journal.append_many, [entry for entry, _ in batch])
                except HeadgateError as error:
                    for _, future in batch:
                        future.set_exception(error)
                        future.exception()  # nobody may be left to look at it
                else:
                    for number, (_, future) in zip(numbers, batch, strict=True):
                        future.set_result(number)
        finally:
            self._writing = False
            for _, future in [*batch, *self._waiting]:
                if not future.done():  # the end of the daemon, or our own mistake: nobody may wait for ever
                    future.cancel()
            self._waiting = []
