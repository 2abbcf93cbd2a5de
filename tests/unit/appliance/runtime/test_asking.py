"""Questions to our own daemons: answers of every form, connections used again, and whatever comes in bounded."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.runtime import asking, http
from appliance.runtime.asking import Answer, Asking, Away, BrokeOff, Connection
from appliance.runtime.errors import Refused, Unreachable

LARGE = bytes(range(11, 256)) * 9000  # more than a buffer


@pytest.fixture
async def box(tmp_path):
    """A daemon at a socket; yields the question to ask it and the connections that came."""
    came: set[object] = set()

    async def answer(request: web.Request) -> web.StreamResponse:
        came.add(request.transport)
        told = await request.json()
        match request.path:
            case "/echo":
                return web.json_response(told)
            case "/nothing":
                return web.Response(status=204)
            case "/refused":
                raise Refused("no-lane", "not there", 403)
            case "/away":
                raise Unreachable("gone")
            case "/large":
                return web.Response(body=LARGE, headers={"ETag": '"a"'})
            case "/break":
                response = web.StreamResponse()
                response.content_length = 100
                await response.prepare(request)
                await response.write(b"x" * 50)
                request.transport.abort()
                return response
        response = web.StreamResponse()  # in pieces of which nobody knows the length
        await response.prepare(request)
        for piece in (b'{"a": 1}\n{"b"', b": 2}\n", LARGE, b"\nend"):
            await response.write(piece)
        await response.write_eof()
        return response

    app = http.application()
    app.router.add_post("/{what}", answer)
    async with http.serving(app, unix=[(tmp_path / "s", 0o600)]):
        asked = Asking(tmp_path / "s", most=4, patience=5.0)
        yield asked, came
        asked.close()


async def test_answers_are_read_and_connections_used_again(box, monkeypatch):
    """JSON, nothing, errors with their types, bodies with and without a length: all over one connection."""
    monkeypatch.setattr(asking, "SOON", 5.0)  # on a machine that has much else to do
    asked, came = box
    async with asked.post("echo", {"a": ["广西"]}) as answer:
        assert await answer.json() == {"a": ["广西"]}
    async with asked.post("nothing", {}) as answer:
        assert await answer.json() is None
    for what, error in (("refused", Refused), ("away", Unreachable)):
        async with asked.post(what, {}) as answer:
            with pytest.raises(error):
                await answer.json()
    async with asked.post("large", {}) as answer:
        assert answer.headers["etag"] == '"a"'
        pieces = [bytes(piece) async for piece in answer.chunks()]
    assert b"".join(pieces) == LARGE
    assert max(map(len, pieces)) == asking.BUFFER
    async with asked.post("stream", {}) as answer:
        assert await answer.read() == b'{"a": 1}\n{"b": 2}\n' + LARGE + b"\nend"
    assert len(came) == 1


@pytest.mark.parametrize("length", [True, False])
async def test_what_came_is_handed_on_before_the_rest_comes(tmp_path, length):
    """An answer that stops in the middle: what came of it is not held back until it goes on."""
    go = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 100 if length else None
        await response.prepare(request)
        await response.write(b"x" * 50)
        await go.wait()
        await response.write(b"y" * 50)
        await response.write_eof()
        return response

    app = http.application()
    app.router.add_post("/film", answer)
    came = []
    async with http.serving(app, unix=[(tmp_path / "s", 0o600)]):
        asked = Asking(tmp_path / "s", most=4, patience=20.0)
        async with asked.post("film", {}) as film:
            async for piece in film.chunks():
                came.append(bytes(piece))
                go.set()
        asked.close()
    assert (came[0], b"".join(came)) == (b"x" * 50, b"x" * 50 + b"y" * 50)


async def test_lines_come_one_by_one(box):
    """Lines that are cut anywhere come whole; one that is too long breaks off."""
    asked, _ = box
    lines: list[bytes] = []

    async def read() -> None:
        async with asked.post("stream", {}) as answer:
            async for line in answer.lines():
                lines.append(line)  # noqa: PERF401 (it ends by an error)

    with pytest.raises(BrokeOff, match="too long"):
        await read()
    assert lines == [b'{"a": 1}', b'{"b": 2}']


async def test_what_breaks_off_is_told_and_not_used_again(box):
    """An answer that ends early, a reader that leaves early, an answer longer than wanted: the next question has another connection."""
    asked, came = box
    with pytest.raises(BrokeOff):
        async with asked.post("break", {}) as answer:
            await answer.read()
    async with asked.post("large", {}) as answer:
        async for _ in answer.chunks():
            break
    with pytest.raises(BrokeOff, match="longer"):
        async with asked.post("large", {}) as answer:
            await answer.read(1000)
    async with asked.post("echo", {}) as answer:
        assert await answer.json() == {}
    assert len(came) == 4


async def test_nobody_there_is_away_and_silence_ends(tmp_path):
    """No socket, and one where nobody accepts or answers."""
    with pytest.raises(Away):
        async with Asking(tmp_path / "none", most=1, patience=1.0).post("a", {}):
            pass
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        with pytest.raises(TimeoutError):
            async with Asking(tmp_path / "s", most=1, patience=0.02).post("a", {}):
                pass


async def test_a_daemon_that_was_started_again_is_asked_anew(tmp_path):
    """Connections that its forerunner closed are noticed before they are used."""
    app = http.application()

    async def say(_: web.Request) -> web.Response:
        return web.json_response({"a": 1})

    app.router.add_post("/a", say)
    asked = Asking(tmp_path / "s", most=2, patience=5.0)
    for _ in range(2):
        async with http.serving(app, unix=[(tmp_path / "s", 0o600)]), asked.post("a", {}) as answer:
            assert await answer.json() == {"a": 1}
    asked.close()


HEADS = (
    b"HTTP/1.1 200 OK\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"\r\n",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"hello",
)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(HEADS), st.binary(max_size=30)), max_size=8))
def test_any_bytes_are_an_answer_or_break_off(parts):
    """Whatever a daemon sends, it ends, and nothing else is raised."""

    async def read() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.sendall(b"".join(parts))
            theirs.close()
            connection = Connection(ours, 1.0)
            try:
                answer = Answer(connection, memoryview(bytearray(64)), *await connection.head())
                assert len(await answer.read()) <= 300
            except BrokeOff:
                pass

    asyncio.run(read())
