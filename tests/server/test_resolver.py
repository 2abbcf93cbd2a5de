"""The resolver as its unit runs it: a process of its own, asked over HTTP."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from click.testing import CliRunner
from sqlalchemy.ext.asyncio import create_async_engine

from appliance.identity.keys import PrivateKey
from appliance.runtime import http
from appliance.runtime.errors import Refused, Unreachable
from gateway.replica.replica import Replica
from gateway.resolver.cli import commands
from gateway.resolver.records import Link, Location, Record
from provisioning.registry import tables
from provisioning.registry.judging import Admitted, Rules
from provisioning.registry.publication import Publication
from provisioning.registry.registry import Registry
from provisioning.registry.routes import Api
from tests.registries import follow, put
from tests.server.resolving import FILM, GONE, OTHER, Box, free_port, until

pytestmark = pytest.mark.server

UNKNOWN = "isli:999998-000000000000000000000001-6"


def snapshot(serial: int, made: datetime | None = None) -> tuple[int, list[Record], datetime]:
    film = Record(
        code=f"isli:{FILM}",
        title="刘三姐",
        body="library",
        locations=[Location(release=f"isli:{FILM}", entry="master.m3u8")],
        links=[Link(type="multimedia", target=OTHER)],
    )
    gone = Record(code=GONE, title="x", body="library", status="withdrawn", reason="版权到期")
    return serial, [gone, film], made or datetime.now(UTC)


async def get(client: aiohttp.ClientSession, url: str, accept: str = "*/*") -> aiohttp.ClientResponse:
    async with client.get(url, headers={"Accept": accept}, allow_redirects=False) as response:
        await response.read()
        return response


@asynccontextmanager
async def exchange(box: Box, refresh: Callable[[], Awaitable[object]]) -> AsyncIterator[list[str]]:
    """The exchange's socket: a look-up makes the table new by ``refresh``."""
    asked: list[str] = []

    async def lookup(request: web.Request) -> web.Response:
        asked.append((await request.json())["code"])
        await refresh()
        return web.json_response({"fresh": True})

    app = http.application()
    app.router.add_post("/lookup", lookup)
    folder = box.root / "run/exchange/resolver-bigscreen"
    folder.mkdir(parents=True)
    async with http.serving(app, unix=[(folder / "exchange.sock", 0o660)]):
        yield asked


async def test_screens_and_programs_are_answered_from_the_table(box: Box, client: aiohttp.ClientSession) -> None:
    """A player is redirected, a program told, a browser shown a page; wrong, unknown and withdrawn codes are refused in words."""
    put(box.identifiers, *snapshot(1))
    await box.start()

    played = await get(client, f"{box.url}/id/{FILM}")
    assert (played.status, played.headers["Location"]) == (302, f"http://127.0.0.1/r/{FILM}/master.m3u8")
    assert played.headers["Access-Control-Allow-Origin"] == "*"
    assert played.headers["Headgate-Table"] == "serial=1"
    assert (await get(client, f"{box.url}/id/isli%3A{FILM}")).status == 302

    for url, accept in (
        (f"{box.url}/id/{FILM}", "application/json"),
        (f"{box.url}/id/ISLI%20{FILM}?format=json", "*/*"),
    ):
        told = await get(client, url, accept)
        assert told.status == 200
        record = await told.json()
        assert record["playable"] == f"http://127.0.0.1/r/{FILM}/master.m3u8"
        assert record["links"] == [{"type": "multimedia", "target": OTHER}]

    page = await get(client, f"{box.url}/id/{FILM}", "text/html,application/xhtml+xml,*/*;q=0.8")
    assert (page.status, page.content_type) == (200, "text/html")
    assert "刘三姐" in await page.text()

    for code, status, reason, words in (
        (FILM[:-1] + "5", 400, "wrong-check-digit", "should be 4, not 5"),
        ("nonsense", 400, "not-a-code", ""),
        ("%FF%FE", 400, "not-a-code", ""),
        (UNKNOWN, 404, "unknown-code", "not registered"),
        ("doi:10.1000/182", 404, "unknown-code", "doi:10.1000/182"),
        (GONE, 410, "withdrawn", "版权到期"),
    ):
        refused = await get(client, f"{box.url}/id/{code}")
        assert refused.status == status, code
        answer = await refused.json()
        assert answer["reason"] == reason
        assert words in answer["error"]
        assert refused.headers["Access-Control-Allow-Origin"] == "*"

    health = await get(client, box.url + "/")
    assert (await health.json())["table"]["serial"] == 1

    metrics = box.root / "run/metrics/resolver-bigscreen/resolver-bigscreen.prom"

    async def counted() -> bool:
        return (
            metrics.exists()
            and 'answers_total{outcome="withdrawn",scheme="isli",zone="bigscreen"} 1.0' in metrics.read_text()
        )

    await until(counted)
    assert "headgate_resolver_table_serial 1.0" in metrics.read_text()


