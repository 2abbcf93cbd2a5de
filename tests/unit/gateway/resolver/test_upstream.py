"""Questions to the exchange: one at a time, not often, and never an error."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter

from appliance.runtime import http
from appliance.runtime.errors import Refused
from gateway.resolver.codes import parse
from gateway.resolver.upstream import EVERY, Upstream

CODE = parse("isli:999999-100000000000001-4")


class Exchange:
    """What the exchange's socket does with questions."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.heard = asyncio.Event()
        self.refuse = False

    async def lookup(self, request: web.Request) -> web.Response:
        self.asked.append((await request.json())["code"])
        self.heard.set()
        await self.gate.wait()
        if self.refuse:
            raise Refused("no-lane", "no lane lets identifiers into this zone")
        return web.json_response({"fresh": True})


@asynccontextmanager
async def answering(socket: Path) -> AsyncIterator[Exchange]:
    exchange, app = Exchange(), http.application()
    app.router.add_post("/lookup", exchange.lookup)
    async with http.serving(app, unix=[(socket, 0o600)]):
        yield exchange


def counter() -> Counter:
    return Counter("lookups", "x", ["result"], registry=CollectorRegistry())


def count(asked: Counter, result: str) -> float:
    return asked.labels(result)._value.get()  # type: ignore[no-any-return]


async def test_many_who_wait_make_one_question(tmp_path: Path) -> None:
    """However many ask at the same time, the exchange hears one question, and all wait for its answer."""
    asked = counter()
    async with answering(tmp_path / "s") as exchange, asyncio.TaskGroup() as tasks:
        exchange.gate.clear()
        upstream = Upstream(tmp_path / "s", tasks, asked, lambda: 0.0)
        waiting = [tasks.create_task(upstream.wait(CODE)) for _ in range(50)]
        await asyncio.wait_for(exchange.heard.wait(), 10)
        assert not any(task.done() for task in waiting)
        exchange.gate.set()
        await asyncio.gather(*waiting)
    assert exchange.asked == [CODE.canonical]
    assert count(asked, "fresh") == 1


async def test_questions_are_seconds_apart(tmp_path: Path) -> None:
    """A second question waits for its time; until then the table at hand answers at once."""
    now = 100.0
    async with answering(tmp_path / "s") as exchange, asyncio.TaskGroup() as tasks:
        upstream = Upstream(tmp_path / "s", tasks, counter(), lambda: now)
        await upstream.wait(CODE)
        now += EVERY - 0.1
        await upstream.wait(CODE)
        assert len(exchange.asked) == 1
        now += 0.2
        await upstream.wait(CODE)
        assert len(exchange.asked) == 2


@pytest.mark.parametrize("away", [True, False])
async def test_an_exchange_that_is_away_or_refuses_is_no_error(tmp_path: Path, away: bool) -> None:
    """The question is counted by its result, and the screen gets what the table has."""
    asked = counter()
    async with answering(tmp_path / "s") as exchange, asyncio.TaskGroup() as tasks:
        exchange.refuse = True
        upstream = Upstream(tmp_path / ("none" if away else "s"), tasks, asked)
        await upstream.wait(CODE)
    assert count(asked, "unreachable" if away else "refused") == 1
