"""How many objects and bytes each body and zone has in each queue: kept while rows come and go, so that nothing is ever counted anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from gateway.store.keeping import MAIN, PINNED, PROBATION


class Counted(Protocol):
    """What is counted of a row."""

    body: int
    zone: int
    queue: int
    size: int


Key = tuple[int, int, int]  # body, zone, queue


class Totals:
    """The sums; ``changed`` names those that the index must write down."""

    def __init__(self, rows: Iterable[tuple[int, int, int, int, int]] = (), ghosts: int = 0) -> None:
        self._sums: dict[Key, tuple[int, int]] = {}
        self._bytes: dict[tuple[str, int, int], int] = {}  # by what, which, queue
        self._objects = 0
        self.changed: set[Key] = set()
        self.ghosts = ghosts  # bytes of objects that are remembered without being here
        for body, zone, queue, objects, size in rows:
            self._add((body, zone, queue), objects, size)

    def add(self, row: Counted) -> None:
        """Count a row that came."""
        self._change(row, 1)

    def take(self, row: Counted) -> None:
        """Count a row that goes."""
        self._change(row, -1)

    def objects(self) -> int:
        """Return how many objects there are."""
        return self._objects

    def bytes(self, *, queue: int | None = None, of: tuple[str, int] | None = None) -> int:
        """Return the bytes in ``queue``, or in all; of everything, or of one body or zone."""
        what, which = of or ("all", 0)
        queues = (PROBATION, MAIN, PINNED) if queue is None else (queue,)
        return sum(self._bytes.get((what, which, one), 0) for one in queues)

    def written(self) -> Iterator[tuple[int, int, int, int, int]]:
        """Yield the sums that changed (body, zone, queue, objects, bytes)."""
        for key in self.changed:
            yield (*key, *self._sums[key])

    def _change(self, row: Counted, sign: int) -> None:
        key = (row.body, row.zone, row.queue)
        self._add(key, sign, sign * row.size)
        self.changed.add(key)

    def _add(self, key: Key, objects: int, size: int) -> None:
        body, zone, queue = key
        before = self._sums.get(key, (0, 0))
        self._sums[key] = (before[0] + objects, before[1] + size)
        self._objects += objects
        for one in (("all", 0, queue), ("body", body, queue), ("zone", zone, queue)):
            self._bytes[one] = self._bytes.get(one, 0) + size
