"""Codes outside the box's ranges: one question, kept, and never forgotten while nobody can be asked."""

import asyncio
from collections import Counter as Count
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter

from appliance.runtime import http
from appliance.runtime.errors import Refused, Unreachable
from gateway.resolver import outside as outsides
from gateway.resolver.answer.outcome import Source
from gateway.resolver.codes import parse
from gateway.resolver.finding import Finder, Found
from gateway.resolver.levels import Head
from gateway.resolver.metrics import Numbers
from gateway.resolver.outside import AGAIN, UNKNOWN, Outside
from gateway.resolver.serving.resolver import Resolver
from gateway.resolver.table import Table
from gateway.resolver.writing import Writer
from tests.registries import code, dump

MADE = datetime(2026, 1, 1, tzinfo=UTC)


class Exchange:
    """The exchange's socket, which answers from ``records``."""

    def __init__(self, socket: Path) -> None:
        self.socket, self.asked = socket, Count[str]()
        self.records: dict[str, bytes] = {}
        self.away = False
        self.now = 100.0

    async def lookup(self, request: web.Request) -> web.Response:
        asked = (await request.json())["code"]
        self.asked[asked] += 1
        if self.away:
            raise Refused("registry-damaged", "no")
        raw = self.records.get(asked)
        told = {"record": raw.decode() if raw else None, "made": MADE.isoformat()}
        return web.json_response({"fresh": True, "answer": told})


@pytest.fixture
async def exchange(tmp_path: Path) -> AsyncIterator[Exchange]:
    made, app = Exchange(tmp_path / "s"), http.application()
    app.router.add_post("/lookup", made.lookup)
    async with http.serving(app, unix=[(made.socket, 0o600)]):
        yield made


@pytest.fixture
async def outside(exchange: Exchange) -> AsyncIterator[Outside]:
    asked = Counter("lookups", "x", ["result"], registry=CollectorRegistry())
    async with asyncio.TaskGroup() as tasks:
        yield Outside(exchange.socket, tasks, asked, lambda: exchange.now)


async def test_an_answer_is_asked_once_and_kept_for_its_time(exchange: Exchange, outside: Outside) -> None:
    """However many ask, the exchange hears one question; the next when the record's time to live is over."""
    exchange.records[code(1)] = dump(1, ttl=60)
    found = await asyncio.gather(*(outside.find(code(1)) for _ in range(50)))
    assert {(one.raw, one.keep) for one in found} == {(dump(1, ttl=60), 60.0)}
    exchange.now += 59
    await outside.find(code(1))
    assert exchange.asked[code(1)] == 1
    exchange.now += 2
    await outside.find(code(1))
    assert exchange.asked[code(1)] == 2


async def test_a_no_is_kept_too(exchange: Exchange, outside: Outside) -> None:
    """The registry's word that there is no such code is asked for again after minutes."""
    for _ in range(3):
        assert (await outside.find(code(2))).raw is None
    exchange.now += UNKNOWN
    exchange.records[code(2)] = dump(2)
    assert (await outside.find(code(2))).raw == dump(2)
    assert exchange.asked[code(2)] == 2


async def test_while_nobody_can_be_asked_the_last_answer_holds(exchange: Exchange, outside: Outside) -> None:
    """An answer that is too old is better than none, and what was never asked is told to be unknown; each is tried again soon."""
    exchange.records[code(1)] = dump(1, ttl=60)
    await outside.find(code(1))
    exchange.away = True
    exchange.now += 100
    assert (await outside.find(code(1))).raw == dump(1, ttl=60)
    for _ in range(5):
        with pytest.raises(Unreachable):
            await outside.find(code(3))
        await outside.find(code(1))
    assert (exchange.asked[code(1)], exchange.asked[code(3)]) == (2, 1)
    exchange.away = False
    exchange.now += AGAIN + 0.1
    exchange.records[code(3)] = dump(3)
    assert (await outside.find(code(3))).raw == dump(3)


async def test_what_is_kept_is_bounded(exchange: Exchange, outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answers used longest ago go, by number and by bytes."""
    monkeypatch.setattr(outsides, "MOST", 3)
    for number in range(5):
        exchange.records[code(number)] = dump(number)
        await outside.find(code(number))
    assert list(outside._kept) == [code(2), code(3), code(4)]
    monkeypatch.setattr(outsides, "LARGEST", len(dump(9)) + 1)
    exchange.records[code(9)] = dump(9)
    await outside.find(code(9))
    assert list(outside._kept) == [code(9)]


async def test_only_codes_outside_the_ranges_are_looked_up(
    tmp_path: Path, exchange: Exchange, outside: Outside
) -> None:
    """What the table should hold is the table's word; the source of a look-up says when it was said and how long it holds."""
    writer = Writer(tmp_path / "table")
    writer.prepare()
    inside, other = code(1), code(1, "888888")
    writer.replace(Head("centre", 1, "ab", MADE), [(inside.encode(), dump(1))], ["isli:999999"])
    exchange.records[other] = dump(1, service="888888", ttl=60)
    waited = []
    upstream = SimpleNamespace(wait=lambda code: asyncio.sleep(0, waited.append(str(code))))
    finder = Finder(Table(tmp_path / "table"), upstream, outside, Numbers("bigscreen"))  # type: ignore[arg-type]
    assert (await finder.find(parse(inside))).raw == dump(1)
    assert (await finder.find(parse(code(2)))).raw is None
    assert await finder.find(parse(other)) == Found(exchange.records[other], Source("centre", 1, MADE, 60.0))
    assert (waited, dict(exchange.asked)) == ([code(2)], {other: 1})


async def test_the_item_of_a_serial_number_is_looked_up_too(
    tmp_path: Path, exchange: Exchange, outside: Outside
) -> None:
    """Outside the table's ranges, too, the lot's or the item's record answers for a serial number that nobody registered."""
    writer = Writer(tmp_path / "table")
    writer.prepare()
    writer.replace(Head("centre", 1, "ab", MADE), [(code(1).encode(), dump(1))], ["isli:999999"])
    exchange.records["gtin:06901234567892"] = dump(2, code="gtin:06901234567892")
    finder = Finder(Table(tmp_path / "table"), None, outside, Numbers("bigscreen"))  # type: ignore[arg-type]
    resolver = Resolver.__new__(Resolver)
    resolver.finder = finder
    found, _ = await resolver.find(parse("gs1:01/06901234567892/10/A1/21/7"))
    assert found is not None
    assert found.code == "gtin:06901234567892"
