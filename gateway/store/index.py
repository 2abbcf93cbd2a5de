"""``index.db``: what the store knows of its objects beyond their being there; advice for keeping, never the truth about what is there.

An object is in the store when its file is (``objects.py``). So the index is written without waiting for the disk (WAL, synchronous=NORMAL),
may lose its last seconds in a power cut, and may be thrown away: ``reconcile.py`` brings it in line with the files while the box serves.
Opening reads some sums and no rows.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance.runtime.errors import Corrupt, Unreachable
from gateway.store import rows
from gateway.store.keeping import MAIN, PINNED, PROBATION, Keep
from gateway.store.rows import COLUMNS, Of, Row, RowShelf
from gateway.store.totals import Totals

NAME = "index.db"
CACHE = 16 << 10  # KiB of pages that SQLite keeps in memory, however many objects there are
WAL = 64 << 20  # bytes of the write-ahead log that stay when it was written back

log = logging.getLogger("headgate.store")

_SCHEMA = """
CREATE TABLE objects (
    id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, size INTEGER NOT NULL, body INTEGER NOT NULL, zone INTEGER NOT NULL,
    queue INTEGER NOT NULL, place INTEGER NOT NULL, frequency INTEGER NOT NULL);
CREATE INDEX by_place ON objects (queue, place);
CREATE INDEX by_body ON objects (body, queue, place);
CREATE INDEX by_zone ON objects (zone, queue, place);
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE needs (release INTEGER NOT NULL, object INTEGER NOT NULL, PRIMARY KEY (release, object)) WITHOUT ROWID;
CREATE INDEX by_object ON needs (object);
CREATE TABLE pinned (release INTEGER PRIMARY KEY);
CREATE TABLE ghosts (place INTEGER PRIMARY KEY AUTOINCREMENT, hash INTEGER NOT NULL UNIQUE, size INTEGER NOT NULL);
CREATE TABLE totals (body INTEGER, zone INTEGER, queue INTEGER, objects INTEGER, bytes INTEGER, PRIMARY KEY (body, zone, queue));
CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 1;
"""


@dataclass(frozen=True)
class Coming:
    """An object that came: for which release and zone first, of which body."""

    digest: str
    size: int
    body: str
    zone: str
    release: str


@dataclass(frozen=True)
class Going:
    """An object that leaves the index; its file is the caller's to remove."""

    digest: str
    size: int


