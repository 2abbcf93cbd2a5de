"""One piece of work at a time for each key, however many wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from appliance.runtime.errors import HeadgateError, Refused

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Once(Generic[Key, Value]):
    """Coalesces work: it goes on when the first asker leaves, and its failure reaches everybody who waits."""

    def __init__(self, tasks: asyncio.TaskGroup, *, at_once: int, waiting: int) -> None:
        self._tasks, self._waiting = tasks, waiting
        self._running: dict[Key, asyncio.Future[Value]] = {}
        self._free = asyncio.Semaphore(at_once)

    def __len__(self) -> int:
        """Return how many keys are being worked at or wait for their turn."""
        return len(self._running)

    def __contains__(self, key: Key) -> bool:
        """Return whether ``key`` is being worked at or waits for its turn."""
        return key in self._running

    async def do(self, key: Key, work: Callable[[], Awaitable[Value]]) -> Value:
        """Return what ``work`` gives, or what the work under way for ``key`` gives.

        Raises:
            Refused: too many keys wait for their turn (``busy``).
            HeadgateError: as the work raised it.
        """
        future = self._running.get(key)
        if future is None:
            if len(self._running) >= self._waiting:
                raise Refused("busy", "too much is being fetched already: ask again", 503)
            future = self._running[key] = asyncio.get_running_loop().create_future()
            self._tasks.create_task(self._run(key, future, work))
        return await asyncio.shield(future)

    async def _run(self, key: Key, future: asyncio.Future[Value], work: Callable[[], Awaitable[Value]]) -> None:
        try:
            async with self._free:
                future.set_result(await work())
        except HeadgateError as error:
            future.set_exception(error)
            future.exception()  # nobody may be left to look at it
        finally:
            del self._running[key]
            if not future.done():  # our own mistake, or the end of the daemon: nobody may wait for ever
                future.cancel()
