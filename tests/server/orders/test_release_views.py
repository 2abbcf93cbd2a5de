"""``headgate release list|show|body|quarantine`` against the controller's web application and its database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import unused_port
from click.testing import CliRunner

from appliance.identity.keys import PrivateKey
from appliance.journal.log import Journal
from appliance.runtime import config, http
from appliance.runtime.errors import Refused
from appliance.telemetry.mqtt import Message
from appliance.telemetry.records import Numbered, Record
from gateway.release import catalogue
from gateway.release import orders as signing
from gateway.release.cli import commands
from gateway.release.orders import Order, What
from provisioning.controller import content_web, orders_web
from provisioning.controller.hub import Hub
from provisioning.controller.ingest import Delivery
from provisioning.controller.journals import Journals
from provisioning.controller.orders import Orders
from provisioning.controller.settings import Controller
from provisioning.controller.store import Store
from provisioning.controller.wanted import Wanted
from provisioning.controller.web import application
from provisioning.controller.witness import Witness

pytestmark = pytest.mark.server
CODE, BAD = "999999-100000000000001-4", "999999-123456789012345-8"
STAMP = "2026-11-28T08:00:00.000000Z"


def records() -> list[Record]:
    admitted = {"decision": "admit", "release": CODE, "version": 3, "body": "library", "title": "刘三姐", "bytes": 9}
    admitted |= {"labels": ["film"]}
    refused = {
        "decision": "refuse", "release": BAD, "reason": "active-content", "sentence": "a script",
        "path": "a\x1b[2J.pdf", "quarantine": "q1",
    }  # fmt: skip
    used = {"release": CODE, "bytes": 2048, "cache": "hit"}
    stored = {"event": "stored", "releases": [[CODE, 3, 2, 2, 9, 9], [BAD, -1, 0, 0, 0, 0], "x", [CODE]]}
    return [
        Record.new("audit", "exchange", admitted),
        Record.new("audit", "exchange", refused),
        Record.new("usage", "delivery/bigscreen", used),
        Record.new("event", "exchange", stored),
    ]


@pytest.fixture
def regulator() -> PrivateKey:
    return PrivateKey.generate()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    text = f"database: sqlite:///{tmp_path}/c.db\nbroker: {{address: a}}\nlisten: {{address: a, port: 1}}\n"
    made = Store(config.parse(text, Controller).database)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def orders(store: Store, regulator: PrivateKey) -> Orders:
    return Orders(store, lambda: [{"regulator": regulator.public}])


@pytest.fixture
async def hub(tmp_path: Path, store: Store, orders: Orders) -> Hub:
    """A controller to which the box headend told of one good and one bad release."""
    text = f"database: sqlite:///{tmp_path}/c.db\nbroker: {{address: a}}\nlisten: {{address: a, port: 1}}\n"
    settings = config.parse(text, Controller)
    items = tuple(Numbered(n, one) for n, one in enumerate(records(), 1))
    await store.save([Delivery("headend", items)], STAMP)
    witness = Witness.named("controller", PrivateKey.generate())
    return Hub(settings, store, Journals(store, witness), Wanted(None), orders)


@pytest.fixture
async def controller(hub: Hub) -> AsyncIterator[str]:
    """Its address."""
    port = unused_port()
    routes = [*content_web.routes(hub), *orders_web.routes(hub)]
    async with http.serving(application(hub, routes), tcp=[("127.0.0.1", port)]):
        yield f"http://127.0.0.1:{port}"


async def run(*argv: str) -> str:
    result = await asyncio.to_thread(CliRunner(env={"COLUMNS": "200"}).invoke, commands, argv)
    if result.exception is not None:
        raise result.exception
    return result.stdout


async def told(*argv: str) -> Any:
    return json.loads(await run(*argv, "--json"))


async def test_all_releases_are_listed(controller: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """States, reasons and numbers of boxes are told, over all pages of the answer."""
    monkeypatch.setattr(catalogue, "AT_ONCE", 1)
    found = {one["release"]: one for one in (await told("list", "--at", controller))["releases"]}
    assert found[CODE]["state"] == "stored"
    assert found[CODE]["boxes"] == {"admitted": 1, "stored": 1}
    assert (found[BAD]["state"], found[BAD]["reason"]) == ("refused", "active-content")
    shown = await run("list", "--at", controller)
    assert "refused by headend (active-content)" in shown
    assert "stored at 1 of 1 boxes" in shown
    for asks, expected in (
        (("--state", "refused"), [BAD]),
        (("--state", "stored"), [CODE]),
        (("--body", "library"), [CODE]),
        (("--label", "film"), [CODE]),
        (("--label", "fil_"), []),
        (("--q", "三姐", "--state", "admitted"), [CODE]),
        (("--q", "三姐", "--body", "museum"), []),
    ):
        assert [one["release"] for one in (await told("list", "--at", controller, *asks))["releases"]] == expected


async def test_a_release_is_shown_with_its_boxes(controller: str) -> None:
    """Each box stands there with its state and why; what nobody knows is refused."""
    assert (await told("show", CODE, "--at", controller))["where"][0]["state"] == "stored"
    assert "all, 9 B" in await run("show", CODE, "--at", controller)
    shown = await run("show", BAD, "--at", controller)
    assert "headend" in shown
    assert "active-content: a script" in shown
    with pytest.raises(Refused) as error:
        await run("show", "999999-100000000000002-3", "--at", controller)
    assert error.value.reason == "unknown-release"


async def test_a_body_sees_its_own(controller: str) -> None:
    """A body's releases, where they are used, and the bytes delivered."""
    seen = await told("body", "library", "--at", controller)
    assert [one["release"] for one in seen["releases"]] == [CODE]
    assert seen["boxes"] == [{"box": "headend", "requests": 1, "bytes": 2048}]
    shown = await run("body", "library", "--at", controller)
    assert "1 requests" in shown
    assert "刘三姐" in shown
    with pytest.raises(Refused) as error:
        await run("body", "nobody", "--at", controller)
    assert error.value.reason == "unknown-body"