async def test_a_box_without_a_table_says_so_and_fetches_one(box: Box, client: aiohttp.ClientSession) -> None:
    """Without table and exchange the answer is 503; once the exchange is there, the first question brings the table."""
    await box.start()
    refused = await get(client, f"{box.url}/id/{FILM}")
    assert (refused.status, (await refused.json())["reason"]) == (503, "no-table")
    async with exchange(box, lambda: asyncio.to_thread(put, box.identifiers, *snapshot(3))) as asked:

        async def resolves() -> bool:
            return (await get(client, f"{box.url}/id/{FILM}")).status == 302

        await until(resolves)
        assert asked == [f"isli:{FILM}"]


async def test_a_table_changes_under_load_without_a_failed_request(box: Box, client: aiohttp.ClientSession) -> None:
    """While tables are installed one after another, every request is answered, at the end from the newest table."""
    put(box.identifiers, *snapshot(1))
    await box.start()
    done = asyncio.Event()
    statuses: list[int] = []

    async def load() -> None:
        while not done.is_set():
            statuses.append((await get(client, f"{box.url}/id/{FILM}")).status)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(load())
        for serial in range(2, 32):
            await asyncio.to_thread(put, box.identifiers, *snapshot(serial))
        done.set()
    assert set(statuses) == {302}
    assert len(statuses) > 30
    assert (await get(client, f"{box.url}/id/{FILM}")).headers["Headgate-Table"] == "serial=31"


async def test_a_damaged_new_table_leaves_the_last_good_one(box: Box, client: aiohttp.ClientSession) -> None:
    """If what is current cannot be read, the resolver goes on with the table it has, and takes the next good one."""
    put(box.identifiers, *snapshot(1))
    await box.start()
    put(box.identifiers, *snapshot(2))
    (next((box.identifiers / "levels").glob("2-*")) / "data.mdb").write_bytes(b"\x00" * 4096)
    assert (await get(client, f"{box.url}/id/{FILM}")).headers["Headgate-Table"] == "serial=1"
    put(box.identifiers, *snapshot(3))
    assert (await get(client, f"{box.url}/id/{FILM}")).headers["Headgate-Table"] == "serial=3"


async def test_an_old_table_answers_marked_stale(box: Box, client: aiohttp.ClientSession) -> None:
    """Cut off for days, the box still answers, and says that what it knows is old."""
    put(box.identifiers, *snapshot(1, datetime.now(UTC) - timedelta(days=3)))
    await box.start()
    answer = await get(client, f"{box.url}/id/{FILM}")
    assert (answer.status, answer.headers["Headgate-Stale"]) == (302, "true")


async def test_a_zone_without_delivery_tells_where_it_is_instead(box: Box, client: aiohttp.ClientSession) -> None:
    """In an institution's zone nothing plays: even a player gets the record."""
    box.delivery = False
    put(box.identifiers, *snapshot(1))
    await box.start()
    answer = await get(client, f"{box.url}/id/{FILM}")
    record = await answer.json()
    assert (answer.status, record["playable"]) == (200, None)
    assert record["locations"] == [{"release": f"isli:{FILM}", "entry": "master.m3u8"}]


