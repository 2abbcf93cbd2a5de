"""A record of each delivery, handed to the exchange in order, kept while the exchange is away."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime

from appliance.runtime.errors import Corrupt, Refused, Unreachable
from appliance.telemetry.records import Record, written

MOST = 20_000  # records in memory, some 10 MiB; beyond, nothing is served that could not be accounted for
AT_ONCE = 4  # records under way: the exchange answers after an fsync
AGAIN = 0.5  # seconds until an exchange that is away is tried again
LAST = 2.0  # seconds given to what is left when the daemon stops

log = logging.getLogger("headgate.delivery")


def record(
    *,
    zone: str,
    release: str,
    path: str,
    body: str,
    status: int,
    cache: str,
    sent: int,
    started: datetime,
    seconds: float,
    subject: str,
    now: datetime,
) -> Record:
    """Return the usage record of one delivery, complete or broken off; ``sent`` is the bytes of content that the kernel took.

    ``subject`` is the pseudonym of a token's subject, empty where there is none.
    """
    return Record.new(
        "usage",
        f"delivery/{zone}",
        {
            "release": release,
            "path": path,
            "body": body,
            "zone": zone,
            "bytes": sent,
            "status": status,
            "cache": cache,
            "started": written(started),
            "seconds": round(seconds, 6),
            **({"subject": subject} if subject else {}),
        },
        now,
    )


class Usage:
    """The records that wait for the exchange."""

    def __init__(self, hand_over: Callable[[Record], Awaitable[None]], dropped: Callable[[], None]) -> None:
        self._hand_over, self._dropped = hand_over, dropped
        self._waiting: deque[Record] = deque()
        self._under_way = 0
        self._more, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        """Return how many records the exchange has not taken yet."""
        return len(self._waiting) + self._under_way

    def add(self, record: Record) -> None:
        """Take a record; what was delivered is recorded also above the bound, which stops new deliveries."""
        self._waiting.append(record)
        self._more.set()
        self._idle.clear()

    def check(self) -> None:
        """Raise unless a new delivery can be accounted for.

        Raises:
            Refused: too many records wait (``busy``).
        """
        if len(self) >= MOST:
            raise Refused("busy", "too many records of use wait for the exchange", 503)

    async def run(self) -> None:
        """Hand records over, for ever."""
        async with asyncio.TaskGroup() as senders:
            for _ in range(AT_ONCE):
                senders.create_task(self._send())

    async def drain(self, seconds: float = LAST) -> int:
        """Wait until nothing waits, at most ``seconds``; return how many records are left, which are lost."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        return len(self)

    async def _send(self) -> None:
        while True:
            while not self._waiting:
                self._more.clear()
                await self._more.wait()
            record = self._waiting.popleft()
            self._under_way += 1
            try:
                await self._hand_over(record)
            except Unreachable:
                self._waiting.appendleft(record)  # its id is the same the next time: the spool keeps it once
                await asyncio.sleep(AGAIN)
            except (Refused, Corrupt) as error:
                if isinstance(error, Refused) and error.status >= 500:  # the spool is full: later there is room again
                    self._waiting.appendleft(record)
                    await asyncio.sleep(AGAIN)
                else:
                    log.error("the exchange does not take a record of use: %s", error)
                    self._dropped()
            finally:
                self._under_way -= 1
                if not len(self):
                    self._idle.set()
