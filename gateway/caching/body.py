"""A body on its way into its file, read by as many as want it while it comes."""

from __future__ import annotations

import asyncio
import os
import weakref

from appliance.runtime.errors import HeadgateError


class Body:
    """The file ``descriptor``, which holds the bytes from ``start`` on; closed once nobody refers to it."""

    def __init__(self, descriptor: int, start: int = 0, end: int | None = None) -> None:
        self.descriptor, self.start = descriptor, start
        self.at = start if end is None else end  # the byte behind the last one that is here
        self.done = end is not None
        self._failure: HeadgateError | None = None
        self._changed = asyncio.Event()
        weakref.finalize(self, os.close, descriptor)

    def write(self, data: bytes) -> None:
        """Add what came."""
        self.write_silently(data)
        self._wake()

    def write_silently(self, data: bytes) -> None:
        """Add what came; who waits is told by what comes next, or by the end."""
        os.pwrite(self.descriptor, data, self.at)
        self.at += len(data)

    def end(self, failure: HeadgateError | None = None) -> None:
        """Say that nothing more comes: all is here, or ``failure`` is why it is not."""
        self.done, self._failure = True, failure
        self._wake()

    async def reach(self, at: int) -> int:
        """Wait until the byte ``at`` is here, or there is none; return the byte behind the last one.

        Raises:
            HeadgateError: the body broke off before.
        """
        while self.at <= at and not self.done:
            await self._changed.wait()
        if self.at <= at and self._failure is not None:
            raise self._failure
        return self.at

    def read(self, at: int, most: int) -> bytes:
        """Return bytes that are here."""
        return os.pread(self.descriptor, min(most, self.at - at), at)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
