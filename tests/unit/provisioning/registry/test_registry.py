"""The authoritative table: registered all or none, withdrawn for good, published with serials that only grow."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import create_async_engine

from appliance.identity import envelope
from appliance.identity.keys import PrivateKey
from appliance.runtime import http
from appliance.runtime.errors import Refused, Unreachable
from gateway.resolver import writing
from gateway.resolver.codes import parse
from gateway.resolver.records import KIND, Record, Snapshot, parse_snapshot
from provisioning.registry.registry import FILE, RegistrationRefused, Registry
from provisioning.registry.routes import parse_records, routes
from provisioning.registry.tables import metadata, published

ONE, TWO = "isli:999999-100000000000001-4", "isli:999999-000000000000001-5"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = PrivateKey.generate()
BODIES = {"library": ["isli:999999-1"], "film": ["isli:999999-0", "isli:999998-"]}


def record(code: str = ONE, body: str = "library", **more: Any) -> Record:
    return Record(code=code, title="刘三姐", body=body, **more)


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/registry.db")
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield Registry(engine, KEY, tmp_path / "registry", bodies=lambda: BODIES)
    await engine.dispose()


def published_in(folder: Path) -> Snapshot:
    payload, key = envelope.open_sealed((folder / "registry" / FILE).read_bytes(), KIND, [KEY.public])
    assert key == KEY.public
    return parse_snapshot(payload)


async def test_what_is_registered_is_published_signed(registry: Registry, tmp_path: Path) -> None:
    """A registered record stands in the signed table, which a box installs as it is."""
    done = await registry.register([record(), record(TWO, "film")], NOW)
    assert (done.changed, done.unchanged) == (2, 0)
    await registry.publish(NOW)
    snapshot = published_in(tmp_path)
    assert [r.code for r in snapshot.records] == sorted([ONE, TWO])
    assert (snapshot.serial, snapshot.made) == (1, NOW)
    payload, _ = envelope.open_sealed((tmp_path / "registry" / FILE).read_bytes(), KIND, [KEY.public])
    assert writing.install(tmp_path / "box", payload).count == 2


async def test_registering_the_same_again_changes_nothing(registry: Registry, tmp_path: Path) -> None:
    """The same record again is unchanged, and no new table is made of it."""
    await registry.register([record()], NOW)
    assert (await registry.publish(NOW)).fresh
    done = await registry.register([record()], NOW)
    assert (done.changed, done.unchanged) == (0, 1)
    again = await registry.publish(NOW + timedelta(hours=1))
    assert (again.serial, again.fresh) == (1, False)
    assert published_in(tmp_path).serial == 1


async def test_an_unchanged_table_is_made_anew_after_hours(registry: Registry) -> None:
    """Boxes tell a stale table by its time, so it is renewed even if nothing changed."""
    await registry.publish(NOW)
    assert (await registry.publish(NOW + timedelta(hours=6))).serial == 2


async def test_the_serial_grows_even_from_a_restored_backup(registry: Registry, tmp_path: Path) -> None:
    """A database older than the published file goes on from the file's serial, and a lost file from the database's."""
    for hours in (0, 10, 20):
        await registry.publish(NOW + timedelta(hours=hours))
    async with registry._engine.begin() as connection:
        await connection.execute(delete(published))
    assert (await registry.publish(NOW)).serial == 4
    (tmp_path / "registry" / FILE).unlink()
    assert (await registry.publish(NOW)).serial == 5


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (record(TWO, "library"), "outside-identifiers"),
        (record(body="nobody"), "not-admitted"),
        (record(status="withdrawn"), "bad-request"),
    ],
)
async def test_a_record_that_may_not_be_is_refused_and_none_is_registered(
    registry: Registry, wrong: Record, reason: str
) -> None:
    """One wrong record refuses the whole request, with its reason."""
    with pytest.raises(RegistrationRefused) as refused:
        await registry.register([record("isli:999998-000000000000000000000001-6", "film"), wrong], NOW)
    assert refused.value.reason == reason
    assert await registry.some() == []


async def test_every_fault_is_told_at_once(registry: Registry) -> None:
    """A request with several faults names them all with their places."""
    await registry.register([record()], NOW)
    with pytest.raises(RegistrationRefused) as refused:
        await registry.register([record(body="film"), record(TWO, "library"), record(TWO, "film")], NOW)
    assert [(w.index, w.reason) for w in refused.value.faults] == [
        (0, "outside-identifiers"),
        (0, "other-body"),
        (1, "outside-identifiers"),
        (2, "twice"),
    ]


async def test_a_withdrawn_code_stays_withdrawn(registry: Registry, tmp_path: Path) -> None:
    """Registering does not bring a withdrawn code back, and withdrawing again keeps the first reason."""
    await registry.register([record()], NOW)
    assert (await registry.withdraw(parse(ONE), "court order 7", NOW)).reason == "court order 7"
    assert (await registry.withdraw(parse(ONE), "another", NOW)).reason == "court order 7"
    with pytest.raises(RegistrationRefused) as refused:
        await registry.register([record()], NOW)
    assert refused.value.reason == "withdrawn"
    await registry.publish(NOW)
    assert [(r.status, r.reason) for r in published_in(tmp_path).records] == [("withdrawn", "court order 7")]
    with pytest.raises(Refused) as unknown:
        await registry.withdraw(parse(TWO), "x", NOW)
    assert unknown.value.reason == "unknown-code"


async def test_a_database_that_is_away_is_told(tmp_path: Path) -> None:
    """Without its database the registry says so, and publishes nothing."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/none/registry.db")
    away = Registry(engine, KEY, tmp_path / "registry")
    with pytest.raises(Unreachable):
        await away.publish(NOW)
    assert not (tmp_path / "registry").exists()
    await engine.dispose()
    for thread in threading.enumerate():  # aiosqlite's tells this loop that it ends, and nobody else waits for it
        if "connection_worker" in thread.name:
            await asyncio.to_thread(thread.join, 20)


