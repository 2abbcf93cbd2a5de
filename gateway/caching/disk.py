"""What one zone keeps, on disk: a file for each body, and one SQLite table that alone says which of them count.

A row is written once its body is durable, and gone before its body is: whatever instant the power goes, what is found is whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from appliance.runtime.errors import Refused
from gateway.caching.stored import Stored

T = TypeVar("T")
_ID = 16  # hexadecimal digits of a body's name


class Disk:
    """The folder ``path``; rows change in one thread, in the order in which that was asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._worker = ThreadPoolExecutor(1, "web-cache")
        self._db: sqlite3.Connection | None = None

    def load(self) -> list[Stored]:
        """Open the folder and return what is kept in it; files that no row speaks of are removed."""
        self._path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self._worker.submit(self._load).result()

    def _load(self) -> list[Stored]:
        try:
            return self._read()
        except sqlite3.DatabaseError:  # a cache begins anew rather than trust a damaged table
            for file in self._path.iterdir():
                file.unlink()
            return self._read()

    def _read(self) -> list[Stored]:
        self._db = sqlite3.connect(self._path / "index.db", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")  # a purge that was confirmed stays done
        self._db.execute("CREATE TABLE IF NOT EXISTS stored (id TEXT PRIMARY KEY, head TEXT NOT NULL) WITHOUT ROWID")
        found = {}
        for one, head in self._db.execute("SELECT id, head FROM stored").fetchall():
            stored = _stored(head)
            try:
                whole = stored.spans == () or (self._path / one).stat().st_size >= stored.spans[-1][1]
            except FileNotFoundError:
                whole = False
            if whole:
                found[one] = stored
            else:
                self._db.execute("DELETE FROM stored WHERE id = ?", (one,))
        for file in self._path.iterdir():
            if len(file.name) == _ID and file.name not in found:
                file.unlink()
        return list(found.values())

    def create(self) -> tuple[str, int]:
        """Return a new id and a descriptor of its empty body."""
        one = secrets.token_hex(_ID // 2)
        return one, os.open(self._path / one, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def open(self, one: str) -> int:
        """Return a descriptor of a body.

        Raises:
            FileNotFoundError: it went meanwhile.
        """
        return os.open(self._path / one, os.O_RDWR | os.O_CLOEXEC)

    async def keep(self, stored: Stored) -> None:
        """Make the response durable: its body first, then its row.

        Raises:
            Refused: the disk does not take it; the same for every other change.
        """
        await self._do(lambda: self._keep(stored))

    async def soften(self, changed: Sequence[Stored]) -> None:
        """Write the heads of responses anew whose bodies are durable already."""
        if changed:
            await self._do(lambda: self._change(changed))

    async def remove(self, ids: Sequence[str]) -> None:
        """Forget responses for good: their rows first, then their bodies."""
        if ids:
            await self._do(lambda: self._remove(ids))

    def discard(self, one: str) -> None:
        """Remove a body that no row speaks of."""
        (self._path / one).unlink(missing_ok=True)

    async def close(self) -> None:
        """Write what waits to be written, and close."""
        await self._do(self._close)
        self._worker.shutdown()

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, self._whole, work)
        except (sqlite3.Error, OSError) as error:
            raise Refused("cache-disk", f"the cache's disk does not take a change: {error}", 503) from error

    def _whole(self, work: Callable[[], T]) -> T:
        """Do ``work``, all of it or nothing."""
        try:
            return work()
        except sqlite3.Error:
            if self._open.in_transaction:
                self._open.rollback()
            raise

    @property
    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            raise RuntimeError("used before 'load'")
        return self._db

    def _keep(self, stored: Stored) -> None:
        with contextlib.suppress(FileNotFoundError):  # evicted before its turn came: then it is not kept
            body = self.open(stored.id)
            try:
                os.fsync(body)
            finally:
                os.close(body)
            head = json.dumps(asdict(stored))
            self._open.execute("INSERT OR REPLACE INTO stored (id, head) VALUES (?, ?)", (stored.id, head))

    def _change(self, changed: Sequence[Stored]) -> None:
        self._open.execute("BEGIN")
        self._open.executemany(
            "UPDATE stored SET head = ? WHERE id = ?", [(json.dumps(asdict(one)), one.id) for one in changed]
        )
        self._open.execute("COMMIT")

    def _remove(self, ids: Sequence[str]) -> None:
        self._open.execute("BEGIN")
        self._open.executemany("DELETE FROM stored WHERE id = ?", [(one,) for one in ids])
        self._open.execute("COMMIT")
        for one in ids:
            self.discard(one)

    def _close(self) -> None:
        self._open.close()


def _stored(head: str) -> Stored:
    told = json.loads(head)
    for name in ("fields", "spans", "vary"):
        told[name] = tuple(tuple(one) for one in told[name])
    return Stored(**told)
