"""The controller's store: the same contract on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from appliance.runtime import config
from appliance.runtime.errors import Unreachable
from appliance.telemetry.records import Damaged, Numbered, Record
from provisioning.controller.ingest import Delivery
from provisioning.controller.settings import Controller
from provisioning.controller.store import Store

pytestmark = [pytest.mark.server]
NOW = "2026-11-22T08:30:00.000000Z"


def url(database: str) -> str:
    """Return the URL as the settings give it to the store."""
    text = f"database: {database}\nbroker: {{address: a}}\nlisten: {{address: a, port: 1}}\n"
    return config.parse(text, Controller).database


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    made = Store(url(database))
    await made.open()
    yield made
    await made.close()


def usage(seq: int, release: str = "isli:999999-1", cache: str = "hit") -> Numbered:
    return Numbered(seq, Record.new("usage", "delivery/bigscreen", {"release": release, "bytes": 10, "cache": cache}))


async def test_a_record_is_stored_and_counted_once(store: Store) -> None:
    """The same record again, alone or beside new ones, changes nothing; another box's same id is another record."""
    one, two = usage(1), usage(2, cache="miss")
    assert await store.save([Delivery("headend", (one,))], NOW) == 1
    assert await store.save([Delivery("headend", (one, two))], NOW) == 1
    assert await store.save([Delivery("headend", (one, two)), Delivery("edge", (one,))], NOW) == 1
    assert await store.record_counts() == {"headend": {"usage": 2}, "edge": {"usage": 1}}
    totals = dict(await store.usage())
    assert (totals["headend"].requests, totals["headend"].bytes) == (2, 20)
    assert (totals["headend"].hits, totals["headend"].misses) == (1, 1)


async def test_two_controllers_store_at_once(store: Store, database: str) -> None:
    """Two controllers given the same messages store and count each record once between them."""
    other = Store(url(database))
    await other.open()
    items = tuple(usage(n) for n in range(1, 41))
    deliveries = [Delivery(site, items) for site in ("edge", "headend")]
    stored = await asyncio.gather(*(s.save(deliveries, NOW) for s in (store, other) for _ in range(3)))
    await other.close()
    assert sum(stored) == 80
    assert {site: used.requests for site, used in await store.usage()} == {"edge": 40, "headend": 40}


async def test_records_come_page_by_page(store: Store) -> None:
    """Records are found by box and kind, newest first, and a page goes on where the last ended."""
    event = Numbered(3, Record.new("event", "guard", {"text": "桌子 \U0001f600"}))
    await store.save([Delivery("headend", (usage(1), usage(2), event)), Delivery("edge", (usage(1),))], NOW)
    found = await store.find_records("headend", None, None, 2)
    assert [one["seq"] for one in found] == [3, 2]
    assert found[0]["body"] == {"text": "桌子 \U0001f600"}
    assert [one["seq"] for one in await store.find_records("headend", None, found[-1]["number"], 9)] == [1]
    assert [one["box"] for one in await store.find_records(None, "usage", None, 9)].count("edge") == 1


async def test_refusals_are_told_with_their_reasons(store: Store) -> None:
    """Audits that refuse are listed newest first and counted by reason; others are not refusals."""
    bodies = [("refuse", "not-admitted"), ("admit", "verified"), ("refuse", "too-large"), ("refuse", "too-large")]
    items = tuple(
        Numbered(n, Record.new("audit", "exchange", {"decision": decision, "reason": reason, "sentence": f"no {n}"}))
        for n, (decision, reason) in enumerate(bodies, 1)
    )
    await store.save([Delivery("headend", items)], NOW)
    assert [one.told for one in await store.refusals(2)] == ["no 4", "no 3"]
    assert await store.reasons() == {"not-admitted": 1, "too-large": 2}


async def test_state_is_remembered(store: Store) -> None:
    """The last value of each metric is kept; a whole telling drops what it does not name."""
    await store.remember("headend", {"a": 1, "b": "x"}, NOW, whole=True, agreement="unknown", since="")
    await store.remember("headend", {"a": 2}, NOW, whole=False, agreement="equal", since=NOW)
    (known,) = await store.known()
    assert known.metrics == {"a": 2, "b": "x"}
    assert (known.agreement, known.agreement_since) == ("equal", NOW)
    await store.save([Delivery("headend", (usage(1),))], NOW)  # a record says nothing of the agreement
    await store.remember("headend", {"a": 3}, NOW, whole=True, agreement="equal", since=NOW)
    (known,) = await store.known()
    assert (known.metrics, known.agreement) == ({"a": 3}, "equal")


async def test_damaged_items_are_kept_for_a_look(store: Store) -> None:
    """A damaged item with an id is set aside once, and its neighbours are stored."""
    delivery = Delivery("headend", (usage(1),), (Damaged("0" * 36, "no kind"), Damaged(None, "no object")))
    assert await store.save([delivery], NOW) == 1
    assert await store.save([delivery], NOW) == 0
    assert delivery.ids == {delivery.items[0].record.id, "0" * 36}


async def test_opening_again_keeps_everything(store: Store, database: str) -> None:
    """The steps of the schema run once; a second start finds what the first stored."""
    await store.save([Delivery("headend", (usage(1),))], NOW)
    again = Store(url(database))
    await again.open()
    assert await again.record_counts() == {"headend": {"usage": 1}}
    await again.close()


async def test_the_registry_finds_its_tables(store: Store) -> None:
    """The steps make the tables that the registry of identifiers asks for, column by column."""
    from sqlalchemy import inspect

    from provisioning.controller import tables
    from provisioning.registry.tables import metadata

    async with store.engine.connect() as connection:
        found = await connection.run_sync(
            lambda sync: {t: {c["name"] for c in inspect(sync).get_columns(t)} for t in inspect(sync).get_table_names()}
        )
    for asked in (metadata, tables.metadata):
        for name, table in asked.tables.items():
            assert found[name] == {column.name for column in table.columns}


async def test_a_database_that_is_away_is_unreachable() -> None:
    """Without a server every call says so, so that nothing is acknowledged."""
    store = Store("postgresql+psycopg://nobody@127.0.0.1:1/none")
    with pytest.raises(Unreachable):
        await store.save([Delivery("headend", (usage(1),))], NOW)
    await store.close()
