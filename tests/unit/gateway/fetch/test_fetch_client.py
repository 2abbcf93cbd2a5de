"""Fetch against a real web server on loopback that misbehaves in every way."""

import asyncio
import contextlib
from types import SimpleNamespace

import pytest
from aiohttp import web

from appliance.runtime import http
from appliance.runtime.errors import Refused, Unreachable
from gateway.fetch import client
from gateway.fetch.decide import Target


async def _answer(request):
    what = request.match_info["what"]
    match what:
        case "good":
            if request.headers.get("If-None-Match") == '"1"':
                return web.Response(status=304, headers={"ETag": '"1"'})
            return web.Response(body=b"0123456789", headers={"ETag": '"1"'})
        case "endless":
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"x" * 100)
            return response
        case "short":
            response = web.StreamResponse()
            response.content_length = 10
            await response.prepare(request)
            await response.write(b"01234")
            request.transport.abort()
            return response
        case "part":
            first = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            headers = {"Content-Range": f"bytes {first}-9/10"}
            return web.Response(status=206, body=b"0123456789"[first:], headers=headers)
        case "another-part":
            return web.Response(status=206, body=b"0123", headers={"Content-Range": "bytes 0-3/10"})
        case "old":
            return web.Response(body=b"0123456789", headers={"Age": "30"})
        case "late":
            await asyncio.sleep(client.PATIENCE * 3)
            return web.Response()
        case "told":
            return web.Response(body=f"{request.headers['CDN-Loop']} {request.headers['Cache-Control']}".encode())
        case "packed":
            return web.Response(body=b"x", headers={"Content-Encoding": "gzip"})
        case "moved":
            return web.Response(status=302, headers={"Location": "/releases/good"})
        case "cookie":
            return web.Response(body=request.headers.get("Cookie", "none").encode(), headers={"Set-Cookie": "a=b"})
        case _:
            return web.Response(status=int(what))


@pytest.fixture
async def ask():
    app = web.Application()
    app.router.add_get("/releases/{what}", _answer)
    async with http.serving(app, tcp=[("127.0.0.1", 0)]) as bound, client.session() as session:

        async def ask(what, largest=10, etag=None, port=bound[0][1], **told):
            target = Target("centre", "127.0.0.1", port, f"/releases/{what}", largest, etag, **told)
            async with client.get(session, target) as response:
                return response.status, b"".join([chunk async for chunk in client.bounded(response, target)])

        yield ask


async def test_good_answers_come_through(ask):
    """A 200 gives its bytes, and a 304 says that nothing changed."""
    assert await ask("good") == (200, b"0123456789")
    assert await ask("good", etag='"1"') == (304, b"")


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("404", "unknown-path"),
        ("410", "unknown-path"),
        ("403", "unexpected-answer"),
        ("204", "unexpected-answer"),
        ("304", "unexpected-answer"),
        ("moved", "unexpected-answer"),
        ("packed", "unexpected-answer"),
        ("endless", "too-large"),
    ],
)
async def test_other_answers_are_refused(ask, what, reason):
    """A redirect is not followed, packed content not unpacked, an endless body not read to its end."""
    with pytest.raises(Refused) as error:
        await ask(what)
    assert error.value.reason == reason


async def test_content_length_above_the_bound_is_refused_before_it_is_read(ask):
    """What the origin offers is refused by its length alone."""
    with pytest.raises(Refused, match="offers more"):
        await ask("good", largest=9)


@pytest.mark.parametrize("what", ["500", "503", "429", "short"])
async def test_failing_origins_are_unreachable(ask, what):
    """An origin that fails or breaks off may be asked again later."""
    with pytest.raises(Unreachable):
        await ask(what)


async def test_origin_that_is_away_is_unreachable(ask):
    """Nobody listens: unreachable."""
    with pytest.raises(Unreachable):
        await ask("good", port=1)


async def test_no_cookies_are_kept(ask):
    """An origin cannot mark the box."""
    assert await ask("cookie") == (200, b"none")
    assert await ask("cookie") == (200, b"none")


@pytest.mark.parametrize("what", ["part", "good"])
async def test_bytes_that_are_here_are_not_taken_again(ask, what):
    """An upstream that knows ranges sends the rest; of one that sends the whole the first bytes are passed over."""
    assert (await ask(what, first=7, largest=3))[1] == b"789"


