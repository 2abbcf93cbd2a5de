"""Screens that dawdle, and origins that do, with delivery's cache between them: neither holds what others need."""

import asyncio
import socket

import aiohttp
import pytest
from aiohttp.web import Response

from appliance.runtime import http
from appliance.runtime.errors import Refused
from gateway.caching import filling
from gateway.delivery import metrics, passing, web
from gateway.web import wire
from tests.server.web.test_serving import HOST, PLENTY, get, serving, until, whole

pytestmark = pytest.mark.server


def refused(reason: str) -> float:
    """Return how often something was refused for this reason."""
    samples = [sample for family in metrics.REFUSALS.collect() for sample in family.samples]
    return sum(one.value for one in samples if one.labels["reason"] == reason and one.name.endswith("_total"))


async def bits():
    """Yield a body that never ends."""
    while True:
        yield b"x"
        await asyncio.sleep(0.01)


async def test_a_body_that_dawdles_is_refused(monkeypatch):
    """It would hold a request to the origin for ever."""
    monkeypatch.setattr(web, "GRACE", 0.5)

    async def take(request):
        return Response(text=str([chunk async for chunk in web._bounded(request)]))

    app = http.application()
    app.router.add_post("/", take)
    async with http.serving(app, tcp=[(HOST, 0)]) as places, asyncio.timeout(PLENTY):
        address, port = places[0]
        async with (
            aiohttp.ClientSession() as screen,
            screen.post(f"http://{address}:{port}/", data=bits()) as answer,
        ):
            assert (answer.status, (await answer.json())["reason"]) == (408, "too-slow")


async def test_why_a_body_ended_is_told_on(tmp_path):
    """A refusal raised where a request's body comes from is what its asker gets, not that somebody is away."""

    async def refuses():
        yield b"x"
        raise Refused("too-slow", "the request's body comes too slowly", 408)

    async def take(request):
        asked = await wire.read_request(request)
        return Response(text=str([chunk async for chunk in asked.body]))

    app = http.application()
    app.router.add_post("/web", take)
    async with http.serving(app, unix=[(tmp_path / "s", 0o600)]), wire.Web(tmp_path / "s") as way:
        asked = wire.WebRequest("portal.test", "POST", "/", [], refuses())
        with pytest.raises(Refused) as error:
            async with way.ask(asked):
                pass
        assert error.value.reason == "too-slow"


async def test_a_screen_that_reads_nothing_of_its_own_answer_ends(tmp_path, monkeypatch):
    """What is for nobody else comes no faster than its screen reads: one that does not is broken off, and the origin too."""
    monkeypatch.setattr(passing, "GRACE", 0.5)
    monkeypatch.setattr(passing, "SLOWEST", 256 << 20)
    before = refused("too-slow")
    async with serving(tmp_path) as (origin, screen, cached), asyncio.timeout(PLENTY):
        origin.says["/own"] = [whole(bytes(32 << 20), "Cache-Control: no-store")]
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.setblocking(False)
            await asyncio.get_running_loop().sock_connect(slow, (HOST, screen._base_url.port))
            await asyncio.get_running_loop().sock_sendall(slow, f"GET /own HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            await until(lambda: origin.times("/own") == 1)
            await until(lambda: not cached._filling.running)
        assert refused("too-slow") == before + 1


@pytest.mark.parametrize("bound", ["MOST_OF_ORIGIN", "MOST_OF_SCREEN"])
async def test_a_portal_that_never_answers_has_its_share_and_no_more(tmp_path, monkeypatch, bound):
    """More requests than one origin, or one screen, may have under way are told ``busy``; once they are over, it goes on."""
    monkeypatch.setattr(filling, bound, 3)
    async with serving(tmp_path) as (origin, screen, _), asyncio.timeout(PLENTY):
        for number in range(4):
            origin.says[f"/{number}"] = [b"", whole(b"late")]
        waiting = asyncio.gather(*(get(screen, f"/{number}") for number in range(3)))
        await until(lambda: sum(origin.times(f"/{number}") for number in range(3)) == 3)
        status, body, _ = await get(screen, "/3")
        assert status == 503
        assert b'"busy"' in body
        origin.go.set()
        assert [one[:2] for one in await waiting] == [(200, b"late")] * 3
        async with aiohttp.ClientSession(str(screen._base_url)) as other:
            assert (await get(other, "/3"))[:2] == (200, b"late")
