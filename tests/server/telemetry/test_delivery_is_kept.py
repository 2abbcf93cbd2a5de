"""What boxes tell of their screens, in SQLite and PostgreSQL: kept by minutes, thinned, forgotten after a day, and read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select

from appliance.runtime import config
from appliance.telemetry.records import Numbered, Record
from appliance.telemetry.served import Served, Title
from appliance.telemetry.served_text import write
from monitoring.fleet import Box
from provisioning.controller.figures import COARSE, FINE, KEPT, Figures, samples
from provisioning.controller.ingest import Delivery
from provisioning.controller.settings import Controller
from provisioning.controller.store import Store
from provisioning.controller.tables import delivery_minutes as minutes

pytestmark = pytest.mark.server
NOW = 1_800_000_000.0
FILM = "999999-100000000000001-4"
TOLD = ["delivery/fetched"]


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    text = f"database: {database}\nbroker: {{address: a}}\nlisten: {{address: a, port: 1}}\n"
    made = Store(config.parse(text, Controller).database)
    await made.open()
    yield made
    await made.close()


def box(requests: int, site: str = "headend", fetched: int = 0, **more: Any) -> Box:
    zone = Served("bigscreen", "big", 1.0, requests, requests * 1000, titles=(Title(FILM, 3, 0),), **more)
    metrics = {"delivery/fetched": fetched, "delivery/shared": 0, "delivery/bigscreen/served": write(zone)}
    return Box(site, online=True, seen=NOW, metrics=metrics)


async def rows(store: Store, site: str = "headend") -> list[int]:
    query = select(minutes.c.minute).where(minutes.c.box == site, minutes.c.zone == "").order_by(minutes.c.minute)
    async with store.begin() as connection:
        return list((await connection.execute(query)).scalars())


async def test_what_was_told_is_read(store: Store) -> None:
    """The last telling of a minute stays; steps, zones, and titles by the names of their releases."""
    admitted = {
        "decision": "admit",
        "release": FILM,
        "version": 1,
        "body": "library",
        "title": "刘三姐",
        "bytes": 9,
        "labels": [],
    }
    await store.save(
        [Delivery("headend", (Numbered(1, Record.new("audit", "exchange", admitted)),))], "2026-11-29T08:00:00.000000Z"
    )
    figures = Figures(store)
    for after, requests in ((-130, 100), (-70, 110), (-65, 130), (-5, 160)):
        await figures.keep(box(requests, fetched=requests), NOW + after, TOLD)
    await figures.keep(box(9, "other"), NOW, TOLD)
    told = await figures.look(box(160, fetched=160), 1, NOW)
    assert (told["site"], told["online"], told["told"], told["unread"]) == ("headend", True, True, {})
    assert told["period"]["requests"] == 60
    assert told["period"]["offload"] == 0.999
    assert told["zones"][0]["requests"] == 160
    assert [(one["release"], one["title"]) for one in told["titles"]] == [(FILM, "刘三姐")]
    assert len(await rows(store)) == 3 + 1  # what the first began from


async def test_two_controllers_on_one_database_count_once(store: Store) -> None:
    """Both hear the same; what they keep are sums, not what rose. One that starts anew goes on from what is kept."""
    for after, requests in ((-130, 100), (-70, 110)):
        for one in (Figures(store), Figures(store)):
            await one.keep(box(requests), NOW + after, TOLD)
    assert (await Figures(store).look(box(110), 1, NOW))["period"]["requests"] == 10


async def test_the_first_minute_of_a_box_is_shown_at_once(store: Store) -> None:
    """From its first telling on, and after one that was away from its first telling anew: nobody waits for the clock."""
    figures = Figures(store)
    await figures.keep(box(5), NOW, TOLD)
    await figures.keep(box(9), NOW + 10, TOLD)
    assert (await figures.look(box(9), 1, NOW + 10))["period"]["requests"] == 4
    await figures.keep(box(9), NOW + 1000, TOLD)
    await figures.keep(box(69), NOW + 1030, TOLD)
    told = await figures.look(box(69), 1, NOW + 1030)
    assert [step["requests"] for step in told["steps"] if step["requests"] > 1] == [4, 40, 20]


async def test_a_zone_that_comes_within_a_minute_is_shown_at_once(store: Store) -> None:
    """Its delivery started after the box was heard."""
    figures = Figures(store)
    await figures.keep(Box("headend", metrics={"delivery/fetched": 0}), NOW, TOLD)
    await figures.keep(box(0), NOW + 5, TOLD)
    await figures.keep(box(8), NOW + 10, TOLD)
    assert (await figures.look(box(8), 1, NOW + 10))["period"]["requests"] == 8


async def test_an_idle_box_is_known_to_have_been_idle(store: Store) -> None:
    """It tells of its uptime alone: a minute has one telling all the same, and no more."""
    figures = Figures(store)
    for after in range(0, 300, 30):
        await figures.keep(box(5), NOW - 300 + after, ["uptime"])
    assert len(await rows(store)) == 5 + 1
    told = await figures.look(box(5), 1, NOW)
    assert (told["period"]["requests"], told["period"]["seconds"]) == (0, 240)


async def test_old_minutes_are_thinned_and_then_forgotten(store: Store) -> None:
    """Six hours by minutes, a day by quarters of an hour: and nothing that was counted is lost in between."""
    figures, first = Figures(store), NOW - (KEPT + 60) * 60
    for number in range(0, KEPT + 61, 5):
        await figures.keep(box(number), first + number * 60, TOLD)
    kept = [int(NOW // 60) - minute for minute in await rows(store)]
    assert max(kept) <= KEPT
    assert {age for age in kept if age <= FINE} == set(range(0, FINE + 1, 5)) | set(range(1, FINE + 1, 5))
    assert all((int(NOW // 60) - age) % COARSE == 0 for age in kept if age > FINE)
    for hours in (1, 6, 24):
        told = await figures.look(box(KEPT + 60), hours, NOW)
        assert told["period"]["requests"] == pytest.approx((NOW - told["steps"][0]["from"]) / 60, abs=1)


async def test_a_look_is_remembered_until_something_new_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pages follow a box, the database is asked once for each telling; who is online is always of now."""
    figures, looks = Figures(store), []
    look = figures._look

    async def counted(*asked: Any) -> dict[str, Any]:
        looks.append(asked)
        return await look(*asked)

    monkeypatch.setattr(figures, "_look", counted)
    await figures.keep(box(1), NOW - 1, TOLD)
    await figures.look(box(1), 1, NOW)
    assert (await figures.look(Box("headend", metrics=box(1).metrics), 1, NOW))["online"] is False
    assert len(looks) == 1
    await figures.keep(box(2), NOW, TOLD)
    assert (await figures.look(box(2), 1, NOW))["zones"][0]["requests"] == 2
    assert len(looks) == 2


async def test_a_box_of_older_software_leaves_nothing(store: Store) -> None:
    """It tells no figures, and the look says so."""
    figures, old = Figures(store), Box("headend", online=True, seen=NOW, metrics={"delivery/bytes": 5})
    await figures.keep(old, NOW, ["delivery/bytes"])
    told = await figures.look(old, 1, NOW)
    assert (told["told"], told["zones"], await rows(store)) == (False, [], [])


def test_a_row_that_cannot_be_read_is_passed_over() -> None:
    """One of another version, or damaged: the rest is shown."""
    good = write(Served("bigscreen", "big", requests=5))
    found = samples(
        [
            (1, "", 60.0, '{"fetched":1,"shared":0}'),
            (1, "bigscreen", 60.0, good),
            (1, "odd", 60.0, "{"),
            (2, "", 120.0, "["),
        ]
    )
    assert [(one.at, one.fetched, list(one.zones)) for one in found] == [(60.0, 1, ["bigscreen"])]