async def test_quarantine_is_shown_by_box(controller: str) -> None:
    """What a box put aside is told with its reason; its names cannot steer the terminal."""
    (one,) = (await told("quarantine", "--at", controller, "--box", "headend"))["quarantined"]
    assert (one["box"], one["release"], one["reason"]) == ("headend", BAD, "active-content")
    assert (await told("quarantine", "--at", controller, "--box", "other"))["quarantined"] == []
    shown = await run("quarantine", "--at", controller)
    assert "active-content" in shown
    assert "\x1b" not in shown


async def test_orders_are_paged(controller: str, orders: Orders, regulator: PrivateKey) -> None:
    """``--before`` goes on where a page ended, to the first order of all."""
    for serial in (1, 2, 3):
        made = Order(
            serial=serial,
            act="withdraw",
            what=What(label=f"l{serial}"),
            reason="x",
            by="regulator",
            time=datetime.now(UTC),
        )
        await orders.give(signing.seal(made, regulator), datetime.now(UTC))
    first = await told("orders", "--at", controller, "--limit", "2")
    assert ([one["serial"] for one in first["orders"]], first["next"]) == ([3, 2], 2)
    assert "--before 2" in await run("orders", "--at", controller, "--limit", "2")
    rest = await told("orders", "--at", controller, "--before", "2")
    assert ([one["serial"] for one in rest["orders"]], rest["next"]) == ([1], None)


async def test_proofs_arrive_on_an_open_page(
    hub: Hub, controller: str, orders: Orders, regulator: PrivateKey, tmp_path: Path
) -> None:
    """The stream tells a page that follows an order as soon as a proof comes; the part that it fetches then has that box in it."""
    made = Order(serial=1, act="withdraw", what=What(label="film"), reason="x", by="regulator", time=datetime.now(UTC))
    await orders.give(signing.seal(made, regulator), datetime.now(UTC))
    journal = Journal(tmp_path / "journal", PrivateKey.generate(), "headend/exchange")
    entry = {"decision": "withdraw", "serial": 1, "order": made.digest, "objects": 214, "unconfirmed": []}
    proof = journal.prove(entry, journal.append(entry)).decode()
    report = json.dumps({"serial": 1, "proofs": [{"serial": 1, "proof": proof}], "refused": None}).encode()
    async with aiohttp.ClientSession() as session, session.get(f"{controller}/events") as stream, asyncio.timeout(10):
        assert stream.headers["Content-Type"] == "text/event-stream"
        assert await _event(stream) == "change"
        async with session.get(f"{controller}/orders/1?part=live&lang=en") as before:
            assert "214" not in await before.text()
        await hub._message(Message("headgate/v1/headend/proofs", report, 1), [])
        assert await _event(stream) == "change"
        async with session.get(f"{controller}/orders/1?part=live&lang=en") as after:
            html = await after.text()
    assert "headend" in html
    assert "214 objects removed" in html


async def _event(stream: aiohttp.ClientResponse) -> str:
    """Return the name of the next event."""
    while True:
        line = (await stream.content.readline()).decode().strip()
        if line.startswith("event: "):
            return line.removeprefix("event: ")
