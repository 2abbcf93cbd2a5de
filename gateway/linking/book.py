"""The engine's book: one SQLite file with catalogues, faults, and links proposed and decided; durable when a call returns."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.runtime.errors import Corrupt, Refused
from gateway.linking import reasons
from gateway.linking.entries import Entry, RowFault
from gateway.linking.judging import Thing
from gateway.linking.proposals import STATES, Proposal, State, Why

MOST_ENTRIES = 2_000_000
MOST_FAULTS = 100_000  # of one catalogue that are kept; the others are counted
VERSION = 1
SCHEMA = """
CREATE TABLE catalogues (name TEXT PRIMARY KEY, body TEXT NOT NULL, digest TEXT NOT NULL, row INTEGER NOT NULL, faults INTEGER NOT NULL,
                         finished INTEGER NOT NULL, pass INTEGER NOT NULL) STRICT;
CREATE TABLE entries (id INTEGER PRIMARY KEY, catalogue TEXT NOT NULL, key TEXT NOT NULL, code TEXT, title TEXT NOT NULL,
                      kind TEXT NOT NULL,
                      year INTEGER, names TEXT NOT NULL, identifiers TEXT NOT NULL, links TEXT NOT NULL, pass INTEGER NOT NULL,
                      UNIQUE (catalogue, key)) STRICT;
CREATE INDEX entries_code ON entries (code);
CREATE TABLE faults (catalogue TEXT NOT NULL, row INTEGER NOT NULL, reason TEXT NOT NULL, told TEXT NOT NULL,
                     whole INTEGER NOT NULL) STRICT;
CREATE INDEX faults_row ON faults (catalogue, row);
CREATE TABLE proposals (id INTEGER PRIMARY KEY, statement TEXT NOT NULL UNIQUE, source TEXT NOT NULL, type TEXT NOT NULL,
                        target TEXT NOT NULL, score REAL NOT NULL, basis TEXT NOT NULL, why TEXT NOT NULL, source_title TEXT NOT NULL,
                        target_title TEXT NOT NULL, target_body TEXT NOT NULL, state TEXT NOT NULL, pass INTEGER NOT NULL,
                        by TEXT NOT NULL DEFAULT '', at TEXT NOT NULL DEFAULT '', note TEXT NOT NULL DEFAULT '') STRICT;
CREATE INDEX proposals_state ON proposals (state, score DESC, id);
CREATE INDEX proposals_source ON proposals (source);
CREATE TABLE passes (number INTEGER NOT NULL) STRICT;
INSERT INTO passes VALUES (0);
"""


@dataclass(frozen=True)
class Catalogue:
    """One file that was imported, wholly or up to ``row``; ``body`` is empty for the institution's own."""

    name: str
    body: str
    digest: str
    row: int
    faults: int
    finished: bool


@dataclass(frozen=True)
class Kept:
    """A proposal in the book, with what became of it."""

    id: int
    proposal: Proposal
    state: State
    by: str
    at: str
    note: str


