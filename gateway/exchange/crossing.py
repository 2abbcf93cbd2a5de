"""One object's bytes, from an origin's answer through both filters: while a piece is judged, the next one comes in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

from appliance.runtime.asking import BrokeOff
from appliance.runtime.errors import Corrupt, HeadgateError, Refused
from gateway.exchange.fill import Fill
from gateway.exchange.judge import Judge
from gateway.exchange.releases import Held
from gateway.filters.client import Look
from gateway.release.manifest import CHUNK
from gateway.store.incoming import Arrival
from gateway.store.keeper import Room

BROKEN = (HeadgateError, BrokeOff, TimeoutError)  # how an answer ends before its end
AHEAD = 2  # pieces that wait to be judged
Chunk = bytes | memoryview  # may be used until the next is asked for
Piece = tuple[int, int, bool]  # first byte, bytes, whether it is the last


class Crossing:
    """Writes what comes into ``arrival`` and shows ``fill`` how far both filters passed it."""

    def __init__(
        self, fill: Fill, arrival: Arrival, room: Room, held: Held, path: str, judge: Judge, looking: Look
    ) -> None:
        self._fill, self._arrival, self._held, self._path = fill, arrival, held, path
        self._judge, self._looking, self._room = judge, looking, room
        self._judged = 0  # bytes, in whole pieces
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
        pieces: asyncio.Queue[Piece | None] = asyncio.Queue(AHEAD)
        failure: Exception | None = None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._judge_all(pieces))
                try:
                    await self._write_all(chunks, pieces)
                except BROKEN as error:  # what came whole is judged, and need not come again
                    failure = error
                await pieces.put(None)
        except BaseExceptionGroup as errors:
            raise _first(errors) from errors
        if failure is not None:
            raise failure

    async def _write_all(self, chunks: AsyncIterator[Chunk], pieces: asyncio.Queue[Piece | None]) -> None:
        first = self._judged
        async for chunk in chunks:
            size = len(chunk)
            await asyncio.to_thread(self._arrival.write, chunk)
            self._room.took(size)
            if self._fill.pace is not None:
                await asyncio.sleep(self._fill.pace.after(size, time.monotonic()))
            while self._arrival.written - first >= CHUNK or first < self._arrival.written == self.size:
                count = min(CHUNK, self._arrival.written - first)
                await pieces.put((first, count, first + count == self.size))
                first += count
        if self._arrival.written != self.size:
            raise Corrupt(f"{self._arrival.written} bytes came, the manifest says {self.size}")
        if not self.size:
            await pieces.put((0, 0, True))

    async def _judge_all(self, pieces: asyncio.Queue[Piece | None]) -> None:
        while (piece := await pieces.get()) is not None:
            first, count, last = piece
            name, admitted = self._arrival.name, self._held.admitted
            upto = await self._judge.digest(self._held.policy, admitted, self._path, name, first, count, last=last)
            self._arrival.passed("admission", upto)
            self._arrival.passed("inspection", await self._looking.look(first, count, last=last))
            self._judged = first + count
            if not last:  # the last bytes are shown once they are durable, or a full disk could still undo them
                self._fill.advance(self._arrival.verified)


def _first(errors: BaseExceptionGroup) -> BaseException:
    """Return what the filters or the origin said; anything else is our own mistake and stays as it is."""
    plain, other = errors.split(HeadgateError)
    if other is not None or plain is None:
        return errors
    leaves: list[BaseException] = list(plain.exceptions)
    verdicts = [error for error in leaves if isinstance(error, Refused)]
    return (verdicts or leaves)[0]
