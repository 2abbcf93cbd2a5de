"""What a box's delivery counts -> telemetry -> Mosquitto -> controller -> the page in a browser, in both languages, as it changes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from appliance.runtime.files import write_atomic
from gateway.delivery.cmcd import Told
from gateway.delivery.quality import Quality
from tests.server.browser import browsing, page_of

pytestmark = [pytest.mark.server, pytest.mark.timeout(180)]


class Process(Protocol):
    folder: Path
    url: str
    log: str

    def kill(self) -> None: ...


class Delivery:
    """What delivery in bigscreen and fetch would have written."""

    def __init__(self, units: Path) -> None:
        self._units, self._registry, fetching = units, CollectorRegistry(), CollectorRegistry()
        self.requests = Counter("headgate_delivery_requests", "r", ["zone", "status", "cache"], registry=self._registry)
        self.bytes = Counter("headgate_delivery_bytes", "b", ["zone", "cache"], registry=self._registry)
        self.refusals = Counter("headgate_delivery_refusals", "f", ["zone", "reason"], registry=self._registry)
        self.quality = Quality("bigscreen", self._registry)
        self.fetched = Counter("headgate_fetch_bytes", "b", ["origin"], registry=fetching)
        self._fetching = fetching
        for registry in (self._registry, fetching):
            Gauge("headgate_started_timestamp_seconds", "s", registry=registry).set(1000)
        for unit in ("delivery-bigscreen", "fetch"):
            (units / unit).mkdir()

    def write(self) -> None:
        write_atomic(self._units / "delivery-bigscreen" / "delivery-bigscreen.prom", generate_latest(self._registry))
        write_atomic(self._units / "fetch" / "fetch.prom", generate_latest(self._fetching))

    def serve(self, hit: int, miss: int, fetched: int) -> None:
        self.requests.labels("bigscreen", "200", "hit").inc(3)
        self.bytes.labels("bigscreen", "hit").inc(hit)
        self.bytes.labels("bigscreen", "miss").inc(miss)
        self.fetched.labels("centre").inc(fetched)
        self.quality.add("999999-100000000000001-4", Told(session="a", start=0.5, buffer=4.0, bitrate=800_000))
        self.refusals.labels("bigscreen", "no-token").inc(2)
        self.write()


@pytest.fixture
def delivery(telemetry: Process) -> Delivery:
    made = Delivery(telemetry.folder / "run" / "metrics")
    made.write()
    return made


async def figures(controller: Process) -> dict[str, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{controller.url}/api/boxes/headend/delivery") as answer,
    ):
        return dict(await answer.json()) if answer.status == 200 else {"zones": [], "period": {"requests": 0}}


async def until_told(controller: Process, requests: int) -> dict[str, Any]:
    async with asyncio.timeout(40):
        while True:
            told = await figures(controller)
            if any(zone["requests"] == requests for zone in told["zones"]):
                return told
            await asyncio.sleep(0.05)


async def test_what_screens_are_served_is_seen_as_it_happens(
    controller: Process, telemetry: Process, delivery: Delivery, tmp_path: Path
) -> None:
    """A page that says 'no screens yet' draws the first ones by itself; API and page tell the same; a phone shows all of it."""
    await until_told(controller, 0)
    with browsing(tmp_path / "browser") as port:
        async with page_of(port) as page:
            await page.open(f"{controller.url}/boxes/headend?lang=en")
            await page.shows("No screens yet")
            assert await page.ask("document.querySelectorAll('figure').length") == 0

            delivery.serve(hit=3000, miss=1000, fetched=500)
            for words in ("75%", "87.5%", "1 televisions", "3 requests", "500 B from origins", "no-token"):
                await page.shows(words)
            told = await figures(controller)
            assert (told["period"]["hit_share"], told["period"]["offload"]) == (0.75, 0.875)
            assert await page.ask("document.querySelectorAll('figure svg .line[d^=M]').length") >= 8
            assert await page.ask("document.querySelector('#pulse').className") == "pulse"

            delivery.serve(hit=4000, miss=0, fetched=0)
            await page.shows("6 requests")

            for width in (390, 1280):
                await page.width(width)
                assert await page.ask("document.documentElement.scrollWidth") <= width
            await page.open(f"{controller.url}/?lang=zh")
            await page.until(
                "document.querySelector('article h2 a') && (document.querySelector('article h2 a').click(), true)"
            )
            await page.shows("回源节省率")
            assert "/boxes/headend" in await page.ask("location.pathname")

            telemetry.kill()
            await page.shows("网关离线")
            assert page.faults == []


async def test_a_zone_that_cannot_be_read_is_named_on_its_page(
    controller: Process, telemetry: Process, delivery: Delivery
) -> None:
    """And a name that no box has is refused, as is a period that nobody keeps."""
    await until_told(controller, 0)
    (telemetry.folder / "run" / "metrics" / "delivery-bigscreen" / "delivery-bigscreen.prom").write_text(
        "headgate_torn 1"
    )
    async with asyncio.timeout(40):
        while not (await figures(controller)).get("unread"):  # noqa: ASYNC110 (over HTTP)
            await asyncio.sleep(0.05)
    told = await figures(controller)
    assert told["unread"] == {"delivery-bigscreen": "torn: the last line is not complete"}
    assert told["zones"] == []
    async with aiohttp.ClientSession() as session:
        for path, status, reason in (
            ("/boxes/nobody", 404, "unknown-box"),
            ("/api/boxes/headend/delivery?hours=2", 400, "bad-request"),
            ("/api/boxes/headend/delivery?hours=x", 400, "bad-request"),
        ):
            async with session.get(controller.url + path) as answer:
                assert (answer.status, (await answer.json())["reason"]) == (status, reason)
        async with session.get(f"{controller.url}/boxes/headend?lang=zh&hours=24") as answer:
            assert "delivery-bigscreen 的数据无法读取" in await answer.text()
        async with session.get(f"{controller.url}/dashboards/delivery.json") as answer:
            assert (await answer.json())["uid"] == "headgate-delivery"