class Book:
    """Open for one process; several may be open on one file (a curator's command beside the page)."""

    def __init__(self, path: Path) -> None:
        fresh = not path.exists()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            if fresh:
                self._ours(path)
            self._lay()
        except sqlite3.DatabaseError as error:
            raise Corrupt(f"the book of links {path} cannot be used: {error}") from error
        except OSError as error:
            raise Refused("no-book", f"the book of links {path} cannot be opened: {error}", 500) from error

    def _ours(self, path: Path) -> None:
        """Give a new file to whom its folder belongs: root's commands and the daemon use the same one."""
        folder = path.parent.stat()
        if os.geteuid() == 0 and folder.st_uid != 0:
            for name in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
                if name.exists():
                    os.chown(name, folder.st_uid, folder.st_gid)

    def _lay(self) -> None:
        with self._writing():
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in SCHEMA.strip().split(";\n"):
                    self._db.execute(statement.rstrip(";"))
                self._db.execute(f"PRAGMA user_version = {VERSION}")
            elif version != VERSION:
                raise Corrupt(f"the book of links has version {version}; this program knows {VERSION}")

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # -- catalogues

    def catalogues(self) -> list[Catalogue]:
        """Return what was imported."""
        rows = self._db.execute("SELECT name, body, digest, row, faults, finished FROM catalogues ORDER BY name")
        return [Catalogue(n, body, digest, row, faults, bool(done)) for n, body, digest, row, faults, done in rows]

    def begin(self, name: str, body: str, digest: str) -> int:
        """Begin the import of a file into the catalogue ``name``, and return how many of its rows are in already.

        Raises:
            Refused: ``other-body``: the catalogue is another institution's.
        """
        with self._writing():
            found = self._db.execute(
                "SELECT body, digest, row, finished FROM catalogues WHERE name = ?", (name,)
            ).fetchone()
            if found is not None and found[0] != body:
                raise Refused("other-body", f"the catalogue '{name}' is kept as of '{found[0] or 'our own'}'", 409)
            if found is not None and found[1] == digest and not found[3]:
                return int(found[2])
            self._db.execute("DELETE FROM faults WHERE catalogue = ?", (name,))
            self._db.execute(
                "INSERT INTO catalogues VALUES (?, ?, ?, 0, 0, 0, 1) ON CONFLICT (name) DO UPDATE"
                " SET digest = excluded.digest, row = 0, faults = 0, finished = 0, pass = pass + 1",
                (name, body, digest),
            )
        return 0

    def add(self, name: str, row: int, entries: Sequence[tuple[int, Entry]], wrong: Sequence[RowFault]) -> int:
        """Keep the entries (each with its row) and faults of the rows up to ``row``; return how many entries came a second time.

        Raises:
            Refused: ``too-many``: the book is full.
        """
        with self._writing():
            number, kept = self._db.execute("SELECT pass, faults FROM catalogues WHERE name = ?", (name,)).fetchone()
            twice = [
                RowFault(at, "twice", f"an entry with the number {entry.key!a} was there before; this one is left out")
                for at, entry in entries
                if not self._db.execute(_ADD, (name, *_row(entry), number)).rowcount
            ]
            wrong = [*wrong, *twice]
            (last,) = self._db.execute("SELECT coalesce(max(id), 0) FROM entries").fetchone()
            if last > MOST_ENTRIES and self.count() > MOST_ENTRIES:
                raise Refused("too-many", f"the engine holds at most {MOST_ENTRIES} entries", 507)
            room = max(0, MOST_FAULTS - kept)
            self._db.executemany(
                "INSERT INTO faults VALUES (?, ?, ?, ?, ?)",
                [(name, one.row, one.reason, one.sentence, one.whole) for one in wrong[:room]],
            )
            self._db.execute(
                "UPDATE catalogues SET row = ?, faults = faults + ? WHERE name = ?", (row, len(wrong), name)
            )
        return len(twice)

    def finish(self, name: str) -> int:
        """End an import: what the catalogue had before and has no more is removed; return how many entries that were."""
        with self._writing():
            gone = self._db.execute(
                "DELETE FROM entries WHERE catalogue = ? AND pass < (SELECT pass FROM catalogues WHERE name = ?)",
                (name, name),
            ).rowcount
            self._db.execute("UPDATE catalogues SET finished = 1 WHERE name = ?", (name,))
        return gone

    def forget(self, name: str) -> bool:
        """Remove a catalogue, and return whether there was one; links that were decided stay."""
        with self._writing():
            self._db.execute("DELETE FROM entries WHERE catalogue = ?", (name,))
            self._db.execute("DELETE FROM faults WHERE catalogue = ?", (name,))
            return self._db.execute("DELETE FROM catalogues WHERE name = ?", (name,)).rowcount > 0

    def count(self) -> int:
        """Return the number of entries."""
        return int(self._db.execute("SELECT count(*) FROM entries").fetchone()[0])

    def faults(self, name: str, most: int) -> list[RowFault]:
        """Return the first faults of a catalogue, in the order of its rows."""
        query = "SELECT row, reason, told, whole FROM faults WHERE catalogue = ? ORDER BY row LIMIT ?"
        return [
            RowFault(row, reason, told, bool(whole))
            for row, reason, told, whole in self._db.execute(query, (name, most))
        ]

    def things(self) -> Iterator[Thing]:
        """Yield every entry, as proposals are made of it."""
        query = (
            "SELECT e.id, e.key, e.code, e.title, e.kind, e.year, e.names, e.identifiers, e.links, c.body FROM entries e"
            " JOIN catalogues c ON c.name = e.catalogue ORDER BY e.id"
        )
        for number, *row, body in self._db.execute(query):
            yield Thing(number, _entry(row), body)

    def entry(self, code: str) -> tuple[Entry, str, str] | None:
        """Return what the catalogues say of a code: the entry, its catalogue, and whose it is."""
        query = (
            "SELECT e.key, e.code, e.title, e.kind, e.year, e.names, e.identifiers, e.links, c.name, c.body FROM entries e"
            " JOIN catalogues c ON c.name = e.catalogue WHERE e.code = ? LIMIT 1"
        )
        row = self._db.execute(query, (code,)).fetchone()
        return None if row is None else (_entry(row[:8]), row[8], row[9])

    # -- proposals

    def propose(self, proposals: Iterable[Proposal]) -> dict[str, int]:
        """Keep proposals, all in one transaction, and return how many are ``new``, ``known``, ``decided`` and ``gone``.

        What was decided stays as it was decided, so nothing comes again after a rejection; what was proposed and is not any more goes.
        """
        told = {"new": 0, "known": 0, "decided": 0, "gone": 0}
        fresh: dict[str, Proposal] = {}
        for proposal in proposals:  # compared before the book is locked: curators go on meanwhile
            before = fresh.get(proposal.statement)
            if before is None or proposal.score > before.score:
                fresh[proposal.statement] = proposal
        with self._writing():
            self._db.execute("UPDATE passes SET number = number + 1")
            (number,) = self._db.execute("SELECT number FROM passes").fetchone()
            known = dict(self._db.execute("SELECT statement, state FROM proposals"))
            for statement in fresh:
                state = known.get(statement)
                told["new" if state is None else "known" if state == "proposed" else "decided"] += 1
            self._db.executemany(
                "INSERT INTO proposals (statement, source, type, target, score, basis, why, source_title, target_title, target_body,"
                " state, pass) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'proposed', ?) ON CONFLICT (statement) DO UPDATE SET"
                " source = excluded.source, type = excluded.type, target = excluded.target, score = excluded.score,"
                " basis = excluded.basis, why = excluded.why, source_title = excluded.source_title,"
                " target_title = excluded.target_title, target_body = excluded.target_body, pass = excluded.pass"
                " WHERE state = 'proposed'",
                [(p.statement, p.source, p.type, p.target, p.score, p.basis, reasons.dump(p.why), p.source_title,
                  p.target_title, p.target_body, number) for p in fresh.values()],
            )  # fmt: skip
            gone = self._db.execute("DELETE FROM proposals WHERE state = 'proposed' AND pass < ?", (number,))
            told["gone"] = gone.rowcount
        return told

    def states(self) -> dict[str, int]:
        """Return how many links are in each state."""
        found = dict(self._db.execute("SELECT state, count(*) FROM proposals GROUP BY state"))
        return {state: found.get(state, 0) for state in STATES}

    def types(self) -> list[str]:
        """Return the types of links that are in the book."""
        return [name for (name,) in self._db.execute("SELECT DISTINCT type FROM proposals ORDER BY type")]

    def select(self, where: str, values: Mapping[str, object], most: int, skip: int = 0) -> list[Kept]:
        """Return links that meet ``where`` (made by ``choosing``, with named values), the surest first."""
        query = f"SELECT {_KEPT} FROM proposals WHERE {where} ORDER BY score DESC, id LIMIT :most OFFSET :skip"  # noqa: S608
        return [_kept(row) for row in self._db.execute(query, {**values, "most": most, "skip": skip})]

    def count_of(self, where: str, values: Mapping[str, object]) -> int:
        """Return how many links meet ``where``."""
        return int(self._db.execute(f"SELECT count(*) FROM proposals WHERE {where}", values).fetchone()[0])  # noqa: S608

    def one(self, number: int) -> Kept | None:
        """Return the link with this number."""
        row = self._db.execute(f"SELECT {_KEPT} FROM proposals WHERE id = ?", (number,)).fetchone()  # noqa: S608
        return None if row is None else _kept(row)

    def decide(self, where: str, values: Mapping[str, object], state: State, by: str, at: str, note: str = "") -> int:
        """Give every link that meets ``where``, and is not registered, another state; return how many."""
        query = (
            f"UPDATE proposals SET state = :state, by = :by, at = :at, note = :note WHERE ({where})"  # noqa: S608
            " AND state <> 'registered' AND state <> :state"
        )
        with self._writing():
            return self._db.execute(query, {**values, "state": state, "by": by, "at": at, "note": note}).rowcount

    def registered(self, numbers: Iterable[int], at: str) -> None:
        """Note that the registry has these links."""
        with self._writing():
            self._db.executemany(
                "UPDATE proposals SET state = 'registered', at = ? WHERE id = ? AND state = 'accepted'",
                [(at, number) for number in numbers],
            )


