"""Record to controller with real Mosquitto (TLS), SQLite and PostgreSQL, and both daemons as processes."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import pytest

from appliance.telemetry.mqtt import Connection, Message
from appliance.telemetry.records import Numbered, Record, batch
from appliance.telemetry.settings import Broker as BrokerSettings
from appliance.telemetry.spool import Spool

pytestmark = [pytest.mark.server, pytest.mark.timeout(180)]


class Process(Protocol):
    folder: Path
    url: str
    log: str

    def start(self) -> None: ...
    def kill(self) -> None: ...
    def end(self) -> int: ...


async def ask(daemon: Process, path: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(daemon.url + path) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def box(controller: Process, site: str = "headend") -> dict[str, Any]:
    with contextlib.suppress(aiohttp.ClientError):
        for one in (await ask(controller, "/api/boxes"))["boxes"]:
            if one["site"] == site:
                return dict(one)
    return {"online": False}


async def until(condition: Any, told: str, seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if await condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"waited {seconds:g} s in vain: {told}")


async def online(controller: Process) -> None:
    async def is_online() -> bool:
        return bool((await box(controller))["online"])

    await until(is_online, f"the box online at the controller\n{controller.log}")


async def stored(controller: Process, count: int) -> list[dict[str, Any]]:
    async def are_there() -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            return len((await ask(controller, "/api/records?limit=1000"))["records"]) >= count
        return False

    await until(are_there, f"{count} records at the controller")
    return list((await ask(controller, "/api/records?limit=1000"))["records"])


async def emptied(spool: Spool) -> None:
    async def is_empty() -> bool:
        return await asyncio.to_thread(spool.depth) == 0

    await until(is_empty, "the spool empty")


@pytest.fixture
def spool(telemetry: Process) -> Any:
    made = Spool(telemetry.folder / "state/spool/spool.db")
    yield made
    made.close()


def used(n: int) -> Record:
    body = {
        "release": "isli:999999-1",
        "body": "library",
        "zone": "bigscreen",
        "screen": "big",
        "bytes": 1000,
        "requests": 2,
        "broken": n % 2,
        "cache": "miss" if n == 0 else "hit",
        "files": {"a.m4s": [2, 1000]},
    }
    return Record.new("usage", "delivery/bigscreen", body)


async def test_broker_unplugged_and_telemetry_killed(
    broker: Any, controller: Process, telemetry: Process, spool: Spool
) -> None:
    """With the broker away records wait; telemetry is killed; once both are back every record arrives exactly once."""
    await online(controller)
    made = [used(0)]
    spool.append(made[0])
    await stored(controller, 1)
    broker.kill()
    for n in range(1, 150):
        made.append(used(n))
        spool.append(made[-1])
    telemetry.kill()
    telemetry.start()
    assert spool.depth() >= 149
    broker.start()
    await emptied(spool)
    found = await stored(controller, 150)
    assert sorted(one["id"] for one in found) == sorted(record.id for record in made)
    usage = (await box(controller))["usage"]
    assert usage["requests"] == 300
    assert usage["bytes"] == 150_000
    assert (usage["hits"], usage["misses"]) == (298, 2)


async def test_controller_killed_between_commit_and_acknowledgement(
    broker: Any, controller: Process, telemetry: Process, spool: Spool
) -> None:
    """Records that were committed but never acknowledged are sent again and are still there exactly once."""
    await online(controller)
    whole = broker.acl.read_text()
    line = "topic write headgate/v1/+/ack\n"
    assert line in whole
    broker.acl.write_text(whole.replace(line, ""))
    broker.reload()
    made = [used(n) for n in range(20)]
    for record in made:
        spool.append(record)
    await stored(controller, 20)
    assert spool.depth() == 20
    controller.kill()
    broker.acl.write_text(whole)
    broker.reload()
    controller.start()
    await emptied(spool)
    found = await stored(controller, 20)
    assert sorted(one["id"] for one in found) == sorted(record.id for record in made)
    assert (await box(controller))["usage"]["requests"] == 40
    statement = await ask(controller, "/api/statements/library")
    assert statement["total"] == {"requests": 40, "broken": 10, "bytes": 20_000, "hit_bytes": 19_000}


async def test_state_follows_the_box(controller: Process, telemetry: Process) -> None:
    """The page's data say online, what is enforced and whether it was asked; a killed box is offline by its will."""
    wanted = b"site: headend\n"
    (controller.folder / "wanted" / "headend.yaml").write_bytes(wanted)
    await online(controller)

    async def says(digest: str, agreement: str) -> None:
        told = {"site": "headend", "wanted": digest, "enforced": digest, "state": "enforced", "since": "2026-11-22T08:00:00Z",
                "zones": {"culture": {"state": "up", "port": "p", "addresses": ["10.10.0.11/24"], "detail": ""}},
                "faults": [], "confirm_by": None}  # fmt: skip
        path = telemetry.folder / "run/guard/status.json"
        path.with_suffix(".new").write_text(json.dumps(told))
        path.with_suffix(".new").replace(path)

        async def is_so() -> bool:
            one = await box(controller)
            return one.get("enforced") == digest and one["agreement"] == agreement

        await until(is_so, f"{agreement}: {await box(controller)}")

    await says(hashlib.sha256(wanted).hexdigest(), "equal")
    assert (await box(controller))["zones"]["culture"]["addresses"] == "10.10.0.11/24"
    await says("0" * 64, "differs")
    telemetry.kill()

    async def offline() -> bool:
        return not (await box(controller))["online"]

    await until(offline, "the killed box offline")
    telemetry.start()
    await online(controller)


