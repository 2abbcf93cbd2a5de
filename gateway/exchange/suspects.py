"""Objects that somebody could not read whole: the exchange reads them again itself, so that nobody is believed about it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

MOST = 256  # objects that wait for being read again; further ones are left to scrubbing


class Suspects:
    """The objects, in the order in which they were told, each once."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._more = asyncio.Event()

    def tell(self, digest: str) -> None:
        """Take note of an object."""
        if len(self._waiting) < MOST:
            self._waiting[digest] = None
            self._more.set()

    async def next(self) -> str:
        """Return the one that was told first, as soon as there is one."""
        while not self._waiting:
            self._more.clear()
            await self._more.wait()
        return self._waiting.popitem(last=False)[0]
