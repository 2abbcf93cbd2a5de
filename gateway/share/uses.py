"""Tells the exchange what other boxes were given, so that the store keeps it: hints, which may be lost, and no records."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from appliance.runtime.errors import HeadgateError

EVERY = 1.0  # seconds
AT_ONCE = 200  # uses in one request
MOST = 5000  # uses that wait; older ones are forgotten

log = logging.getLogger("headgate.share")


class Uses:
    """What waits to be told by ``tell``."""

    def __init__(self, tell: Callable[[list[dict[str, Any]]], Awaitable[None]]) -> None:
        self._tell = tell
        self._waiting: deque[dict[str, Any]] = deque(maxlen=MOST)

    def add(self, release: str, path: str, sent: int, *, hit: bool) -> None:
        """Note that ``sent`` bytes of a file went out; ``hit``: it was in the store before it was asked for."""
        self._waiting.append({"release": release, "path": path, "bytes": sent, "hit": hit})

    async def run(self) -> None:
        """Tell, for ever."""
        while True:
            await asyncio.sleep(EVERY)
            while self._waiting:
                some = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
                try:
                    await self._tell(some)
                except HeadgateError as error:
                    log.debug("%d uses are not told: %s", len(some), error)
                    break
