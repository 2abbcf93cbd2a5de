"""The records that wait for their acknowledgement: one SQLite file, written by several daemons of the box at once.

``append`` returns once the record would survive a power cut (WAL, synchronous=FULL). The writers have users of their own and meet in
the folder's group, so every file here is group-writable whatever the umask says; the folder is set-group-id.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.runtime.errors import Corrupt, Refused, Unreachable
from appliance.runtime.files import sync_folder
from appliance.telemetry.records import Numbered, Record

log = logging.getLogger("headgate.spool")

MOST_RECORDS = 2_000_000  # about ten days of a headend's requests, should its controller be away
MOST_BYTES = 2 << 30  # bytes of records, the index aside
MODE = 0o660
WAIT = 10.0  # seconds for another writer of the box

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, time TEXT NOT NULL, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS totals (one INTEGER PRIMARY KEY CHECK (one = 1), records INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT OR IGNORE INTO totals VALUES (1, 0, 0);
CREATE TABLE IF NOT EXISTS damaged (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, fault TEXT NOT NULL, data BLOB NOT NULL);
CREATE TRIGGER IF NOT EXISTS more AFTER INSERT ON records BEGIN
    UPDATE totals SET records = records + 1, bytes = bytes + length(new.data); END;
CREATE TRIGGER IF NOT EXISTS fewer AFTER DELETE ON records BEGIN
    UPDATE totals SET records = records - 1, bytes = bytes - length(old.data); END;
PRAGMA user_version = 2;
"""


@dataclass(frozen=True)
class Depth:
    """How much waits: records, their bytes, and the time of the oldest by RFC 3339 (None where nothing waits)."""

    records: int
    bytes: int
    oldest: str | None
    damaged: int = 0  # set aside because they cannot be read


class Spool:
    """The spool at ``path``; safe from several processes and threads."""

    def __init__(self, path: Path, *, most_records: int = MOST_RECORDS, most_bytes: int = MOST_BYTES) -> None:
        self.path, self._most_records, self._most_bytes = Path(path), most_records, most_bytes
        self._lock = threading.Lock()
        with _translated(self.path), _alone(self.path.parent):
            _create(self.path)
            self._db = sqlite3.connect(self.path, timeout=WAIT, isolation_level=None, check_same_thread=False)
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")  # WAL alone would lose the last commits at a power cut
                if self._db.execute("PRAGMA user_version").fetchone()[0] < 2:
                    self._db.executescript("BEGIN IMMEDIATE;" + _SCHEMA + "COMMIT;")
            except sqlite3.Error:
                self._db.close()
                raise

    def append(self, record: Record) -> int:
        """Store ``record`` durably and return its sequence number; an id that waits already keeps its own.

        Raises:
            Refused: the spool is full (reason ``spool-full``).
            Corrupt: the record breaks a rule of records, or the file is damaged.
            Unreachable: other writers held the file too long.
        """
        return self.append_all([record])[0]

    def append_all(self, records: Sequence[Record]) -> list[int]:
        """Store ``records`` durably, all or none, and return their sequence numbers; as ``append``.

        Raises:
            Refused, Corrupt, Unreachable: as ``append``.
        """
        encoded = [(record, record.encode()) for record in records]
        for _, data in encoded:
            Record.parse(data)  # what is durable here must be readable there
        with self._transaction() as db:
            return [self._put(db, record, data) for record, data in encoded]

    def _put(self, db: sqlite3.Connection, record: Record, data: bytes) -> int:
        told = db.execute("SELECT seq FROM records WHERE id = ?", (record.id,)).fetchone()
        if told is not None:
            return int(told[0])
        waiting, size = db.execute("SELECT records, bytes FROM totals").fetchone()
        if waiting >= self._most_records or size + len(data) > self._most_bytes:
            raise Refused(
                "spool-full", f"{waiting} records ({size} bytes) wait for the controller; no more is accepted", 507
            )
        row = (record.id, record.told()["time"], data)
        return int(db.execute("INSERT INTO records (id, time, data) VALUES (?, ?, ?)", row).lastrowid or 0)

    def pending(self, after: int = 0, limit: int = 100) -> list[Numbered]:
        """Return up to ``limit`` records whose number is above ``after``, oldest first.

        One that can no longer be read (a damaged disk) is set aside in the table ``damaged``, so that the others move on.

        Raises:
            Corrupt, Unreachable: as ``append``.
        """
        with self._lock, _translated(self.path):
            rows = self._db.execute(
                "SELECT seq, data FROM records WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
            ).fetchall()
        found = []
        for seq, data in rows:
            try:
                found.append(Numbered(seq, Record.parse(data)))
            except Corrupt as error:
                log.error("record %d of the spool cannot be read and is set aside: %s", seq, error)
                with self._transaction() as db:
                    db.execute(
                        "INSERT INTO damaged SELECT seq, id, ?, data FROM records WHERE seq = ?", (str(error), seq)
                    )
                    db.execute("DELETE FROM records WHERE seq = ?", (seq,))
        return found

    def forget(self, ids: Iterable[str]) -> int:
        """Delete the records of ``ids`` (acknowledged by the controller) and return how many there were."""
        with self._transaction() as db:
            return sum(db.execute("DELETE FROM records WHERE id = ?", (name,)).rowcount for name in ids)

    def depth(self) -> int:
        """Return how many records wait."""
        return self.state().records

    def state(self) -> Depth:
        """Return how much waits."""
        with self._lock, _translated(self.path):
            records, size = self._db.execute("SELECT records, bytes FROM totals").fetchone()
            oldest = self._db.execute("SELECT time FROM records ORDER BY seq LIMIT 1").fetchone()
            damaged = self._db.execute("SELECT count(*) FROM damaged").fetchone()[0]
        return Depth(records, size, oldest[0] if oldest else None, damaged)

    def close(self) -> None:
        """Let the file go."""
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _translated(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


def _create(path: Path) -> None:
    """Make the empty file with its mode; SQLite gives its -wal and -shm files the mode of the file they belong to."""
    with contextlib.suppress(FileExistsError):
        # Never opened otherwise than by SQLite once it exists: closing another descriptor would drop SQLite's locks (fcntl(2)).
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, MODE)
        try:
            os.fchmod(descriptor, MODE)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(path.parent)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: two processes that make the file WAL at once would meet SQLITE_BUSY without waiting."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise Refused("spool-full", f"the disk of {path} is full; no more is accepted", 507) from error
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise Unreachable(f"the spool {path} cannot be written now: {error}") from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise Corrupt(f"the spool {path} is damaged: {error}") from error
        raise
    except OSError as error:
        raise Unreachable(f"the spool {path} cannot be opened: {error}") from error