async def test_the_api_registers_tells_and_withdraws(registry: Registry, tmp_path: Path) -> None:
    """POST publishes at once, GET tells it in any spelling, DELETE withdraws with a reason."""
    app = http.application()
    app.add_routes(routes(registry))
    async with TestClient(TestServer(app)) as client:
        told = json.loads(record().dump())
        assert await (await client.post("/api/identifiers", json=told)).json() == {
            "changed": 1,
            "unchanged": 0,
            "serial": 1,
        }
        assert published_in(tmp_path).records == [record()]
        assert (await (await client.get("/api/identifiers/ISLI 999999-100000000000001-4")).json())["title"] == "刘三姐"
        assert [r["code"] for r in await (await client.get("/api/identifiers")).json()] == [ONE]
        assert (await client.get(f"/api/identifiers/{TWO}")).status == 404
        assert (await client.get("/api/identifiers/isli:999999-100000000000001-5")).status == 400
        assert (await client.delete(f"/api/identifiers/{ONE}")).status == 400
        gone = await client.delete(f"/api/identifiers/{ONE}", params={"reason": "版权到期"})
        assert (await gone.json())["status"] == "withdrawn"
        assert published_in(tmp_path).serial == 2


async def test_the_api_tells_every_fault_of_a_request(registry: Registry) -> None:
    """A list with faults is refused with 422, each fault with its index and path, and nothing is registered."""
    app = http.application()
    app.add_routes(routes(registry))
    good = json.loads(record().dump())
    async with TestClient(TestServer(app)) as client:
        answer = await client.post(
            "/api/identifiers", json=[good, good | {"code": "isli:999999-100000000000001-5", "title": ""}]
        )
        assert answer.status == 422
        told = await answer.json()
        assert [(f["index"], f["path"]) for f in told["faults"]] == [(1, "code"), (1, "title")]
        assert "should be 4" in told["faults"][0]["message"]
        assert await (await client.get("/api/identifiers")).json() == []


@settings(max_examples=100)
@given(
    st.binary(max_size=100)
    | st.recursive(
        st.none() | st.text(max_size=9) | st.floats() | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["code", "title", "body", "x"]), inner, max_size=3)
        ),
        max_leaves=8,
    ).map(lambda v: json.dumps(v).encode())
)
def test_any_body_is_records_or_faults(body: bytes) -> None:
    """Any bytes sent for registration give records or a refusal that names at least one fault."""
    try:
        outcome: list[Record] | RegistrationRefused = parse_records(body)
    except RegistrationRefused as error:
        outcome = error
    assert outcome.faults if isinstance(outcome, RegistrationRefused) else all(isinstance(r, Record) for r in outcome)