class Index:
    """The index below ``root``; one process, any of its threads."""

    def __init__(self, root: Path | None, keep: Keep) -> None:
        self._path, self.keep = root / NAME if root else Path(":memory:"), keep  # in memory where the disk fails
        self._lock = threading.RLock()
        self.rebuilt = False  # it was damaged or absent, and knows nothing until the files were looked through
        try:
            self._open()
        except Corrupt as error:
            self._begin_anew(error)

    def restart(self, error: Corrupt) -> None:
        """Set a damaged index aside and begin an empty one."""
        with self._lock:
            self._db.close()
            self._begin_anew(error)

    def add(self, coming: Iterable[Coming]) -> int:
        """Take objects in that are not known yet, and note which releases need them; return how many were new.

        Raises:
            Corrupt: the index is damaged.
            Unreachable: it cannot be written now.
        """
        with self._writing() as db:
            return sum(self._add(db, one) for one in coming)

    def use(self, used: Mapping[str, Iterable[str]]) -> None:
        """Take note of one use of each object, and of the releases through which it was used.

        Raises:
            Corrupt, Unreachable: as ``add``.
        """
        with self._writing() as db:
            shelf = self._shelf(db)
            for digest, releases in used.items():
                if (row := self._row(db, digest)) is None:
                    continue
                if row.queue != PINNED:
                    self.keep.used(shelf, row)
                for release in releases:
                    self._need(db, row, release)

    def choose(self, least: int, of: tuple[Of, str] | None = None, most: int = 1000) -> list[Going]:
        """Take objects of at least ``least`` bytes out, at most ``most`` of them, as the policy says; ``of`` one body or zone only.

        Raises:
            Corrupt, Unreachable: as ``add``.
        """
        going: list[Going] = []
        with self._writing() as db:
            shelf = self._shelf(db, of)
            freed = 0
            while freed < least and len(going) < most and (row := self.keep.victim(shelf)) is not None:
                shelf.take(row)
                freed += row.size
                going.append(Going(row.digest.hex(), row.size))
            if of is None:
                self._note(db, "hand", str(shelf.hand))
        return going

    def spare(self, least: int, of: tuple[Of, str] | None = None, most: int = 1000) -> list[Going]:
        """Return what could go, without writing anything: for a disk so full that ``choose`` cannot be written down.

        Raises:
            Corrupt, Unreachable: as ``add``.
        """
        where, values = (f"{of[0]} = ? AND ", (self._names.get(of[1], -1),)) if of else ("", ())
        going: list[Going] = []
        with self._lock, _translated(self._path):
            for queue in (PROBATION, MAIN):
                select = f"SELECT digest, size FROM objects WHERE {where}queue = ? ORDER BY place LIMIT ?"  # noqa: S608 (our own names)
                for digest, size in self._db.execute(select, (*values, queue, most)):
                    if sum(one.size for one in going) >= least or len(going) >= most:
                        break
                    going.append(Going(digest.hex(), size))
        return going

    def remove(self, digests: Iterable[str]) -> int:
        """Take objects out whose files are gone; return how many were known.

        Raises:
            Corrupt, Unreachable: as ``add``.
        """
        with self._writing() as db:
            found = [row for digest in digests if (row := self._row(db, digest)) is not None]
            for row in found:
                self._shelf(db).take(row)
            return len(found)

    def release(self, code: str, files: Iterable[str] = ()) -> list[str]:
        """Let a release go: return the objects, taken out, that no other release is known to need.

        ``files`` are its objects by its manifest: those go too that the index did not know as its own.

        Raises:
            Corrupt, Unreachable: as ``add``.
        """
        with self._writing() as db:
            number = self._number(db, code)
            own = db.execute("SELECT digest FROM needs JOIN objects ON id = object WHERE release = ?", (number,))
            digests = {digest.hex() for (digest,) in own} | set(files)
            db.execute("DELETE FROM needs WHERE release = ?", (number,))
            db.execute("DELETE FROM pinned WHERE release = ?", (number,))
            shelf, gone = self._shelf(db), []
            for digest in sorted(digests):
                row = self._row(db, digest)
                if row is None:
                    gone.append(digest)  # a file may be there that no row tells of
                elif db.execute("SELECT 1 FROM needs WHERE object = ?", (row.id,)).fetchone() is None:
                    shelf.take(row)
                    gone.append(digest)
                elif row.queue == PINNED and not self._is_pinned(db, row):
                    shelf.move(row, MAIN, row.frequency)
            return gone

    def needed(self, digest: str) -> list[str]:
        """Return the releases that are known to need an object.

        Raises:
            Corrupt, Unreachable: as ``add``.
        """
        with self._lock, _translated(self._path):
            found = self._db.execute(
                "SELECT name FROM objects JOIN needs ON object = objects.id JOIN names ON names.id = release"
                " WHERE digest = ? ORDER BY name",
                (bytes.fromhex(digest),),
            ).fetchall()
        return [str(name) for (name,) in found]

    def pin(self, codes: frozenset[str]) -> None:
        """Pin what these releases need, now and when it comes, and nothing else.

        Raises:
            Corrupt, Unreachable: as ``add``.
        """
        with self._writing() as db:
            wanted = {self._number(db, code) for code in codes}
            before = {number for (number,) in db.execute("SELECT release FROM pinned")}
        for number in sorted(wanted ^ before):  # each by itself: a crash between is gone on from at the next start
            with self._writing() as db:
                change = "INSERT INTO pinned VALUES (?)" if number in wanted else "DELETE FROM pinned WHERE release = ?"
                db.execute(change, (number,))
                self._move_pinned(db, number)

    def known(self, first: str, behind: str) -> dict[str, int]:
        """Return the sizes of the objects whose digests are from ``first`` on and before ``behind`` (leading hex digits).

        Raises:
            Corrupt, Unreachable: as ``add``.
        """
        with self._lock, _translated(self._path):
            found = self._db.execute(
                "SELECT digest, size FROM objects WHERE digest >= ? AND digest < ?",
                (bytes.fromhex(first), bytes.fromhex(behind)),
            ).fetchall()
        return {digest.hex(): size for digest, size in found}

    def objects(self) -> int:
        """Return how many objects are known."""
        return self._totals.objects()

    def bytes(self, of: tuple[Of, str] | None = None, *, pinned: bool = False) -> int:
        """Return the bytes of all objects, or of one body's or zone's; or of those that are pinned."""
        number = self._names.get(of[1], -1) if of else 0
        return self._totals.bytes(queue=PINNED if pinned else None, of=(of[0], number) if of else None)

    def note(self, name: str, value: str) -> None:
        """Write down a value, such as how far the scrubbing is.

        Raises:
            Corrupt, Unreachable: as ``add``.
        """
        with self._writing() as db:
            self._note(db, name, value)

    def noted(self, name: str) -> str | None:
        """Return the value written down.

        Raises:
            Corrupt, Unreachable: as ``add``.
        """
        with self._lock, _translated(self._path):
            found = self._db.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return str(found[0]) if found else None

    def close(self) -> None:
        """Let the file go."""
        with self._lock:
            self._db.close()

    def _open(self) -> None:
        with _translated(self._path):
            if not self._path.exists() and self._path.name == NAME:
                self._path.touch(mode=0o600)  # what is kept, and why, is the exchange's own business
            self._db = sqlite3.connect(self._path, timeout=10, isolation_level=None, check_same_thread=False)
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = NORMAL")
                self._db.execute(f"PRAGMA cache_size = -{CACHE}")
                self._db.execute(f"PRAGMA journal_size_limit = {WAL}")
                if self._db.execute("PRAGMA user_version").fetchone()[0] < 1:
                    self._db.executescript("BEGIN IMMEDIATE;" + _SCHEMA + "COMMIT;")
                    self.rebuilt = True
                self._read()
            except BaseException:
                self._db.close()
                raise

    def _read(self) -> None:
        """Read what is kept in memory: some sums and names."""
        told = self._db.execute("SELECT value FROM notes WHERE name = 'ghosts'").fetchone()
        self._totals = Totals(
            self._db.execute("SELECT body, zone, queue, objects, bytes FROM totals"), int(told[0]) if told else 0
        )
        kept = "SELECT id, name FROM names WHERE id IN (SELECT body FROM totals UNION SELECT zone FROM totals)"
        self._names: dict[str, int] = {name: number for number, name in self._db.execute(kept)}

    def _begin_anew(self, error: Corrupt) -> None:
        log.error("%s: it is set aside and made anew from the files", error)
        for path in (self._path, *(self._path.with_name(NAME + end) for end in ("-wal", "-shm"))):
            with contextlib.suppress(FileNotFoundError):
                path.rename(path.with_name(f"damaged-{path.name}"))
        self._open()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _translated(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            ghosts = self._totals.ghosts
            try:
                yield self._db
                self._db.executemany("INSERT OR REPLACE INTO totals VALUES (?, ?, ?, ?, ?)", self._totals.written())
                if self._totals.ghosts != ghosts:
                    self._note(self._db, "ghosts", str(self._totals.ghosts))
                self._db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                    self._read()  # the sums as the file has them
                raise
            self._totals.changed.clear()

    def _shelf(self, db: sqlite3.Connection, of: tuple[Of, str] | None = None) -> RowShelf:
        if of is not None:
            return RowShelf(db, self._totals, (of[0], self._names.get(of[1], -1)))
        hand = db.execute("SELECT value FROM notes WHERE name = 'hand'").fetchone()
        return RowShelf(db, self._totals, hand=int(hand[0]) if hand else 0)

    def _row(self, db: sqlite3.Connection, digest: str) -> Row | None:
        found = db.execute(f"SELECT {COLUMNS} FROM objects WHERE digest = ?", (bytes.fromhex(digest),)).fetchone()  # noqa: S608 (our own names)
        return Row(*found) if found else None

    def _add(self, db: sqlite3.Connection, coming: Coming) -> int:
        row = self._row(db, coming.digest)
        new = row is None
        if row is None:
            digest = bytes.fromhex(coming.digest)
            body, zone = (self._name(db, name) for name in (coming.body, coming.zone))
            queue = self.keep.enters(self._shelf(db), digest)
            row = Row(0, digest, coming.size, body, zone, queue, rows.newest(db, queue) + 1, 0)
            row.id = int(
                db.execute(
                    "INSERT INTO objects (digest, size, body, zone, queue, place, frequency) VALUES (?, ?, ?, ?, ?, ?, 0)",
                    (digest, row.size, body, zone, queue, row.place),
                ).lastrowid
                or 0
            )
            self._totals.add(row)
        elif row.size != coming.size:  # an index from before a damage: the file was looked at, the row was not
            self._totals.take(row)
            row.size = coming.size
            self._totals.add(row)
            db.execute("UPDATE objects SET size = ? WHERE id = ?", (row.size, row.id))
        if coming.release:
            self._need(db, row, coming.release)
        return int(new)

    def _need(self, db: sqlite3.Connection, row: Row, code: str) -> None:
        number = self._number(db, code)
        db.execute("INSERT OR IGNORE INTO needs VALUES (?, ?)", (number, row.id))
        if row.queue != PINNED and db.execute("SELECT 1 FROM pinned WHERE release = ?", (number,)).fetchone():
            self._shelf(db).move(row, PINNED, row.frequency)

    def _move_pinned(self, db: sqlite3.Connection, release: int) -> None:
        """Move what a release needs to where pinned objects stand, or back."""
        shelf = self._shelf(db)
        needs = f"SELECT {COLUMNS} FROM needs JOIN objects ON id = object WHERE release = ?"  # noqa: S608 (our own names)
        for found in db.execute(needs, (release,)).fetchall():
            row = Row(*found)
            queue = PINNED if self._is_pinned(db, row) else MAIN
            if (row.queue == PINNED) != (queue == PINNED):
                shelf.move(row, queue, row.frequency)

    def _is_pinned(self, db: sqlite3.Connection, row: Row) -> bool:
        asked = "SELECT 1 FROM needs JOIN pinned USING (release) WHERE object = ?"
        return db.execute(asked, (row.id,)).fetchone() is not None

    def _note(self, db: sqlite3.Connection, name: str, value: str) -> None:
        db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))

    def _number(self, db: sqlite3.Connection, name: str) -> int:
        found = db.execute("SELECT id FROM names WHERE name = ?", (name,)).fetchone()
        return (
            int(found[0]) if found else int(db.execute("INSERT INTO names (name) VALUES (?)", (name,)).lastrowid or 0)
        )

    def _name(self, db: sqlite3.Connection, name: str) -> int:
        if name not in self._names:
            self._names[name] = self._number(db, name)
        return self._names[name]


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unreachable(f"the store's index {path} cannot be made now: {error}") from error
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise Corrupt(f"the store's index {path} is damaged: {error}") from error
        raise Unreachable(f"the store's index {path} cannot be used now: {error}") from error
