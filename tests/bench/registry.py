"""The registry: bulk registration on SQLite and PostgreSQL, one registration, publication, proofs, and the import command beside it.

``RECORDS=1000000 ./dev bench registry`` measures a million rows.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from click.testing import CliRunner
from sqlalchemy.ext.asyncio import AsyncEngine

from appliance.identity.keys import PrivateKey
from appliance.runtime import http
from gateway.resolver.cli import commands
from gateway.resolver.codes import check_digit, parse
from gateway.resolver.proof import parse_key, verify_proof
from gateway.resolver.records import Location, Record
from gateway.resolver.statement import MOST, Registration, sign
from provisioning.controller.store import engine
from provisioning.registry.asking import Asking
from provisioning.registry.judging import Admitted, Rules
from provisioning.registry.publication import Publication
from provisioning.registry.registry import Registry
from provisioning.registry.routes import Api
from provisioning.registry.tables import metadata
from tests.bench._load import children, processor

RECORDS = int(os.environ.get("RECORDS", "200000"))
SINGLE = 30  # registrations, publications and proofs of one record each
KEY, BODY = PrivateKey.generate(), PrivateKey.generate()
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
FOLDER = os.environ.get("HEADGATE_BENCH_FOLDER", "/var/tmp")


def code(number: int) -> str:
    """Return an ISLI code."""
    payload = f"999999{number:015}"
    return f"isli:{payload[:6]}-{payload[6:]}-{check_digit(payload)}"


def dumps(count: int) -> list[bytes]:
    """Return records as cataloguers have them: a location, some metadata."""
    return [
        Record(
            code=code(number),
            title=f"影片 {number}",
            body="library",
            locations=[Location(release=code(number), entry="master.m3u8")],
            metadata={"creator": "广西电影制片厂", "date": "1961"},
        ).dump()
        for number in range(count)
    ]


@contextlib.asynccontextmanager
async def opened(database: AsyncEngine, folder: Path) -> AsyncIterator[tuple[Registry, Publication]]:
    """Yield a registry on fresh tables."""
    async with database.begin() as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.run_sync(metadata.create_all)
    rules = Rules({"library": Admitted((BODY.public,), ("isli:999999-",))})
    registry = Registry(database, KEY, folder, lambda: rules)
    await registry.open()
    publication = Publication(registry)
    await publication.open()
    try:
        yield registry, publication
    finally:
        registry.close()
        await database.dispose()


@contextlib.contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """Yield the URL of a PostgreSQL of this benchmark's own, as durable as Debian has it."""
    programs, become = PROGRAMS[-1], ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder.mkdir()
    if become:
        folder.parent.chmod(0o755)
        shutil.chown(folder, "postgres")

    def call(*argv: str) -> None:
        subprocess.run([*become, *argv], check=True, cwd=folder, capture_output=True, timeout=120)

    call(str(programs / "initdb"), "-D", str(folder / "data"), "-A", "trust", "-U", "headgate", "-N")
    start = ["-D", str(folder / "data"), "-w", "-l", str(folder / "log"), "-o", f"-k {folder} -c listen_addresses=''"]
    call(str(programs / "pg_ctl"), *start, "start")
    try:
        yield f"postgresql+psycopg://headgate@/postgres?host={folder}"
    finally:
        call(str(programs / "pg_ctl"), "-D", str(folder / "data"), "-w", "-m", "immediate", "stop")


async def bulk(registry: Registry, registrations: Sequence[Registration]) -> str:
    """Hand in all of it, two at once as the import does, and tell rows and processor time, that of validation among it."""
    await registry.register(registrations[0], datetime.now(UTC), dry=True)  # its processes are there
    ours = children(os.getpid())
    began, used = time.perf_counter(), processor(ours)
    limit = asyncio.Semaphore(2)

    async def one(registration: Registration) -> None:
        async with limit:
            await registry.register(registration, datetime.now(UTC))

    async with asyncio.TaskGroup() as tasks:
        for registration in registrations:
            tasks.create_task(one(registration))
    seconds = time.perf_counter() - began
    rows = sum(len(one.dumps) for one in registrations)
    own = (processor(ours) - used) / rows
    return f"{rows / seconds:,.0f} rows/s ({own * 1e6:.0f} us of processor a row)"


