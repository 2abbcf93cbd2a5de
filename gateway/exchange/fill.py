"""One object that is coming in: what all who wait for it see of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from appliance.runtime.errors import HeadgateError, Refused
from gateway.release.manifest import File
from gateway.store.passed import As
from gateway.store.scrub import Pace


class Fill:
    """Grows; ``verified`` bytes of ``incoming`` passed both filters."""

    def __init__(self, what: As, file: File) -> None:
        self.what, self.file = what, file
        self.incoming: str | None = None
        self.verified = 0
        self.over = False
        self.pace: Pace | None = None  # of what is fetched ahead, as slowly as the plan says
        self.failure: HeadgateError | None = None
        self._news = asyncio.Event()

    def came(self, incoming: str) -> None:
        """Say where the bytes are."""
        self.incoming = incoming

    def advance(self, verified: int) -> None:
        """Say how far both filters are."""
        if verified > self.verified:
            self.verified = verified
            self._tell()

    def end(self, failure: HeadgateError | None) -> None:
        """Say that it is in the store, or why it will not be."""
        if not self.over:
            self.over, self.failure = True, failure
            self._tell()

    async def begun(self) -> None:
        """Wait until some of it may be shown.

        Raises:
            HeadgateError: nothing of it will be.
        """
        async for _ in self.follow():
            if self.verified:
                return

    async def follow(self) -> AsyncIterator[int]:
        """Yield how far it is, each time that it gets further, until the end.

        Raises:
            HeadgateError: it will not be whole.
        """
        while True:
            news, verified, over = self._news, self.verified, self.over
            if over and self.failure is not None:
                raise _again(self.failure)
            yield verified
            if over:
                return
            await news.wait()

    async def done(self) -> None:
        """Wait until it is in the store.

        Raises:
            HeadgateError: it will not be.
        """
        async for _ in self.follow():
            pass

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


def _again(failure: HeadgateError) -> HeadgateError:
    """Return the failure anew: each who waits raises one of his own."""
    if isinstance(failure, Refused):
        return Refused(failure.reason, str(failure), failure.status)
    return type(failure)(*failure.args)
