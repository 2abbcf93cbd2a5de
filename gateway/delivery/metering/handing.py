"""Windows that are over, as files of usage records that wait for the exchange: kept until it made them durable."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from appliance.runtime.errors import Corrupt, HeadgateError, Refused, Unreachable
from appliance.runtime.files import write_atomic
from appliance.telemetry.records import Record
from gateway.delivery.metering.records import usage_records
from gateway.delivery.metering.window import Window

MOST_WAITING = 512 << 20  # bytes of records; beyond, nothing is served that could not be accounted for
LARGEST_BATCH = 24 << 10  # bytes of records handed over at once
AGAIN = 0.5  # seconds until an exchange that is away is tried again
RECORDS = ".records"
log = logging.getLogger("headgate.delivery")


class Sealed(NamedTuple):
    """A file of records that waits."""

    path: Path
    bytes: int
    records: int


def seal(window: Window) -> Sealed | None:
    """Write a window's records down durably and throw the window away; None if it counted nothing.

    One that was sealed before keeps its records.
    """
    path = window.path.with_suffix(RECORDS)
    made = usage_records(window.id, window.cells(), datetime.now(UTC))
    if made and not path.exists():
        write_atomic(path, b"".join(record.encode() + b"\n" for record in made))
    window.close()
    window.path.unlink()
    return look(path) if made else None


def look(path: Path) -> Sealed:
    """Return what there is in a file of records."""
    data = path.read_bytes()
    return Sealed(path, len(data), data.count(b"\n"))


class Handing:
    """The files in ``folder`` that wait."""

    def __init__(
        self, folder: Path, hand_over: Callable[[Sequence[Record]], Awaitable[None]], lost: Callable[[], None]
    ) -> None:
        self._folder, self._hand_over, self._lost = folder, hand_over, lost
        self._waiting = {path: look(path) for path in folder.glob(f"*{RECORDS}")}
        self._more, self._idle = asyncio.Event(), asyncio.Event()
        self._told()

    @property
    def waiting(self) -> int:
        """How many records wait."""
        return sum(sealed.records for sealed in self._waiting.values())

    def add(self, sealed: Sealed) -> None:
        """Hand over the records of a window."""
        self._waiting[sealed.path] = sealed
        self._told()

    def _told(self) -> None:
        self.bytes = sum(sealed.bytes for sealed in self._waiting.values())  # that wait
        if self._waiting:
            self._more.set()
            self._idle.clear()
        else:
            self._more.clear()
            self._idle.set()

    async def run(self) -> None:
        """Hand over, oldest first, for ever."""
        while True:
            await self._more.wait()
            path = min(self._waiting, key=lambda one: int(one.name.split("-", 1)[0]))
            for batch in _batches(await asyncio.to_thread(_read, path)):
                await self._give(batch)
            await asyncio.to_thread(path.unlink, missing_ok=True)
            del self._waiting[path]
            self._told()

    async def idle(self) -> None:
        """Wait until nothing waits."""
        await self._idle.wait()

    async def _give(self, batch: Sequence[Record]) -> None:
        while True:
            try:
                await self._hand_over(batch)
            except (Unreachable, Refused, Corrupt) as error:
                if not _passes(error):
                    await self._refused(batch, error)
                    return
                await asyncio.sleep(AGAIN)  # their ids are the same the next time: the spool keeps them once
            else:
                return

    async def _refused(self, batch: Sequence[Record], error: HeadgateError) -> None:
        """Find out which one of a batch the exchange does not take: the others are not lost for it."""
        if len(batch) > 1:
            for record in batch:
                await self._give([record])
            return
        log.error("the exchange does not take a record of use: %s", error)
        self._lost()


def _passes(error: HeadgateError) -> bool:
    """Return whether it may go another time: nobody answers, or the spool is full."""
    return isinstance(error, Unreachable) or (
        isinstance(error, Refused) and (error.status >= 500 or error.status == 429)
    )


def _read(path: Path) -> list[Record]:
    return [Record.parse(line) for line in path.read_bytes().split(b"\n") if line]


def _batches(records: Sequence[Record]) -> list[list[Record]]:
    batches: list[list[Record]] = [[]]
    size = 0
    for record in records:
        size += len(record.encode())
        if batches[-1] and size > LARGEST_BATCH:
            batches.append([])
            size = len(record.encode())
        batches[-1].append(record)
    return [batch for batch in batches if batch]
