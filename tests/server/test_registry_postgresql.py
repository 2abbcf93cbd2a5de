"""The registry on a real PostgreSQL, as a fleet's controller runs it."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from appliance.identity import envelope
from appliance.identity.keys import PrivateKey
from gateway.resolver.codes import check_digit, parse
from gateway.resolver.records import KIND, Record, parse_snapshot
from provisioning.registry.registry import FILE, Registry
from provisioning.registry.tables import metadata

pytestmark = pytest.mark.server

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = PrivateKey.generate()
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def codes(count: int) -> list[str]:
    payloads = [f"999999{n:015}" for n in range(count)]
    return [f"isli:{p[:6]}-{p[6:]}-{check_digit(p)}" for p in payloads]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A PostgreSQL of this test's own, reached only over a socket in its folder."""
    if not PROGRAMS:
        pytest.skip("PostgreSQL is not installed")
    become = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []  # the server refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="hgpg-"))
    if become:
        shutil.chown(folder, "postgres")
    programs, data = PROGRAMS[-1], folder / "data"

    def call(*argv: str) -> None:
        subprocess.run([*become, *argv], check=True, cwd=folder, capture_output=True, timeout=60)

    try:
        call(str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "headgate", "-N")
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        call(str(programs / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql+psycopg://headgate@/postgres?host={folder}"
        finally:
            call(str(programs / "pg_ctl"), "-D", str(data), "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def engine(server: str) -> AsyncEngine:
    return create_async_engine(server)


async def test_postgresql_keeps_and_publishes_what_is_registered(engine: AsyncEngine, tmp_path: Path) -> None:
    """Register, register again, withdraw and publish do on PostgreSQL what they do on SQLite."""
    async with engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.run_sync(metadata.create_all)
    registry = Registry(engine, KEY, tmp_path, bodies=lambda: {"library": ["isli:999999-"]})
    records = [Record(code=code, title=f"刘三姐 {n}", body="library") for n, code in enumerate(codes(1200))]
    done = await registry.register(records, NOW)
    assert (done.changed, done.unchanged) == (1200, 0)
    done = await registry.register(records, NOW)
    assert (done.changed, done.unchanged) == (0, 1200)
    await registry.withdraw(parse(records[7].code), "版权到期", NOW)
    assert (await registry.publish(NOW)).serial == 1
    snapshot = parse_snapshot(envelope.open_sealed((tmp_path / FILE).read_bytes(), KIND, [KEY.public])[0])
    assert len(snapshot.records) == 1200
    assert [r.reason for r in snapshot.records if r.status == "withdrawn"] == ["版权到期"]
    pages = [(await registry.some(most=700)), (await registry.some(after=records[699].code, most=700))]
    assert sorted(r.code for page in pages for r in page) == sorted(r.code for r in records)
    await engine.dispose()


async def test_two_changes_at_the_same_time_both_stand(engine: AsyncEngine, tmp_path: Path) -> None:
    """Registrations that come together are all kept, and the publications that follow have growing serials."""
    async with engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.run_sync(metadata.create_all)
    registry = Registry(engine, KEY, tmp_path)

    async def one(code: str) -> int:
        await registry.register([Record(code=code, title="x", body="library")], NOW)
        return (await registry.publish(NOW)).serial

    serials = await asyncio.gather(*(one(code) for code in codes(20)))
    assert max(serials) <= 20
    assert len(await registry.some()) == 20
    async with engine.connect() as connection:
        assert (await connection.execute(text("select count(*) from identifiers_published"))).scalar() == 1
    await engine.dispose()