_ADD = (
    "INSERT INTO entries (catalogue, key, code, title, kind, year, names, identifiers, links, pass)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (catalogue, key) DO UPDATE SET code = excluded.code,"
    " title = excluded.title, kind = excluded.kind, year = excluded.year, names = excluded.names,"
    " identifiers = excluded.identifiers, links = excluded.links, pass = excluded.pass WHERE pass < excluded.pass"
)
_KEPT = "id, source, type, target, score, basis, why, source_title, target_title, target_body, state, by, at, note"


def _kept(row: Sequence[object]) -> Kept:
    number, source, kind, target, score, basis, why, *titles, state, by, at, note = row
    grounds: tuple[Why, ...] = reasons.load(str(why))
    proposal = Proposal(source, kind, target, score, basis, grounds, *titles)  # type: ignore[arg-type]
    return Kept(number, proposal, state, by, at, note)  # type: ignore[arg-type]


def _row(entry: Entry) -> tuple[object, ...]:
    lists = (list(entry.names), list(entry.identifiers), list(entry.links))
    packed = (json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in lists)
    return (entry.key, entry.code, entry.title, entry.kind, entry.year, *packed)


def _entry(row: Sequence[object]) -> Entry:
    key, code, title, kind, year, names, identifiers, links = row
    packed = [json.loads(str(text)) for text in (names, identifiers, links)]
    pairs = tuple((kind, target) for kind, target in packed[2])
    return Entry(key, code, title, kind, year, tuple(packed[0]), tuple(packed[1]), pairs)  # type: ignore[arg-type]
