"""What was delivered within some seconds, counted by kind in a file in memory that outlives the process.

A cell holds its figures twice; one byte says which of both counts. Counting writes the other one and then that byte, so that a kill -9
at any instant leaves either the old figures or the new ones. Each has the ticket of what was counted last: whoever was killed between
counting and clearing its slot is found to have counted.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from gateway.delivery.metering.delivery import What

MOST = 8192  # cells of a window
TEXT = 3 << 20  # bytes of what the cells are about
LONGEST = 8192  # bytes of that of one cell
_CELL = 128  # bytes
_CELLS = 4096  # where they begin
_TEXT = _CELLS + MOST * _CELL
SIZE = _TEXT + TEXT
_FIGURES = struct.Struct("=QQQQddd")  # of 56 bytes, twice
_WHICH, _THERE = 112, 113  # bytes
_PLACE = struct.Struct("=II")  # of the text
_PLACE_AT = 116
SUFFIX = ".window"


class Figures(NamedTuple):
    """What a cell counts."""

    ticket: int  # of what was counted last
    requests: int
    broken: int
    sent: int  # bytes
    first: float  # seconds since 1970
    last: float
    seconds: float


NOTHING = Figures(0, 0, 0, 0, 0.0, 0.0, 0.0)


class Window:
    """The window in the file ``path``, named by its id; ``number`` is its short name within a folder."""

    def __init__(self, path: Path, number: int, *, made: bool = False) -> None:
        self.path, self.number, self.id = path, number, UUID(path.name.split("-", 1)[1].removesuffix(SUFFIX))
        descriptor = os.open(path, os.O_RDWR | (os.O_CREAT | os.O_EXCL if made else 0), 0o600)
        try:
            if made:
                os.posix_fallocate(descriptor, 0, SIZE)  # a full disk is told now, not by a signal later
            self._map = mmap.mmap(descriptor, SIZE)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        self._numbers: dict[What, int] = {}
        self._figures: list[
            tuple[int, int, int, int, float, float, float]
        ] = []  # ``Figures``, which take longer to make
        self._end = _TEXT
        for number_of, what, figures in self._read():
            self._numbers[what] = number_of
            self._figures.append(figures)
            at, size = _PLACE.unpack_from(self._map, _CELLS + number_of * _CELL + _PLACE_AT)
            self._end = at + size

    @classmethod
    def make(cls, folder: Path, number: int, name: UUID) -> Window:
        """Make a window.

        Raises:
            OSError: the disk is full, or gone.
        """
        path = folder / f"{number}-{name}{SUFFIX}"
        try:
            return cls(path, number, made=True)
        except OSError:
            path.unlink(missing_ok=True)
            raise

    def __len__(self) -> int:
        """Return how many cells there are."""
        return len(self._figures)

    @property
    def room(self) -> float:
        """How much is free, of 1."""
        return min(1 - len(self._figures) / MOST, (SIZE - self._end) / TEXT)

    def cell(self, what: What) -> int | None:
        """Return the number of the cell that counts ``what``, or None where there is no room for another one."""
        number = self._numbers.get(what)
        return self._new(what) if number is None else number

    def _new(self, what: What) -> int | None:
        text = json.dumps(what, ensure_ascii=False, separators=(",", ":")).encode()
        number = len(self._figures)
        if number >= MOST or self._end + len(text) > SIZE or len(text) > LONGEST:
            return None
        at = _CELLS + number * _CELL
        self._map[self._end : self._end + len(text)] = text
        _PLACE.pack_into(self._map, at + _PLACE_AT, self._end, len(text))
        self._map[at + _THERE] = 1
        self._end += len(text)
        self._numbers[what] = number
        self._figures.append(NOTHING)
        return number

    def count(
        self,
        number: int,
        ticket: int,
        requests: int,
        sent: int,
        start: float,
        seconds: float,
        broken: int,
        end: float | None = None,
    ) -> None:
        """Count deliveries, or one more part of one (``requests`` is 0), in the cell ``number``; ``end`` is ``seconds`` after ``start``."""
        _ticket, before, broken_before, sent_before, first, last, seconds_before = self._figures[number]
        end = start + seconds if end is None else end
        figures = (
            ticket,
            before + requests,
            broken_before + broken,
            sent_before + sent,
            start if not first or start < first else first,
            max(last, end),
            seconds_before + seconds,
        )
        at = _CELLS + number * _CELL
        other = 1 - self._map[at + _WHICH]
        _FIGURES.pack_into(self._map, at + other * _FIGURES.size, *figures)
        self._map[at + _WHICH] = other
        self._figures[number] = figures

    def counted(self, number: int, ticket: int) -> bool:
        """Return whether ``ticket`` was the last that was counted in the cell."""
        return number < len(self._figures) and self._figures[number][0] == ticket

    def undo(self, ticket: int) -> None:
        """Take back what was counted last in each cell, where that was with ``ticket`` or a later one."""
        for number, figures in enumerate(self._figures):
            if figures[0] >= ticket:
                at = _CELLS + number * _CELL
                other = 1 - self._map[at + _WHICH]
                self._map[at + _WHICH] = other
                self._figures[number] = Figures(*_FIGURES.unpack_from(self._map, at + other * _FIGURES.size))

    def what(self, number: int) -> What:
        """Return what a cell counts."""
        at, size = _PLACE.unpack_from(self._map, _CELLS + number * _CELL + _PLACE_AT)
        return What(*json.loads(self._map[at : at + size]))

    def cells(self) -> list[tuple[What, Figures]]:
        """Return what was counted, in the order of the cells."""
        return [(what, figures) for _, what, figures in self._read() if figures.requests or figures.sent]

    def _read(self) -> Iterator[tuple[int, What, Figures]]:
        for number in range(MOST):
            at = _CELLS + number * _CELL
            if not self._map[at + _THERE]:
                return
            figures = Figures(*_FIGURES.unpack_from(self._map, at + self._map[at + _WHICH] * _FIGURES.size))
            yield number, self.what(number), figures

    def sync(self) -> None:
        """Have it survive a power cut too."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Let the file go."""
        self._map.close()
        os.close(self._descriptor)


def windows(folder: Path) -> list[Path]:
    """Return the files of windows in ``folder``, oldest first."""
    found = [path for path in folder.glob(f"*-*{SUFFIX}") if path.name.split("-", 1)[0].isdecimal()]
    return sorted(found, key=lambda path: int(path.name.split("-", 1)[0]))
