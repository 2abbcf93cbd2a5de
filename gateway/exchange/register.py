"""``orders.db``: the orders that the box took, with their proofs, and which release names which objects. Touches SQLite.

What is in here is durable: an order counts once it is in, and a release is known here before its first object comes.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.runtime.errors import Refused
from gateway.release import orders
from gateway.release.manifest import Release
from gateway.release.orders import Order, Target

TOGETHER = 500  # codes in one question to the database

_SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (serial INTEGER PRIMARY KEY, signed BLOB NOT NULL, told BLOB NOT NULL, proof BLOB);
CREATE TABLE IF NOT EXISTS releases (code TEXT PRIMARY KEY, digest TEXT NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_body ON releases (body);
CREATE TABLE IF NOT EXISTS labels (label TEXT NOT NULL, code TEXT NOT NULL, PRIMARY KEY (label, code)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS labels_by_code ON labels (code);
CREATE TABLE IF NOT EXISTS names (code TEXT NOT NULL, object BLOB NOT NULL, PRIMARY KEY (code, object)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_object ON names (object);
"""


@dataclass(frozen=True)
class Taken:
    """An order that was taken, and its proof once everything it asks for is done."""

    order: Order
    proof: str


class Register:
    """The database at ``path``; one process, any of its threads."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode = WAL", "synchronous = FULL"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Let the file go."""
        self._db.close()

    def orders(self) -> list[Order]:
        """Return all orders in their row."""
        return [orders.parse(told) for (told,) in self._ask("SELECT told FROM orders ORDER BY serial")]

    def taken(self, serial: int) -> Taken | None:
        """Return the order of this serial, if it was taken."""
        for told, proof in self._ask("SELECT told, proof FROM orders WHERE serial = ?", serial):
            return Taken(orders.parse(told), (proof or b"").decode())
        return None

    def unproved(self) -> list[Order]:
        """Return the orders that are not carried out to the end."""
        return [
            orders.parse(told) for (told,) in self._ask("SELECT told FROM orders WHERE proof IS NULL ORDER BY serial")
        ]

    def take(self, given: Iterable[tuple[Order, bytes]]) -> None:
        """Keep orders with their envelopes, all or none; they count from now on.

        Raises:
            Refused: the disk is full or failed (``store-full``).
        """
        rows = [(order.serial, signed, orders.render(order)) for order, signed in given]
        with self._writing() as db:
            db.executemany("INSERT INTO orders (serial, signed, told) VALUES (?, ?, ?)", rows)

    def proved(self, serial: int, proof: bytes) -> None:
        """Keep the proof of an order that is carried out.

        Raises:
            Refused: as ``take``.
        """
        with self._writing() as db:
            db.execute("UPDATE orders SET proof = ? WHERE serial = ?", (proof, serial))

    def knows(self, code: str, digest: str) -> bool:
        """Return whether this version (by its manifest's digest) of a release was learned."""
        return bool(self._ask("SELECT 1 FROM releases WHERE code = ? AND digest = ?", code, digest))

    def codes(self) -> set[str]:
        """Return the codes of all releases that were learned."""
        return {code for (code,) in self._ask("SELECT code FROM releases")}

    def learn(self, release: Release, digest: str) -> None:
        """Keep what a version of a release is and names, beside what its earlier versions named.

        Raises:
            Refused: as ``take``.
        """
        code = release.code
        objects = {bytes.fromhex(file.sha256) for file in release.files.values()}
        with self._writing() as db:
            db.execute("INSERT OR REPLACE INTO releases VALUES (?, ?, ?)", (code, digest, release.body))
            db.execute("DELETE FROM labels WHERE code = ?", (code,))
            db.executemany("INSERT OR IGNORE INTO labels VALUES (?, ?)", [(label, code) for label in release.labels])
            db.executemany("INSERT OR IGNORE INTO names VALUES (?, ?)", [(code, one) for one in objects])

    def covered(self, target: Target) -> list[str]:
        """Return the codes of the known releases that ``target`` is about."""
        kind, name = target
        if kind not in orders.CONTENT:
            return []
        table = {"release": "releases", "body": "releases", "label": "labels"}[kind]
        column = {"release": "code", "body": "body", "label": "label"}[kind]
        return [code for (code,) in self._ask(f"SELECT code FROM {table} WHERE {column} = ? ORDER BY code", name)]  # noqa: S608 (our own names)

    def about(self, code: str) -> tuple[str, tuple[str, ...]]:
        """Return body and labels of a known release; of another one, nothing."""
        body = next((body for (body,) in self._ask("SELECT body FROM releases WHERE code = ?", code)), "")
        return body, tuple(label for (label,) in self._ask("SELECT label FROM labels WHERE code = ?", code))

    def objects(self, code: str) -> list[str]:
        """Return the digests (hex) of the objects that any version of a release names."""
        return [one.hex() for (one,) in self._ask("SELECT object FROM names WHERE code = ?", code)]

    def others(self, sha256: str) -> list[str]:
        """Return the codes of the releases that name an object."""
        return [code for (code,) in self._ask("SELECT code FROM names WHERE object = ?", bytes.fromhex(sha256))]

    def _ask(self, question: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(question, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except BaseException as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if isinstance(error, sqlite3.OperationalError):
                    raise Refused("store-full", f"the register of orders cannot be written: {error}", 507) from error
                raise
