"""The registry on a real PostgreSQL, as a fleet's controller runs it."""

import asyncio
import gzip
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import create_async_engine

from gateway.resolver.records import Link
from provisioning.registry.backlinks import Backlinks, Seen
from provisioning.registry.tables import identifiers, metadata, state, statements
from tests.unit.provisioning.registry.conftest import Place, code

pytestmark = pytest.mark.server

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


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
async def place(server: str, tmp_path: Path) -> AsyncIterator[Place]:
    """A registry that is open, on tables of its own."""
    engine = create_async_engine(server)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.run_sync(metadata.create_all)
    made = Place(tmp_path / "registry", engine)
    await made.open()
    yield made
    made.registry.close()
    await engine.dispose()


async def test_postgresql_keeps_and_publishes_what_is_registered(place: Place) -> None:
    """Many at once, again, changed, withdrawn, published and paged: PostgreSQL does what SQLite does."""
    records = [place.record(number, title=f"刘三姐 {number}") for number in range(1200)]
    done = await place.take(*records)
    assert (done.changed, done.unchanged) == (1200, 0)
    done = await place.take(*records, at=NOW + timedelta(hours=1))
    assert (done.changed, done.unchanged) == (0, 1200)
    gone = records[7].model_copy(update={"status": "withdrawn", "reason": "版权到期"})
    await place.take(gone, act="withdraw", at=NOW + timedelta(hours=1))
    assert (await place.publication.publish(NOW)).size == 1201
    snapshot = await place.publication.take_snapshot(NOW)
    assert snapshot is not None
    lines = [
        line
        for chunk in snapshot.chunks
        for line in gzip.decompress((place.folder / chunk.name).read_bytes()).split(b"\n")
    ]
    expected = [
        gone if record.code == gone.code else record for record in sorted(records, key=lambda r: r.code.encode())
    ]
    assert [line for line in lines if line] == [record.dump() for record in expected]
    pages = [(await place.registry.some(most=700)), (await place.registry.some(after=expected[699].code, most=700))]
    assert [r for page in pages for r in page] == expected


async def test_every_text_comes_back_from_postgresql_as_it_went_in(place: Place) -> None:
    """Quotes, backslashes, separators of arrays and lines, and what looks like NULL."""
    texts = ["NULL", r"\n \N \\", "{a,b}", '"it\'s"', "%s $1", "a|b", "👧 ü"]
    records = [place.record(number, title=text) for number, text in enumerate(texts)]
    await place.take(*records)
    assert [record.title for record in await place.registry.some()] == texts


async def test_postgresql_is_brought_up_from_the_log(place: Place) -> None:
    """A database that was lost is made anew from the log, with what became of each statement."""
    records = [place.record(number) for number in range(300)]
    done = await place.take(*records)
    place.registry.close()
    async with place.engine.begin() as connection:
        for table in (identifiers, statements, state):
            await connection.execute(delete(table))
    place.new()
    await place.open()
    assert await place.registry.some(most=1000) == sorted(records, key=lambda r: r.code)
    assert await place.take(*records) == replace(done, again=True)


async def test_links_are_followed_on_postgresql_too(place: Place) -> None:
    """Links by their targets, their number and the schemes' counts are as on SQLite; what a change leaves out is gone."""
    named = [Link(type="related", target=code(9)), Link(type="source", target=code(8))]
    await place.take(*(place.record(number, links=named) for number in range(1, 8)))
    await place.take(place.record(3, links=named[:1]), at=NOW + timedelta(hours=1))
    await place.publication.publish(NOW + timedelta(hours=1))
    links = Backlinks(place.registry, place.publication)
    assert await links.follow() == 0
    assert (await links.naming([code(8)], 10))[code(8)] == tuple(("source", code(n)) for n in (1, 2, 4, 5, 6, 7))
    assert await links.seen() == Seen(8, 13, {"isli": 7})


async def test_changes_at_the_same_time_all_stand(place: Place) -> None:
    """Registrations that come together are all kept, and published together."""

    async def one(number: int) -> int:
        await place.take(place.record(number))
        return (await place.publication.publish(NOW)).size

    sizes = await asyncio.gather(*(one(number) for number in range(20)))
    assert max(sizes) == 20
    assert len(await place.registry.some()) == 20
