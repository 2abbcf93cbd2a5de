"""How much of each release the store holds: counted from the files, told the controller where it changed.

Whatever comes or goes is only noted; every few seconds the releases that name it are counted again. After a start all are looked through
once, a few at a time. What was told last is kept, so that a restart tells nothing anew; lost, everything is told once more.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing
from dataclasses import astuple, dataclass
from pathlib import Path

from appliance.runtime.errors import Corrupt, HeadgateError
from appliance.telemetry.records import Record
from gateway.exchange.register import Register
from gateway.release import signed
from gateway.store.disk import Disk
from gateway.store.manifests import Manifests

EVERY = 5.0  # seconds between two rounds
AT_ONCE = 500  # releases counted in one round
AGAIN = 10.0  # seconds until one is counted again, or more where counting takes long
DEAR = 20.0  # times what counting took
A_PASS = 100  # releases of the pass after a start that are counted in one round
MOST_NOTED = 200_000  # objects that came or went in between; more: all releases are looked through
TOGETHER = 100  # releases told in one record

log = logging.getLogger("headgate.exchange")


@dataclass(frozen=True)
class Holding:
    """How many objects of how many bytes of a release's newest verified version are here, and how many there are."""

    version: int
    objects: int
    of: int
    bytes: int
    of_bytes: int


class Told:
    """What was told last, in the file ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._open()) as db, db:
            db.execute(
                "CREATE TABLE IF NOT EXISTS told (code TEXT PRIMARY KEY, version INTEGER, objects INTEGER, of INTEGER,"
                " bytes INTEGER, of_bytes INTEGER) WITHOUT ROWID"
            )

    def get(self, code: str) -> Holding | None:
        """Return what was told of a release, or None."""
        with closing(self._open()) as db:
            row = db.execute(
                "SELECT version, objects, of, bytes, of_bytes FROM told WHERE code = ?", (code,)
            ).fetchone()
        return Holding(*row) if row else None

    def put(self, holdings: Iterable[tuple[str, Holding]]) -> None:
        """Keep what is told now."""
        rows = [(code, *astuple(holding)) for code, holding in holdings]
        with closing(self._open()) as db, db:
            db.executemany("INSERT OR REPLACE INTO told VALUES (?, ?, ?, ?, ?, ?)", rows)

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.DatabaseError:
            self._path.unlink(missing_ok=True)  # everything is told once more
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path)
        try:
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except BaseException:
            db.close()
            raise
        return db


class Holdings:
    """Counts by ``kept`` manifests and the ``disk``; ``tell`` takes a record durably."""

    def __init__(
        self,
        told: Told,
        register: Register,
        kept: Manifests,
        disk: Disk,
        tell: Callable[[Record], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._told, self._register, self._kept, self._disk, self._tell = told, register, kept, disk, tell
        self._clock, self._lock = clock, threading.Lock()
        self._noted: set[str] = set()  # digests
        self._touched: set[str] = set()  # codes
        self._next: dict[str, float] = {}  # code -> when it may be counted again
        self._all: list[str] | None = None  # what is left of the pass; None: it is to begin

    def note(self, digests: Iterable[str], _here: object = None) -> None:
        """Take note that objects came or went; never waits."""
        with self._lock:
            self._noted.update(digests)
            if len(self._noted) > MOST_NOTED:
                self._noted.clear()
                self._all = None

    def touch(self, code: str) -> None:
        """Take note that another version of a release is known."""
        with self._lock:
            self._touched.add(code)

    async def run(self) -> None:
        """Tell what changed, for ever."""
        while True:
            try:
                await self.round()
            except (HeadgateError, OSError, sqlite3.Error) as error:
                log.warning("how much of the releases is here cannot be told now: %s", error)
            await asyncio.sleep(EVERY)

    async def round(self) -> int:
        """Count what may have changed, and tell what did; return how many releases were told of."""
        changed = await asyncio.to_thread(self._count)
        for start in range(0, len(changed), TOGETHER):
            part = changed[start : start + TOGETHER]
            rows = [[code, *astuple(holding)] for code, holding in part]
            try:
                await self._tell(Record.new("event", "exchange", {"event": "stored", "releases": rows}))
            except HeadgateError:
                with self._lock:
                    self._touched.update(code for code, _ in changed[start:])
                raise
            await asyncio.to_thread(self._told.put, part)
        return len(changed)

    def _count(self) -> list[tuple[str, Holding]]:
        """Return the releases of which another amount is here than was told."""
        changed = []
        for code in self._due():
            began = self._clock()
            holding = self._holding(code)
            self._next[code] = self._clock() + max(AGAIN, DEAR * (self._clock() - began))
            if holding is not None and holding != self._told.get(code):
                changed.append((code, holding))
        return changed

    def _due(self) -> list[str]:
        with self._lock:
            noted, self._noted = self._noted, set()
            if self._all is None:
                self._all = self._kept.codes()
            self._touched.update(itertools.islice(self._all, A_PASS))
            del self._all[:A_PASS]
        codes = {code for digest in noted for code in self._register.others(digest)}
        now = self._clock()
        self._next = {code: when for code, when in self._next.items() if when > now}
        with self._lock:
            self._touched |= codes
            due = [code for code in itertools.islice(self._touched, 4 * AT_ONCE) if code not in self._next][:AT_ONCE]
            self._touched.difference_update(due)
        return due

    def _holding(self, code: str) -> Holding | None:
        data = self._kept.get(code)
        if data is None:
            return None
        try:
            release = signed.claimed(data)  # it was verified when it was kept
        except Corrupt:
            return None
        sizes = {file.sha256: file.size for file in release.files.values()}
        here = [size for sha256, size in sizes.items() if self._disk.size(sha256) == size]
        return Holding(release.version, len(here), len(sizes), sum(here), sum(sizes.values()))
