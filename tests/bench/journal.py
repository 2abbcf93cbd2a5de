"""The journal beside what else makes records durable: SQLite (WAL, synchronous=FULL) and a plain file with fsync; then its verifier alone.

The plain file is the bound that the disk sets; SQLite is what most would take, without any proof against alteration.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from appliance.identity.keys import PrivateKey
from appliance.journal import verify
from appliance.journal.group import Group
from appliance.journal.log import Journal

RECORDS = 100_000  # of each writer
BATCHES = (1, 100, 1000)  # records of one durable write
ALONE = 3000  # records where each is durable by itself
WAITING = 200  # tasks that append one record after another
MILLION = 1_000_000
Entry = dict[str, Any]


def entry(number: int) -> Entry:
    """Return a record as the exchange writes them."""
    return {
        "time": "2026-11-22T08:30:00.000000+00:00", "decision": "pass", "reason": "verified", "zone": "bigscreen", "run": "delivery",
        "release": "999999-100000000000001-4", "version": 1, "path": f"video/{number}.m4s", "bytes": 1_500_000, "from": "origin",
        "sha256": f"{number:064x}",
    }  # fmt: skip


def plain(folder: Path) -> Callable[[list[Entry]], None]:
    """Return what appends lines to a file and asks for fsync."""
    file = os.open(folder / "plain", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(entries: list[Entry]) -> None:
        os.write(
            file, b"".join(json.dumps(one, ensure_ascii=False, sort_keys=True).encode() + b"\n" for one in entries)
        )
        os.fdatasync(file)

    return write


def sqlite(folder: Path) -> Callable[[list[Entry]], None]:
    """Return what inserts rows, a transaction for each batch."""
    database = sqlite3.connect(folder / "sqlite.db", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE entries (number INTEGER PRIMARY KEY AUTOINCREMENT, data TEXT NOT NULL)")

    def write(entries: list[Entry]) -> None:
        rows = [(json.dumps(one, ensure_ascii=False, sort_keys=True),) for one in entries]
        database.execute("BEGIN IMMEDIATE")
        database.executemany("INSERT INTO entries (data) VALUES (?)", rows)
        database.execute("COMMIT")

    return write


def journal(folder: Path) -> Callable[[list[Entry]], None]:
    """Return what appends to a journal: signed, hashed into the tree, tiles and all."""
    made = Journal(folder / "journal", PrivateKey.generate(), "bench/journal")
    return lambda entries: made.append_many(entries) and None


def rate(make: Callable[[Path], Callable[[list[Entry]], None]], batch: int) -> float:
    """Return how many records a second are durable in batches of ``batch``."""
    count = ALONE if batch == 1 else RECORDS
    with tempfile.TemporaryDirectory(prefix="hgb-", dir="/var/tmp") as name:
        write, entries = make(Path(name)), [entry(number) for number in range(count)]
        began = time.perf_counter()
        for at in range(0, count, batch):
            write(entries[at : at + batch])
        return count / (time.perf_counter() - began)


async def together() -> float:
    """Return how many records a second tasks append that each wait for their own record to be durable."""
    with tempfile.TemporaryDirectory(prefix="hgb-", dir="/var/tmp") as name:
        made = Journal(Path(name) / "journal", PrivateKey.generate(), "bench/journal")
        each = RECORDS // 2 // WAITING
        async with asyncio.TaskGroup() as tasks:
            group = Group(made, tasks)

            async def work(number: int) -> None:
                for index in range(each):
                    await group.append(entry(number * each + index))

            began = time.perf_counter()
            await asyncio.gather(*(work(number) for number in range(WAITING)))
            seconds = time.perf_counter() - began
        made.close()
        return each * WAITING / seconds


def million(folder: Path) -> list[tuple[str, str]]:
    """Return what a journal of a million records costs to open, to prove from, and to verify by the one file alone."""
    key = PrivateKey.generate()
    made = Journal(folder / "journal", key, "bench/journal")
    for at in range(0, MILLION, 2000):
        made.append_many([entry(number) for number in range(at, at + 2000)])
    made.close()
    size = sum(path.stat().st_size for path in made.folder.rglob("*") if path.is_file())
    began = time.perf_counter()
    again = Journal(made.folder, key, "bench/journal")
    opened = time.perf_counter()
    again.request(MILLION // 3)
    proved = time.perf_counter()
    again.close()
    program = (
        "import resource, runpy, sys; sys.argv = sys.argv[1:]\ntry: runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    program += "finally: sys.stderr.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))"
    words = [sys.executable, "-I", "-c", program, verify.__file__, str(made.folder), "--key", str(key.public)]
    verifying = time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - verifying
    return [
        ("on disk", f"{size / 1e6:.0f} MB"),
        ("open for writing", f"{(opened - began) * 1e3:.1f} ms"),
        ("proof that it goes on from a third of it", f"{(proved - opened) * 1e3:.1f} ms"),
        ("verify offline, all of it (at most 10 s)", f"{seconds:.2f} s, {int(done.stderr) / 1024:.0f} MiB"),
    ]


def main() -> None:
    """Run the benchmark and print what was measured."""
    table = Table("durable records/s, in batches of", *map(str, BATCHES), box=None)
    for told, make in (
        ("plain file, fdatasync", plain),
        ("SQLite, WAL, synchronous=FULL", sqlite),
        ("journal", journal),
    ):
        # The better of two: what else the disk does at the moment is not the writer's.
        table.add_row(told, *(f"{max(rate(make, batch) for _ in range(2)):,.0f}" for batch in BATCHES))
    table.add_row(f"journal, {WAITING} tasks waiting each for its own", f"{asyncio.run(together()):,.0f}")
    console = Console(highlight=False)
    console.print(table, "aim: 20,000 in batches\n", sep="\n")
    rows = Table("a journal of a million records", "", box=None)
    with tempfile.TemporaryDirectory(prefix="hgb-", dir="/var/tmp") as name:
        for row in million(Path(name)):
            rows.add_row(*row)
    console.print(rows)
