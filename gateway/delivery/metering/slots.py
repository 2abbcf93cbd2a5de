"""The deliveries that run, in a file in memory that outlives the process: a slot each.

A slot is there from the instant its state is written, one byte, until that is cleared; numbers that change meanwhile change by one
store of eight bytes. So whoever finds the file after a kill -9 finds whole slots.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from appliance.runtime.errors import Refused

MOST = 32_768  # deliveries that run, or wait for their last bytes to leave
_SIZE = 64  # bytes of a slot
_HEAD = 4096  # bytes before the first one
_SLOT = struct.Struct("=QQQQQdiB")
_TICKET, _BEGINS, _COUNT, _NOTED, _CELL = 0, 1, 2, 3, 4  # words of eight bytes
_DESCRIPTOR = 12  # in words of four bytes
_STATE = 53  # byte; the slot is there
_MARK, _MARK_TICKET, _MARK_NEXT, _MARK_STATE = 0, 1, 3, 4  # words of the head


@dataclass(frozen=True)
class Slot:
    """A delivery that runs; positions as ``stream`` tells them, ``cell`` is ``window << 32 | number``."""

    index: int
    ticket: int  # of its own, ascending
    begins: int  # where its content begins
    count: int  # bytes of content that may come
    noted: int  # of which so many had left when one looked last
    cell: int
    started: float
    descriptor: int
    first: bool  # it counts as a request, not only as a part of one


class Slots:
    """The slots in the file ``path``, which is made if it is not there."""

    def __init__(self, path: Path) -> None:
        size = _HEAD + MOST * _SIZE
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)  # a full disk is told now, not by a signal later
            self._map = mmap.mmap(descriptor, size)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        view = memoryview(self._map)
        self._words, self._halves = view.cast("Q"), view.cast("i")
        view.release()
        self._free = [i for i in range(MOST - 1, -1, -1) if not self._map[_HEAD + i * _SIZE + _STATE]]

    @property
    def free(self) -> int:
        """How many slots are free."""
        return len(self._free)

    def put(self, ticket: int, begins: int, count: int, cell: int, started: float, descriptor: int, first: bool) -> int:
        """Take a slot and return its number.

        Raises:
            Refused: there is none (``busy``).
        """
        if not self._free:
            raise Refused("busy", "too many deliveries are under way", 503)
        index = self._free.pop()
        at = _HEAD + index * _SIZE
        _SLOT.pack_into(self._map, at, ticket, begins, count, 0, cell, started, descriptor, first)
        self._map[at + _STATE] = 1
        return index

    def clear(self, index: int) -> None:
        """Give a slot back."""
        self._map[_HEAD + index * _SIZE + _STATE] = 0
        self._free.append(index)

    def note(self, index: int, left: int) -> None:
        """Note that so many bytes of its content left."""
        self._words[(_HEAD + index * _SIZE) // 8 + _NOTED] = left

    def move(self, index: int, cell: int) -> None:
        """Have it counted in another cell."""
        self._words[(_HEAD + index * _SIZE) // 8 + _CELL] = cell

    def follow(self, index: int, descriptor: int) -> None:
        """Note that its connection is at another descriptor."""
        self._halves[(_HEAD + index * _SIZE) // 4 + _DESCRIPTOR] = descriptor

    def all(self) -> Iterator[Slot]:
        """Return the slots that are taken."""
        for index in range(MOST):
            at = _HEAD + index * _SIZE
            if self._map[at + _STATE]:
                ticket, begins, count, noted, cell, started, descriptor, first = _SLOT.unpack_from(self._map, at)
                yield Slot(index, ticket, begins, count, noted, cell, started, descriptor, bool(first))

    @property
    def mark(self) -> int:
        """How far somebody else's deliveries were taken (``Meter.add``), by his own count."""
        return self._words[_MARK]

    def about_to_mark(self, mark: int, ticket: int) -> None:
        """Note that what is counted with ``ticket`` and later ones, and ``mark``, are to hold together: once they are ``marked``."""
        self._words[_MARK_TICKET], self._words[_MARK_NEXT] = ticket, mark
        self._words[_MARK_STATE] = 1

    def marked(self) -> None:
        """Let the mark hold, and all that was counted with it."""
        self._words[_MARK] = self._words[_MARK_NEXT]
        self._words[_MARK_STATE] = 0

    def marking(self) -> int | None:
        """Return the first ticket of what was counted and does not hold, since its mark does not, or None."""
        return self._words[_MARK_TICKET] if self._words[_MARK_STATE] else None

    def unmark(self) -> None:
        """Forget a mark that does not hold."""
        self._words[_MARK_STATE] = 0

    def sync(self) -> None:
        """Have it survive a power cut too; others run meanwhile, which msync(2) as Python calls it would not let them."""
        os.fdatasync(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._words.release()
        self._halves.release()
        self._map.close()
        os.close(self._descriptor)