async def test_a_new_policy_moves_the_resolver_and_a_bad_one_does_not(box: Box, client: aiohttp.ClientSession) -> None:
    """SIGHUP takes a new listening port in; a policy without this resolver is refused and the last good one stays."""
    put(box.identifiers, *snapshot(1))
    await box.start()
    assert box.process is not None
    old, box.port = box.port, free_port()
    box.write_policy()
    box.process.send_signal(signal.SIGHUP)
    await box.answering(box.port)
    assert (await get(client, f"{box.url}/id/{FILM}")).status == 302
    with pytest.raises(aiohttp.ClientConnectorError):
        await get(client, f"http://127.0.0.1:{old}/")
    box.policy.write_text("site: headend\n")
    box.process.send_signal(signal.SIGHUP)

    async def refused() -> bool:
        return "the last good one stays" in (box.root / "log").read_text()

    await until(refused)
    assert (await get(client, f"{box.url}/id/{FILM}")).status == 302


async def test_from_the_registry_to_the_screen(box: Box, client: aiohttp.ClientSession) -> None:
    """What is registered over the API is signed, crosses, and resolves at the box; withdrawn, it is gone; the CLI drives it all."""
    key, library = PrivateKey.generate(), box.root / "library.key"
    PrivateKey.generate().save(library)
    engine = create_async_engine(f"sqlite+aiosqlite:///{box.root}/controller.db")
    async with engine.begin() as connection:
        await connection.run_sync(tables.metadata.create_all)
    admitted = Admitted((PrivateKey.load(library).public,), ("isli:999999-1",))
    registry = Registry(engine, key, box.root / "registry", lambda: Rules({"library": admitted}))
    await registry.open()
    app = http.application()
    app.add_routes(Api(registry, Publication(registry)).routes())

    async with (
        asyncio.TaskGroup() as tasks,
        http.serving(app, tcp=[("127.0.0.1", 0)]) as addresses,
        exchange(box, lambda: follow(replica, box.root / "registry")),
    ):
        replica = Replica(box.identifiers, box.root / "coming", tasks)
        replica.prepare()
        replica.keys = (key.public,)
        at = f"http://127.0.0.1:{addresses[0][1]}"
        await box.start()

        async def headgate(*words: str) -> Any:
            done = await asyncio.to_thread(CliRunner().invoke, commands, [*words, "--json"], catch_exceptions=False)
            return json.loads(done.output)

        signed = ("--key", str(library), "--at", at)
        where = ("--release", FILM, "--entry", "master.m3u8", "--body", "library", *signed)
        done = await headgate("register", FILM, "--title", "刘三姐", "--link", f"multimedia={OTHER}", *where)
        assert (done["changed"], done["first"]) == (1, 1)
        with pytest.raises(Refused) as outside:
            await headgate("register", OTHER, "--title", "x", *where)
        assert outside.value.reason == "outside-identifiers"

        assert (await headgate("resolve", FILM, "--at", box.url))[
            "playable"
        ] == f"http://127.0.0.1/r/{FILM}/master.m3u8"
        (edge,) = (await headgate("links", FILM, "--at", box.url))["edges"]
        assert (edge["type"], edge["target"]) == ("multimedia", OTHER)

        await headgate("withdraw", FILM, "--reason", "版权到期", *signed)
        assert [c["record"]["status"] for c in await headgate("history", FILM, "--at", at)] == [
            "withdrawn",
            "registered",
        ]
        proof = box.root / "film.proof"
        words = ["prove", FILM, "--at", at, "--out", str(proof)]
        await asyncio.to_thread(CliRunner().invoke, commands, words, catch_exceptions=False)
        verifier = registry.ledger.verifier
        proven = await headgate("verify-proof", str(proof), "--key", verifier, "--body-key", str(admitted.keys[0]))
        assert (proven["status"], proven["record"]["reason"]) == ("withdrawn", "版权到期")
        await follow(replica, box.root / "registry")
        with pytest.raises(Refused) as gone:
            await headgate("resolve", FILM, "--at", box.url)
        assert (gone.value.reason, gone.value.status) == ("withdrawn", 410)
        box.end()
        with pytest.raises(Unreachable):
            await headgate("resolve", FILM, "--at", box.url)
    registry.close()
    await engine.dispose()