async def single(registry: Registry, publication: Publication, rows: list[tuple[str, str]], kind: str) -> None:
    """Measure one registration, its publication and a proof of it, each for itself."""
    asking, key = Asking(registry, publication), parse_key(registry.ledger.verifier)
    times: dict[str, list[float]] = {"registration": [], "publication": [], "proof": [], "verified": []}
    for number in range(SINGLE):
        now = datetime.now(UTC)
        signed = sign("register", "library", [Record(code=code(number), title="new", body="library")], BODY, now)
        marks = [time.perf_counter()]
        await registry.register(signed, now)
        marks.append(time.perf_counter())
        await publication.publish(now)
        marks.append(time.perf_counter())
        proof = await asking.prove(parse(code(number)), now, datetime.now(UTC))
        marks.append(time.perf_counter())
        verify_proof(proof, key, [BODY.public])
        marks.append(time.perf_counter())
        for name, start, end in zip(times, marks, marks[1:], strict=False):
            times[name].append((end - start) * 1000)
    for name, told in times.items():
        rows.append(
            (
                f"{kind}: one {name}, median and slowest of {SINGLE}",
                f"{statistics.median(told):.1f}, {max(told):.1f} ms",
            )
        )


async def measured(
    kind: str, database: AsyncEngine, folder: Path, registrations: Sequence[Registration]
) -> list[tuple[str, str]]:
    """Return what was measured on one database."""
    rows: list[tuple[str, str]] = []
    async with opened(database, folder) as (registry, publication):
        rows.append(
            (f"{kind}: {RECORDS:,} rows, validated, in log and database, durable", await bulk(registry, registrations))
        )
        began = time.perf_counter()
        await publication.publish(datetime.now(UTC))
        rows.append((f"{kind}: publish a head over all of it", f"{(time.perf_counter() - began) * 1000:.1f} ms"))
        await single(registry, publication, rows, kind)
        began = time.perf_counter()
        snapshot = await publication.take_snapshot(datetime.now(UTC))
        size = sum(chunk.bytes for chunk in snapshot.chunks) if snapshot else 0
        rows.append((f"{kind}: first snapshot ({size / 1e6:.1f} MB)", f"{time.perf_counter() - began:.1f} s"))
    return rows


async def imported(folder: Path, records: Sequence[bytes]) -> str:
    """Run the whole command against a registry over HTTP: read, validated, signed, sent, validated, logged, kept."""
    file, key = folder / "catalogue.jsonl", folder / "library.key"
    file.write_bytes(b"".join(one + b"\n" for one in records))
    BODY.save(key)
    async with opened(engine(f"sqlite+aiosqlite:///{folder}/import.db"), folder / "imported") as (
        registry,
        publication,
    ):
        app = http.application()
        app.add_routes(Api(registry, publication).routes())
        async with http.serving(app, tcp=[("127.0.0.1", 0)]) as addresses:
            at = f"http://127.0.0.1:{addresses[0][1]}"
            argv = ["import", str(file), "--body", "library", "--key", str(key), "--at", at, "--good-ones", "--json"]
            began = time.perf_counter()
            done = await asyncio.to_thread(CliRunner().invoke, commands, argv, catch_exceptions=False)
            seconds = time.perf_counter() - began
    assert json.loads(done.stdout)["changed"] == len(records), done.output
    return f"{len(records) / seconds:,.0f} rows/s"


def main() -> None:
    """Run the benchmark and print what was measured."""
    records = dumps(RECORDS)
    began = time.perf_counter()
    now = datetime.now(UTC)
    registrations = [
        sign("register", "library", records[at : at + MOST], BODY, now) for at in range(0, len(records), MOST)
    ]
    rows = [
        (f"sign {RECORDS:,} records, {MOST:,} a statement", f"{RECORDS / (time.perf_counter() - began):,.0f} rows/s")
    ]
    with tempfile.TemporaryDirectory(prefix="hgb-", dir=FOLDER) as name:
        folder = Path(name)
        sqlite = engine(f"sqlite+aiosqlite:///{folder}/registry.db")
        rows += asyncio.run(measured("SQLite", sqlite, folder / "sqlite", registrations))
        if PROGRAMS:
            with postgresql(folder / "pg") as url:
                rows += asyncio.run(measured("PostgreSQL", engine(url), folder / "postgresql", registrations))
        rows.append(
            ("headgate id import over HTTP into SQLite, client included", asyncio.run(imported(folder, records)))
        )
    print(f"\n{os.cpu_count()} processors; load before: {os.getloadavg()[0]:.1f}")
    for what, told in rows:
        print(f"  {what:80} {told:>40}")


if __name__ == "__main__":
    main()