async def test_another_part_than_asked_for_is_refused(ask):
    """Bytes from elsewhere in the object would never have its digest."""
    with pytest.raises(Refused, match="another part"):
        await ask("another-part", first=7)


async def test_parents_are_told_what_they_need_to_know(ask):
    """Who asked before, and how old an answer may be."""
    assert (await ask("told", largest=99, loop="headgate;site=a", oldest=5, parent=True))[
        1
    ] == b"headgate;site=a max-age=5"


async def test_a_parent_that_heard_of_it_long_ago_is_passed_over(ask):
    """What a parent keeps while it cannot ask its own upstream is not taken for new."""
    with pytest.raises(client.Behind, match="30 seconds old"):
        await ask("old", oldest=15, parent=True)
    assert (await ask("old", oldest=30, parent=True))[0] == 200


async def test_a_parent_must_begin_to_answer_soon(ask, monkeypatch):
    """Two boxes that wait for each other wait for a moment only; an origin has more time."""
    monkeypatch.setattr(client, "PATIENCE", 0.1)
    with pytest.raises(client.Late):
        await ask("late", parent=True)


async def test_a_parent_whose_own_upstream_is_away_is_well(ask):
    """A 504 tells of what is behind it; a question that went round is refused as such."""
    with pytest.raises(client.Behind):
        await ask("504", parent=True)
    with pytest.raises(Refused) as error:
        await ask("508", parent=True)
    assert error.value.reason == "loop"


@pytest.mark.parametrize(
    ("told", "tag"),
    [
        ({}, ""),
        ({"ETag": '"1"'}, '"1"'),
        (
            {"ETag": '"1"', "Last-Modified": "Sun, 29 Nov 2026 06:00:00 GMT", "Date": "Sun, 29 Nov 2026 06:00:02 GMT"},
            '"1"',
        ),
        (
            {"ETag": '"1"', "Last-Modified": "Sun, 29 Nov 2026 06:00:00 GMT", "Date": "Sun, 29 Nov 2026 06:00:01 GMT"},
            "",
        ),
        ({"ETag": '"1"', "Last-Modified": "Sun, 29 Nov 2026 06:00:00 GMT"}, ""),
        ({"ETag": '"1"', "Last-Modified": "yesterday", "Date": "Sun, 29 Nov 2026 06:00:01 GMT"}, ""),
        (
            {
                "ETag": '"1"',
                "Last-Modified": "Sun, 29 Nov 2026 06:00:00 GMT",
                "Date": "Sun, 29 Nov 2026 06:00:09 -0000",
            },
            "",
        ),
    ],
)
def test_a_tag_counts_once_the_second_of_the_change_is_over(told, tag):
    """What is written twice within a second has one ETag at nginx: who asked in between would never hear of the other."""
    assert client.tag_of(SimpleNamespace(headers=told)) == tag


@pytest.mark.parametrize(
    ("first", "again", "told"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X: 1\r\n", "no answer in time"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", "too many interim answers"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x", "too slowly"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", "too slowly"),
    ],
)
async def test_an_origin_that_dawdles_is_given_up(monkeypatch, first, again, told):
    """A head, or a body, that comes bit by bit ends soon, although there is never a pause."""
    monkeypatch.setattr(client, "HEAD", 0.5)
    monkeypatch.setattr(client, "GRACE", 0.5)
    ended = asyncio.Event()

    async def dawdle(reader, writer):
        writer.write(first)
        with contextlib.suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(again)
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.close()
        ended.set()

    async def read(port):
        target = Target("centre", "127.0.0.1", port, "/releases/x", 1000)
        async with client.get(session, target) as response:
            return [chunk async for chunk in client.bounded(response, target)]

    async with (
        asyncio.timeout(20),
        await asyncio.start_server(dawdle, "127.0.0.1", 0) as server,
        client.session() as session,
    ):
        with pytest.raises(Unreachable, match=told):
            await read(server.sockets[0].getsockname()[1])
        await ended.wait()  # the connection is closed


async def test_a_refusal_does_not_say_where_an_origin_is(ask):
    """Screens are shown these words."""
    with pytest.raises(Unreachable) as error:
        await ask("good", port=1)
    assert "127.0.0.1" not in str(error.value)