async def test_a_controller_that_starts_again_knows_all(controller: Process, telemetry: Process) -> None:
    """A restarted controller sees the box online without the box starting again, and both end in good order."""
    await online(controller)
    assert controller.end() == 0
    controller.start()
    await online(controller)
    assert telemetry.end() == 0

    async def offline() -> bool:
        return not (await box(controller))["online"]

    await until(offline, "the box that left offline")


async def test_a_box_cannot_speak_for_another(
    broker: Any, controller: Process, telemetry: Process, spool: Spool
) -> None:
    """A box with a good certificate is refused by the broker on another box's topic."""
    await online(controller)
    cert, key = broker.authority.issue("edge")
    settings = BrokerSettings(address="127.0.0.1", port=broker.port, ca=broker.authority.ca, cert=cert, key=key)
    foreign = Connection(settings, "edge", will=lambda: Message("spBv1.0/headgate/NDEATH/edge", b"", 1), topics=[])
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(foreign.run())
        await foreign.events.get()
        message = batch([Numbered(1, used(0))])
        foreign.publish(Message("headgate/v1/headend/records", message, 1))

        async def refused() -> bool:
            return foreign.refused == 1

        await until(refused, "the broker's refusal")
        foreign.publish(Message("headgate/v1/edge/records", message, 1))
        found = await stored(controller, 1)
        running.cancel()
    assert [one["box"] for one in found] == ["edge"]


async def test_metrics_and_page_are_served(controller: Process, telemetry: Process, spool: Spool) -> None:
    """Box and controller serve their figures, and the page shows the box in both languages."""
    unit = telemetry.folder / "run/metrics/delivery-bigscreen"
    unit.mkdir()
    name = "headgate_delivery_bytes_total"
    text = f'# HELP {name} x\n# TYPE {name} counter\n{name}{{zone="bigscreen"}} 7\n'
    (unit / "delivery-bigscreen.prom").write_text(text)
    await online(controller)
    spool.append(used(0))
    refusal = {"decision": "refuse", "reason": "not-admitted", "sentence": "<b>body unknown</b>"}
    spool.append(Record.new("audit", "exchange", refusal))
    await stored(controller, 2)
    async with aiohttp.ClientSession() as session:
        async with session.get(telemetry.url + "/metrics") as answer:
            told = await answer.text()
        assert 'headgate_delivery_bytes_total{unit="delivery-bigscreen",zone="bigscreen"} 7.0' in told
        assert "headgate_telemetry_connected 1.0" in told
        async with session.get(controller.url + "/metrics") as answer:
            told = await answer.text()
        assert 'headgate_box_online{box="headend"} 1.0' in told
        assert 'headgate_box_records_total{box="headend",kind="usage"} 1.0' in told
        assert 'headgate_fleet_refusals_total{reason="not-admitted"} 1.0' in told
        for language, word in (("zh", "最近的拒绝"), ("en", "Last refusals")):
            async with session.get(controller.url + "/", params={"lang": language}) as answer:
                page = await answer.text()
            assert word in page
            assert "headend" in page
            assert "&lt;b&gt;body unknown&lt;/b&gt;" in page
        async with session.get(controller.url + "/events") as answer:
            assert await answer.content.readline() == b"event: change\n"
        async with session.get(controller.url + "/api/records?kind=gossip") as answer:
            assert answer.status == 400
