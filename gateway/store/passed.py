"""``passed.db``: as what each object passed the inspection.

An object is bytes; what they may be served as is another matter. A release that names the digest of a picture as a page must have
the bytes inspected as a page first: this is the memory of that, and losing it costs an inspection, never more.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MOST_NEW = 64  # entries that are written at once
_TABLE = """
create table if not exists passed (
    sha256 blob not null, type text not null, application integer not null, depth integer not null, rules integer not null,
    primary key (sha256, type, application, depth)
) without rowid
"""


@dataclass(frozen=True)
class As:
    """What an object is served as, as far as the inspection depends on it."""

    sha256: str
    type: str  # media type, as the manifest tells it
    application: bool  # whether what runs was let pass
    depth: int  # folders above it: how far a relative reference may lead up


class Passed:
    """The table; safe to call from threads."""

    def __init__(self, root: Path, rules: int) -> None:
        self._rules, self._lock = rules, threading.Lock()
        self._new: set[As] = set()  # what was not written down yet
        path = root / "passed.db"
        try:
            self._database = self._open(path)
        except sqlite3.DatabaseError:
            self._database = self._anew(path)

    @classmethod
    def _anew(cls, path: Path) -> sqlite3.Connection:
        """Return an empty memory where the file is damaged: everything is inspected again. One in memory where the disk fails."""
        try:
            for ending in ("", "-wal", "-shm"):
                path.with_name(path.name + ending).unlink(missing_ok=True)
            return cls._open(path)
        except (OSError, sqlite3.DatabaseError):
            return cls._open(":memory:")

    @staticmethod
    def _open(path: Path | str) -> sqlite3.Connection:
        database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            database.execute("pragma journal_mode=wal")
            database.execute("pragma synchronous=normal")
            database.execute(_TABLE)
        except BaseException:
            database.close()
            raise
        return database

    def has(self, what: As) -> bool:
        """Return whether the object passed as this, by the rules of today."""
        with self._lock:
            if what in self._new:
                return True
            row = self._database.execute(
                "select 1 from passed where sha256=? and type=? and application=? and depth=? and rules>=?",
                (*self._key(what), self._rules),
            ).fetchone()
        return row is not None

    def add(self, what: As) -> None:
        """Remember that the object passed as this; it is written down with others."""
        with self._lock:
            self._new.add(what)
            if len(self._new) >= MOST_NEW:
                self._write()

    def forget(self, digests: Iterable[str]) -> None:
        """Forget objects that the store gave away."""
        gone = frozenset(digests)
        with (
            self._lock,
            contextlib.suppress(sqlite3.OperationalError),
        ):  # a full disk: a row too many says nothing wrong
            self._new = {what for what in self._new if what.sha256 not in gone}
            self._database.executemany("delete from passed where sha256=?", [(bytes.fromhex(d),) for d in gone])

    def close(self) -> None:
        """Write down what was not, and close the file."""
        with self._lock:
            self._write()
            self._database.close()

    def _write(self) -> None:
        rows = [(*self._key(what), self._rules) for what in self._new]
        self._new.clear()
        try:
            self._database.execute("begin")
            self._database.executemany("insert or replace into passed values (?,?,?,?,?)", rows)
            self._database.execute("commit")
        except sqlite3.OperationalError:  # a full disk: they are inspected again another time
            if self._database.in_transaction:
                self._database.execute("rollback")

    @staticmethod
    def _key(what: As) -> tuple[bytes, str, int, int]:
        return bytes.fromhex(what.sha256), what.type, int(what.application), what.depth
