"""``headgate usage show|statement`` against the controller's routes and its database, SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
from aiohttp.test_utils import unused_port
from click.testing import CliRunner

from appliance.runtime import config, http
from appliance.runtime.errors import Corrupt
from appliance.telemetry.records import Numbered, Record
from provisioning.controller import cli_usage, usage_web
from provisioning.controller.ingest import Delivery
from provisioning.controller.settings import Controller
from provisioning.controller.store import Store

pytestmark = pytest.mark.server
FILM, BOOK = "999999-100000000000001-4", "999999-100000000000002-3"
NOW = "2026-11-29T08:00:00.000000Z"


def used(release: str, day: int, sent: int, requests: int | None = 10, **more: Any) -> Record:
    when = f"2026-11-{day:02}T12:00:00.000000Z"
    body: dict[str, Any] = {"release": release, "body": "library", "zone": "bigscreen", "screen": "big", "bytes": sent}
    body |= {"cache": "hit", "last": when} | ({"requests": requests} if requests else {}) | more
    return Record.new("usage", "delivery/bigscreen", body, datetime.fromisoformat(when))


@pytest.fixture
async def controller(database: str) -> AsyncIterator[str]:
    """The address of one to which two boxes told of three days."""
    text = f"database: {database}\nbroker: {{address: a}}\nlisten: {{address: a, port: 1}}\n"
    store = Store(config.parse(text, Controller).database)
    await store.open()
    told = [
        used(FILM, 27, 1000),
        used(FILM, 28, 500, broken=3, cache="miss"),
        used(FILM, 28, 7, zone="smallscreen", screen="small", subject="a1b2c3d4e5f60718"),
        used(BOOK, 29, 1 << 33),
        used(FILM, 29, 1, requests=None, path="a.m4s"),  # as boxes told before they counted alike ones together
        used(BOOK, 29, 5, body="museum"),
    ]
    items = tuple(Numbered(n, record) for n, record in enumerate(told, 1))
    assert await store.save([Delivery("headend", items)], NOW) == 6
    assert await store.save([Delivery("headend", items), Delivery("edge", items[:1])], NOW) == 1
    port = unused_port()
    app = http.application()
    app.add_routes(usage_web.routes(store))
    async with http.serving(app, tcp=[("127.0.0.1", port)]):
        yield f"http://127.0.0.1:{port}"
    await store.close()


async def run(at: str, *argv: str) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, cli_usage.commands, [*argv, "--at", at])
    if result.exception is not None:
        raise result.exception
    return result.stdout


async def told(at: str, *argv: str) -> Any:
    return json.loads(await run(at, *argv, "--json"))


async def test_usage_is_told_apart_as_asked(controller: str) -> None:
    """By body, release, zone, class of screen, box and day; of a period; only what is asked for; records once."""
    lines = (await told(controller, "show"))["lines"]
    assert [(line["body"], line["requests"], line["bytes"]) for line in lines] == [
        ("library", 51, (1 << 33) + 2508),
        ("museum", 10, 5),
    ]
    small = await told(controller, "show", "--by", "zone,screen", "--screen", "small")
    assert [(line["zone"], line["bytes"]) for line in small["lines"]] == [("smallscreen", 7)]
    days = await told(
        controller,
        "show",
        "--by",
        "day,box",
        "--release",
        f"isli:{FILM}",
        "--since",
        "2026-11-27",
        "--until",
        "2026-11-28",
    )
    assert {(line["day"], line["box"]): line["bytes"] for line in days["lines"]} == {
        ("2026-11-27", "headend"): 1000,
        ("2026-11-27", "edge"): 1000,
        ("2026-11-28", "headend"): 507,
    }
    assert days["total"] == {"requests": 40, "broken": 3, "bytes": 2507, "hit_bytes": 2007}
    assert (await told(controller, "show", "--day", "2026-11-28"))["total"]["bytes"] == 507
    assert "Nothing was delivered" in await run(controller, "show", "--body", "nobody")


async def test_a_statement_adds_up(controller: str) -> None:
    """A body's statement has a line for each release, zone and class of screen, and a line for each day, to the byte."""
    found = await told(controller, "statement", "library", "--since", "2026-11-28")
    assert [(line["release"], line["screen"], line["bytes"]) for line in found["lines"]] == [
        (BOOK, "big", 1 << 33),
        (FILM, "big", 501),
        (FILM, "small", 7),
    ]
    assert [(day["day"], day["bytes"]) for day in found["days"]] == [("2026-11-28", 507), ("2026-11-29", (1 << 33) + 1)]
    assert found["total"]["bytes"] == (1 << 33) + 508
    english = await run(controller, "statement", "library", "--since", "2026-11-28")
    assert "8,589,935,100" in english
    assert "televisions" in english
    chinese = await run(controller, "statement", "library", "--lang", "zh")
    assert all(word in chinese for word in ("使用结算单", "合计", "大屏", "8,589,937,100"))


def test_a_statement_that_does_not_add_up_is_refused() -> None:
    """A total that its lines do not give is told, not printed."""
    figures = {"requests": 1, "broken": 0, "bytes": 5, "hit_bytes": 0}
    good = {"lines": [figures], "days": [figures], "total": figures}
    cli_usage.check(good)
    with pytest.raises(Corrupt, match="does not add up"):
        cli_usage.check({**good, "days": []})


@pytest.mark.parametrize(
    "query", ["by=path", "by=day,day", "since=2026-11-31", "since=20261101", "since=2026-11-02&until=2026-11-01"]
)
async def test_wrong_questions_are_refused(controller: str, query: str) -> None:
    """Who asks wrongly is told so."""
    import aiohttp

    async with aiohttp.ClientSession() as session, session.get(f"{controller}/api/usage?{query}") as answer:
        assert answer.status == 400
        assert (await answer.json())["reason"] == "bad-request"
