"""A shelf whose entries are rows of the index: all objects, or those of one body, or of one zone."""

from __future__ import annotations

import sqlite3
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal

from gateway.store.keeping import MAIN
from gateway.store.totals import Totals

Of = Literal["body", "zone"]


@dataclass(slots=True)
class Row:
    """An object's row."""

    id: int
    digest: bytes
    size: int
    body: int
    zone: int
    queue: int
    place: int  # order of coming to the queue; the newest has the greatest
    frequency: int

    @property
    def key(self) -> bytes:
        """The digest."""
        return self.digest


COLUMNS = "id, digest, size, body, zone, queue, place, frequency"


class RowShelf:
    """The rows of ``db``, within a transaction of the caller's."""

    def __init__(
        self, db: sqlite3.Connection, totals: Totals, of: tuple[Of, int] | None = None, *, hand: int = 0
    ) -> None:
        self._db, self._totals, self._of = db, totals, of
        self.hand = hand  # the place from which it looks on
        where = f"{of[0]} = ? AND " if of else ""
        self._values: tuple[int, ...] = (of[1],) if of else ()
        select = f"SELECT {COLUMNS} FROM objects WHERE {where}queue = ?"  # noqa: S608 (a column's name, from two)
        self._oldest = f"{select} ORDER BY place LIMIT 1"
        self._behind = f"{select} AND place >= ? ORDER BY place LIMIT 1"

    def bytes(self, queue: int) -> int:
        """Return the bytes in ``queue``."""
        return self._totals.bytes(queue=queue, of=self._of)

    def oldest(self, queue: int) -> Row | None:
        """Return the oldest of ``queue``."""
        return self._one(self._oldest, queue)

    def at_hand(self) -> Row | None:
        """Return the row at the hand, which begins again with the oldest where there is none behind."""
        found = self._one(self._behind, MAIN, self.hand) or self.oldest(MAIN)
        self.hand = found.place if found else 0
        return found

    def pass_by(self, entry: Row) -> None:
        """Spare the row, for this time."""
        self.mark(entry, 0)
        self._leave(entry)

    def take(self, entry: Row) -> None:
        """Take the row off, with all that is known of it; the hand moves on if it stood there."""
        if entry.queue == MAIN and entry.place == self.hand:
            self._leave(entry)
        self._db.execute("DELETE FROM objects WHERE id = ?", (entry.id,))
        self._db.execute("DELETE FROM needs WHERE object = ?", (entry.id,))
        self._totals.take(entry)

    def move(self, entry: Row, queue: int, frequency: int) -> None:
        """Put the row to the newest end of ``queue``."""
        self._totals.take(entry)
        entry.queue, entry.frequency, entry.place = queue, frequency, newest(self._db, queue) + 1
        self._totals.add(entry)
        self._db.execute(
            "UPDATE objects SET queue = ?, place = ?, frequency = ? WHERE id = ?",
            (queue, entry.place, frequency, entry.id),
        )

    def mark(self, entry: Row, frequency: int) -> None:
        """Set the row's uses."""
        entry.frequency = frequency
        self._db.execute("UPDATE objects SET frequency = ? WHERE id = ?", (frequency, entry.id))

    def remember(self, entry: Row) -> None:
        """Remember the digest until as many bytes as stand here were remembered after it."""
        self._db.execute("INSERT OR REPLACE INTO ghosts (hash, size) VALUES (?, ?)", (_hash(entry.digest), entry.size))
        self._totals.ghosts += entry.size
        while self._totals.ghosts > self._totals.bytes():
            oldest = self._db.execute("SELECT place, size FROM ghosts ORDER BY place LIMIT 1").fetchone()
            if oldest is None:
                self._totals.ghosts = 0
                return
            self._db.execute("DELETE FROM ghosts WHERE place = ?", (oldest[0],))
            self._totals.ghosts -= oldest[1]

    def remembered(self, key: Hashable) -> bool:
        """Return whether the digest was remembered, and forget that."""
        if not isinstance(key, bytes):
            raise TypeError("a row's key is its digest")
        found = self._db.execute("DELETE FROM ghosts WHERE hash = ? RETURNING size", (_hash(key),)).fetchone()
        self._totals.ghosts -= found[0] if found else 0
        return found is not None

    def _leave(self, entry: Row) -> None:
        behind = self._one(self._behind, MAIN, entry.place + 1)
        self.hand = behind.place if behind else 0

    def _one(self, statement: str, *values: int) -> Row | None:
        found = self._db.execute(statement, (*self._values, *values)).fetchone()
        return Row(*found) if found else None


def newest(db: sqlite3.Connection, queue: int) -> int:
    """Return the greatest place in ``queue``."""
    found = db.execute("SELECT max(place) FROM objects WHERE queue = ?", (queue,)).fetchone()
    return int(found[0] or 0)


def _hash(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "big", signed=True)  # a chance meeting of two costs one probation
