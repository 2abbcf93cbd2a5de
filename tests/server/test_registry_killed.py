"""A registry that is killed in the middle of its work: what it acknowledged is there, and log and database agree."""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from appliance.identity.keys import PrivateKey
from appliance.journal.verify import verify_folder
from gateway.resolver.auditing import Audit, Keys
from gateway.resolver.proof import parse_key
from gateway.resolver.records import Record
from gateway.resolver.statement import sign
from provisioning.controller.store import engine
from provisioning.registry.judging import Admitted, Rules
from provisioning.registry.publication import Publication
from provisioning.registry.registry import Registry
from provisioning.registry.tables import metadata
from tests.unit.provisioning.registry.conftest import code

pytestmark = pytest.mark.server
BATCH = 50  # records of one registration
NOTES = 6  # registrations that are acknowledged before the blow


def registry(folder: Path) -> Registry:
    key, body = (PrivateKey.load(folder / name) for name in ("registry.key", "body.key"))
    rules = Rules({"library": Admitted((body.public,), ("isli:999999-",))})
    return Registry(engine(f"sqlite+aiosqlite:///{folder}/registry.db"), key, folder / "registry", lambda: rules)


async def work(folder: Path) -> None:
    """Register for ever, and say each time that it was acknowledged."""
    made, body = registry(folder), PrivateKey.load(folder / "body.key")
    await made.open()
    publication = Publication(made)
    first = made.standing.records
    while True:
        now = datetime.now(UTC)
        records = [Record(code=code(first + n), title="x", body="library") for n in range(BATCH)]
        await made.register(sign("register", "library", records, body, now), now)
        print(first, flush=True)
        await publication.publish(now)
        first += BATCH


async def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Killed twice at any instant, the registry goes on: log, statements and database are whole and agree."""
    keys = {name: PrivateKey.generate() for name in ("registry.key", "body.key")}
    for name, key in keys.items():
        key.save(tmp_path / name)
    database = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/registry.db")
    async with database.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await database.dispose()
    acknowledged: list[int] = []
    for blow in range(2):
        program = (
            f"import asyncio, pathlib; from {__name__} import work; asyncio.run(work(pathlib.Path({str(tmp_path)!r})))"
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(60):
                acknowledged += [int(await process.stdout.readline()) for _ in range(NOTES + blow)]
        finally:
            process.send_signal(signal.SIGKILL)
            rest = (await process.communicate())[0]
        acknowledged += [int(line) for line in rest.splitlines()]
    made = registry(tmp_path)
    await made.open()
    try:
        await Publication(made).publish(datetime.now(UTC))
        assert made.standing.applied == made.ledger.size == made.standing.records >= len(acknowledged) * BATCH
        there = {record.code for record in await made.some(most=100_000)}
        assert len(there) == made.ledger.size
        assert {code(first + n) for first in acknowledged for n in range(BATCH)} <= there
        assert verify_folder(made.folder).ok
        bodies = Keys({"library": [keys["body.key"].public]})
        report = Audit(made.folder, parse_key(made.ledger.verifier), bodies).run(lambda done, of: None)
        assert (report.faults, report.changes) == ([], made.ledger.size)
    finally:
        made.close()
        await made._engine.dispose()
