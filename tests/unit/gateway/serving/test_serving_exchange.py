"""Delivery's view of the exchange: how long a manifest counts, and what a refusal does to it."""

import asyncio

import pytest
from aiohttp import web

from appliance.runtime import http
from appliance.runtime.errors import Refused, Unreachable
from gateway.serving import exchange as exchanges
from gateway.serving.exchange import AWAY, FRESH, REFUSED, Exchange

TOLD = {"release": "1", "version": 1, "body": "library", "title": "x", "entry": "a", "files": {}, "digest": "0"}


class Box:
    """An exchange on a Unix socket whose answers a test sets, and the clock of delivery."""

    def __init__(self):
        self.answer, self.asked, self.now = lambda: web.json_response(TOLD), 0, 0.0

    async def handle(self, _):
        self.asked += 1
        return self.answer()


@pytest.fixture
async def box():
    return Box()


@pytest.fixture
async def exchange(box, tmp_path):
    app = web.Application()
    app.router.add_post("/release", box.handle)
    async with (
        asyncio.TaskGroup() as tasks,
        http.serving(app, unix=[(tmp_path / "s", 0o600)]),
        Exchange(tmp_path / "s", tasks, lambda: box.now) as exchange,
    ):
        yield exchange


async def test_after_the_first_word_of_what_is_withdrawn_nothing_known_is_asked_again(tmp_path):
    """A daemon that waits for it before it serves keeps what its screens asked for, also when the exchange dies right then."""
    told, over = asyncio.Event(), asyncio.Event()

    async def withdrawn(request):
        if (await request.json())["after"] >= 0:
            await over.wait()
        await told.wait()
        return web.json_response({"serial": 0, "releases": [], "tokens": []})

    async def release(_):
        return web.json_response(TOLD)

    async def counting(codes, tokens):
        return len(codes) + len(tokens or ())

    app = web.Application()
    app.router.add_post("/withdrawn", withdrawn)
    app.router.add_post("/release", release)
    async with (
        asyncio.TaskGroup() as tasks,
        http.serving(app, unix=[(tmp_path / "s", 0o600)]),
        Exchange(tmp_path / "s", tasks) as exchange,
    ):
        following = tasks.create_task(exchange.follow(counting))
        first = tasks.create_task(exchange.listen_first())
        await asyncio.sleep(0)
        assert not first.done()
        told.set()
        await first
        manifest = await exchange.manifest("1")
        assert exchange.is_fresh("1", manifest)
        following.cancel()
        over.set()


async def test_what_could_not_be_broken_off_is_not_confirmed_and_tried_again(tmp_path, monkeypatch):
    """The exchange hears of an order's end only once all that ran is broken off; until then nothing that was known is used."""
    monkeypatch.setattr(exchanges, "REFUSED", 0.01)
    asked, tried, confirmed = [], [], asyncio.Event()

    async def withdrawn(request):
        told = await request.json()
        asked.append((told["after"], told["stopped"]))
        if told["after"] == 7:
            confirmed.set()
            await asyncio.sleep(60)
        return web.json_response({"serial": 7, "releases": ["1"], "tokens": []})

    async def withdraw(codes, _):
        tried.append(list(codes))
        if len(tried) < 3:
            raise Unreachable("the guard is away")
        return 5

    app = web.Application()
    app.router.add_post("/withdrawn", withdrawn)
    async with (
        asyncio.TaskGroup() as tasks,
        http.serving(app, unix=[(tmp_path / "s", 0o600)]),
        Exchange(tmp_path / "s", tasks) as exchange,
    ):
        following = tasks.create_task(exchange.follow(withdraw))
        await confirmed.wait()
        following.cancel()
    assert tried == [["1"]] * 3
    assert asked == [(-1, 0), (-1, 0), (-1, 0), (7, 5)]


async def test_a_manifest_is_asked_for_once_in_a_while(box, exchange):
    """Within seconds the manifest in memory answers; after them the exchange is asked, once for all who wait."""
    for _ in range(3):
        assert (await exchange.manifest("1")).entry == "a"
    assert box.asked == 1
    box.now = FRESH
    await asyncio.gather(*(exchange.manifest("1") for _ in range(10)))
    assert box.asked == 2
    exchange.forget()
    await exchange.manifest("1")
    assert box.asked == 3


@pytest.mark.parametrize(("status", "reason"), [(504, "unreachable"), (503, "busy"), (507, "spool-full")])
async def test_what_passes_by_does_not_stop_the_play(box, exchange, status, reason):
    """An exchange that cannot answer for now leaves the last manifest in use for a minute, no longer."""
    await exchange.manifest("1")
    box.answer = lambda: http.answer(status, reason, "for now")
    box.now = AWAY - 1
    assert (await exchange.manifest("1")).version == 1
    box.now = AWAY + 1
    with pytest.raises((Unreachable, Refused)):
        await exchange.manifest("1")


async def test_a_refusal_counts_at_once_and_is_not_asked_for_again_soon(box, exchange):
    """What may not cross any more is refused at the next question, and a screen that insists costs no more questions."""
    await exchange.manifest("1")
    box.answer = lambda: http.answer(403, "not-admitted", "no")
    box.now = FRESH
    for _ in range(3):
        with pytest.raises(Refused) as error:
            await exchange.manifest("1")
        assert (error.value.reason, error.value.status) == ("not-admitted", 403)
    assert box.asked == 2
    box.answer = lambda: web.json_response(TOLD)
    box.now = FRESH + REFUSED
    assert (await exchange.manifest("1")).version == 1
