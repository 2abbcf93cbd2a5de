"""One object's bytes, from an origin's answer through both filters: while a piece is judged, the next one comes in."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

from appliance.runtime.asking import BrokeOff
from appliance.runtime.errors import Corrupt, HeadgateError, Refused
from gateway.exchange.fill import Fill
from gateway.exchange.judge import Judge
from gateway.exchange.releases import Held
from gateway.filters.client import Looking
from gateway.release.manifest import PIECE
from gateway.store.incoming import Arrival
from gateway.store.keeper import Room

BROKEN = (HeadgateError, BrokeOff, TimeoutError)  # how an answer ends before its end
AHEAD = 3 * PIECE  # bytes that came and are not judged
SOON = 0.05  # seconds in which more may come before what came is judged: what is whole by then costs one question to each filter
Chunk = bytes | memoryview  # may be used until the next is asked for
Piece = tuple[int, bool]  # bytes, and whether they are the last


class Crossing:
    """Writes what comes into ``arrival`` and shows ``fill`` how far both filters passed it."""

    def __init__(
        self, fill: Fill, arrival: Arrival, room: Room, held: Held, path: str, judge: Judge, looking: Looking
    ) -> None:
        self._fill, self._arrival, self._held, self._path = fill, arrival, held, path
        self._judge, self._looking, self._room = judge, looking, room
        self._judged, self._whole = 0, False  # bytes, in whole chunks; whether they are all
        self._ended = False  # no more comes of this answer
        self._failure: Exception | None = None  # by which it ended
        self._came, self._passed = asyncio.Event(), asyncio.Event()  # since somebody looked
        fill.came(arrival.name)

    @property
    def size(self) -> int:
        """Return the bytes of the object."""
        return self._fill.file.size

    @property
    def type(self) -> str:
        """Return the media type that the manifest declares."""
        return self._fill.file.type

    @property
    def path(self) -> Path:
        """Return where the bytes are that came so far."""
        return self._arrival.path

    @property
    def written(self) -> int:
        """Return from which byte on the next answer has to be."""
        return self._arrival.written

    def rewind(self) -> None:
        """Forget what came behind the last piece that passed."""
        self._arrival.rewind(self._judged)

    async def take(self, chunks: AsyncIterator[Chunk]) -> None:
        """Take an answer's bytes to the object's end.

        Raises:
            Corrupt, Refused: they are not the object's, or a filter refused them.
            Unreachable: they broke off.
        """
        self._ended, self._failure = False, None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._judge_all())
                try:
                    await self._write_all(chunks)
                except BROKEN as error:  # what came whole is judged, and need not come again
                    self._failure = error
                self._ended = True
                self._came.set()
        except BaseExceptionGroup as errors:
            raise _first(errors) from errors
        if self._failure is not None:
            raise self._failure

    async def _write_all(self, chunks: AsyncIterator[Chunk]) -> None:
        async for chunk in chunks:
            size = len(chunk)
            await asyncio.to_thread(self._arrival.write, chunk)
            self._room.took(size)
            self._came.set()
            if self._fill.pace is not None:
                await asyncio.sleep(self._fill.pace.after(size, time.monotonic()))
            while self._arrival.written - self._judged > AHEAD:
                self._passed.clear()
                await self._passed.wait()
        if self._arrival.written != self.size:
            raise Corrupt(f"{self._arrival.written} bytes came, the manifest says {self.size}")

    async def _judge_all(self) -> None:
        while (piece := await self._next()) is not None:
            first, (count, last) = self._judged, piece
            name, admitted = self._arrival.name, self._held.admitted
            upto = await self._judge.digest(self._held.policy, admitted, self._path, name, first, count, last=last)
            self._arrival.passed("admission", upto)
            self._arrival.passed("inspection", await self._looking.look(first, count, last=last))
            self._judged, self._whole = first + count, last
            self._passed.set()
            # The last bytes are shown once they are durable, or a full disk could still undo them; what came before an answer broke off,
            # once more comes: who has nothing yet gets a plain refusal if none does.
            if not last and self._failure is None:
                self._fill.advance(self._arrival.verified)

    async def _next(self) -> Piece | None:
        """Return what is to be judged next, once it came and no more is worth being waited for; None at the end."""
        until: float | None = None  # the time until which more is waited for
        while not self._whole:
            self._came.clear()
            count, last = piece = ready(self._judged, self._arrival.written, self.size, self._fill.file.chunk)
            if last or count == PIECE or (count and self._ended):
                return piece
            if self._ended:
                break
            now = time.monotonic()
            if until is None and self._arrival.written > self._judged:
                until = now + SOON
            ahead = self._fill.pace is not None  # no screen waits for it
            left = None if until is None or not count or ahead else until - now
            if left is not None and left <= 0:
                return piece
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._came.wait()
        return None


def ready(judged: int, written: int, size: int, chunk: int) -> Piece:
    """Return how many of the bytes behind ``judged`` can be judged now, and whether they are the last of an object of ``size`` bytes."""
    if written == size and size - judged <= PIECE:
        return size - judged, True
    count = min(PIECE, written - judged)
    return count - count % chunk, False


def _first(errors: BaseExceptionGroup) -> BaseException:
    """Return what the filters or the origin said; anything else is our own mistake and stays as it is."""
    plain, other = errors.split(HeadgateError)
    if other is not None or plain is None:
        return errors
    leaves: list[BaseException] = list(plain.exceptions)
    verdicts = [error for error in leaves if isinstance(error, Refused)]
    return (verdicts or leaves)[0]
