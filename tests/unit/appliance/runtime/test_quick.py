"""Requests answered the moment they are read."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from appliance.runtime import http
from appliance.runtime.bounded import CROWD, Crowd
from appliance.runtime.quick import AGAIN, QUICK, Later

NOW = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnow"


async def spoken(data: bytes, last: bytes) -> tuple[bytes, list[str]]:
    """Return what a server says to ``data`` up to ``last``, and what of it was offered."""
    offered: list[str] = []

    def answer(message, transport) -> bool:
        offered.append(message.path)
        if not message.path.startswith("/now"):
            return False
        transport.write(NOW)
        return True

    async def later(request: web.Request) -> web.Response:
        await asyncio.sleep(0)
        return web.Response(text=f"later {request.method} {await request.text()}")

    app = http.application()
    app.router.add_route("*", "/{path:.*}", later)
    app[QUICK] = answer
    async with http.serving(app, tcp=[("127.0.0.1", 0)]) as places:
        reader, writer = await asyncio.open_connection(*places[0])
        writer.write(data)
        got = await asyncio.wait_for(reader.readuntil(last), 20)
        writer.close()
        await writer.wait_closed()
    return got, offered


def test_what_is_known_is_answered_at_once_and_the_rest_in_its_turn():
    """Pipelined requests are answered in order: what comes behind one that takes its time is not offered."""
    ask = "GET /%s HTTP/1.1\r\nHost: box\r\n\r\n"
    data = "".join(ask % path for path in ("now/1", "now/2", "later/3", "now/4")).encode()
    got, offered = asyncio.run(spoken(data + (ask % "end").replace("GET", "PUT").encode(), b"later PUT "))
    assert got.startswith(NOW + NOW + b"HTTP/1.1 200 OK")
    assert got.count(b"later GET ") == 2  # the third, and the fourth behind it
    assert offered == ["/now/1", "/now/2", "/later/3"]


def test_only_plain_requests_are_offered():
    """What has a body, is no GET, closes the connection or is no HTTP/1.1 goes aiohttp's way."""
    for data in (
        b"POST /now HTTP/1.1\r\nHost: box\r\nContent-Length: 2\r\n\r\nok",
        b"GET /now HTTP/1.1\r\nHost: box\r\nContent-Length: 2\r\n\r\nok",
        b"HEAD /now HTTP/1.1\r\nHost: box\r\n\r\n",
        b"GET /now HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n",
        b"GET /now HTTP/1.0\r\nHost: box\r\nConnection: keep-alive\r\n\r\n",
    ):
        got, offered = asyncio.run(spoken(data, b"\r\n\r\n"))
        assert got.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")), data
        assert offered == [], data


def test_a_bad_request_is_refused_as_ever():
    """aiohttp's parser has the word: two lengths, or none that is one."""
    data = b"GET /now HTTP/1.1\r\nHost: box\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
    got, offered = asyncio.run(spoken(data, b"\r\n\r\n"))
    assert got.startswith(b"HTTP/1.")
    assert b" 400 " in got.split(b"\r\n")[0]
    assert offered == []


def test_a_lost_connection_is_told_of_whoever_answered():
    """Who counts what leaves hears of the end of connections that were answered at once."""
    lost: list[object] = []

    async def connect() -> None:
        app, told = http.application(), asyncio.Event()

        def ended(transport: asyncio.Transport) -> None:
            lost.append(transport)
            told.set()

        app[QUICK] = lambda _, transport: transport.write(NOW) or True
        app[http.LOST] = ended
        async with http.serving(app, tcp=[("127.0.0.1", 0)]) as places:
            reader, writer = await asyncio.open_connection(*places[0])
            writer.write(b"GET /now HTTP/1.1\r\nHost: box\r\n\r\n")
            await reader.readuntil(b"now")
            writer.close()
            await writer.wait_closed()
            await asyncio.wait_for(told.wait(), 20)

    asyncio.run(connect())
    assert len(lost) == 1


@pytest.mark.parametrize("count", [1, 2])
def test_what_a_connection_does_not_take_at_once_is_ended_before_the_next_answer(count):
    """What was begun ends in its turn, also for a screen that has said all; what was asked behind it is answered after it."""

    async def ask() -> tuple[bytes, list[str]]:
        offered: list[str] = []
        goes_on = asyncio.Event()

        def answer(message, transport):
            offered.append(message.path)

            async def end() -> None:
                await goes_on.wait()
                transport.write(b"w")

            transport.write(NOW[:-1])
            return end

        async def later(_: web.Request) -> web.Response:
            return web.Response(text="later")

        app = http.application()
        app.router.add_get("/{path:.*}", later)
        app[QUICK] = answer
        async with http.serving(app, tcp=[("127.0.0.1", 0)]) as places:
            reader, writer = await asyncio.open_connection(*places[0])
            writer.write(b"".join(b"GET /%d HTTP/1.1\r\nHost: box\r\n\r\n" % n for n in range(count)))
            if count == 1:
                writer.write_eof()
            got = await asyncio.wait_for(reader.readuntil(b"no"), 20)
            await asyncio.sleep(0.05)  # long enough for an end that is read too early to close the connection
            goes_on.set()
            got += await asyncio.wait_for(reader.read() if count == 1 else reader.readuntil(b"later"), 20)
            writer.close()
            await writer.wait_closed()
        return got, offered

    got, offered = asyncio.run(ask())
    assert got.startswith(NOW)
    assert got.endswith(b"later") == (count == 2)
    assert offered == ["/0"]


def test_who_stops_serving_lets_end_what_was_begun():
    """A server that is told to stop waits for what it answers just then."""

    async def ask() -> bytes:
        app, begun, stopping = http.application(), asyncio.Event(), asyncio.Event()

        def answer(_, transport):
            async def end() -> None:
                begun.set()
                await stopping.wait()
                transport.write(b"w")

            transport.write(NOW[:-1])
            return end

        app[QUICK] = answer

        async def stops(_: web.Application) -> None:
            asyncio.get_running_loop().call_later(0.05, stopping.set)

        app.on_shutdown.append(stops)
        async with http.serving(app, tcp=[("127.0.0.1", 0)]) as places:
            reader, writer = await asyncio.open_connection(*places[0])
            writer.write(b"GET / HTTP/1.1\r\nHost: box\r\n\r\n")
            await asyncio.wait_for(begun.wait(), 20)
        got = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        await writer.wait_closed()
        return got

    assert asyncio.run(ask()) == NOW


def put_off(data: bytes, *, eof: bool = False, rest: bool = False) -> bytes:
    """Return what is said to ``data``, by a server that puts off what it is asked for by ``/large``, and perhaps not at once all of it."""

    async def ask() -> bytes:
        app = http.application()

        def answer(message, transport):
            if message.path == "/small":
                transport.write(NOW)
                return True
            if message.path != "/large":
                return False

            async def end() -> None:
                await asyncio.sleep(0)
                transport.write(b"e")

            def write():
                transport.write(LARGE[:-1] if rest else LARGE)
                return end if rest else None

            return Later(write)

        async def later(_: web.Request) -> web.Response:
            return web.Response(text="later")

        app.router.add_get("/{path:.*}", later)
        app[QUICK] = answer
        app[CROWD] = Crowd(lambda _: None)
        async with http.serving(app, tcp=[("127.0.0.1", 0)]) as places:
            reader, writer = await asyncio.open_connection(*places[0])
            writer.write(data)
            if eof:
                writer.write_eof()
            got = await asyncio.wait_for(reader.read() if eof else reader.readuntil(b"later"), 20)
            writer.close()
            await writer.wait_closed()
        return got

    return asyncio.run(ask())


ASK = "GET /%s HTTP/1.1\r\nHost: box\r\n\r\n"
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nlarge"


@pytest.mark.parametrize("rest", [False, True])
def test_what_is_put_off_goes_before_what_was_asked_behind_it(rest):
    """On one connection nothing changes places, whether all of it goes at once or not."""
    got = put_off("".join(ASK % path for path in ("small", "large", "small", "large", "last")).encode(), rest=rest)
    assert got.startswith(NOW + LARGE + (b"HTTP/1.1 200 OK" if rest else NOW + LARGE))
    assert got.endswith(b"later")


@pytest.mark.parametrize("rest", [False, True])
def test_a_screen_that_has_said_all_gets_what_was_put_off(rest):
    """The end of what it says is read before anything of the answer is written."""
    assert put_off((ASK % "large").encode(), eof=True, rest=rest) == LARGE


def test_what_is_small_goes_before_what_is_put_off():
    """Of two that ask at the same time, the second one does not wait for the first one's large answer."""

    async def ask() -> list[str]:
        app, said = http.application(), list[str]()

        def answer(message, transport):
            if message.path == "/large":
                return Later(lambda: said.append("large") or transport.write(LARGE))
            said.append("small")
            transport.write(NOW)
            return True

        app[QUICK], app[CROWD] = answer, Crowd(lambda _: None)
        async with http.serving(app, tcp=[("127.0.0.1", 0)]) as places:
            screens = [await asyncio.open_connection(*places[0]) for _ in range(2)]
            for (_, writer), path in zip(screens, ("large", "small"), strict=True):
                writer.write((ASK % path).encode())  # at once
            for (reader, writer), body in zip(screens, (b"large", b"now"), strict=True):
                await asyncio.wait_for(reader.readuntil(body), 20)
                writer.close()
                await writer.wait_closed()
        return said

    assert asyncio.run(ask()) == ["small", "large"]


class Heads:
    """Answers what begins as ``/now`` by the bytes of its head, once it was read."""

    def __init__(self) -> None:
        self.known, self.offered, self.read = set[bytes](), list[tuple[bytes, bool]](), list[str]()

    def again(self, data: bytes, transport: asyncio.Transport, *, alone: bool) -> bool:
        self.offered.append((data.partition(b" HTTP")[0], alone))
        if data not in self.known:
            return False
        transport.write(NOW)
        return True

    def head(self, data: bytes, message: object) -> None:
        self.known.add(data)

    def answer(self, message, transport):
        self.read.append(message.path)
        if message.path.startswith("/later"):
            return False
        if message.path.startswith("/put-off"):
            return Later(lambda: transport.write(NOW))
        transport.write(NOW)
        return True


def heads(*said: bytes) -> Heads:
    """Return what became of pieces of requests on one connection, of which each that ends one waits for its answer."""

    async def ask() -> Heads:
        app, made = http.application(), Heads()

        async def later(request: web.Request) -> web.Response:
            return web.Response(text=f"now {await request.text()}", headers={"Connection": "keep-alive"})

        app.router.add_route("*", "/{path:.*}", later)
        app[QUICK], app[AGAIN], app[CROWD] = made.answer, made, Crowd(lambda _: None)
        async with http.serving(app, tcp=[("127.0.0.1", 0)]) as places:
            reader, writer = await asyncio.open_connection(*places[0])
            for piece in said:
                before = len(made.offered)
                writer.write(piece)
                async with asyncio.timeout(20):
                    if piece.endswith(END):
                        await reader.readuntil(b"now")
                    else:
                        while len(made.offered) == before:  # noqa: ASYNC110 (nobody tells)
                            await asyncio.sleep(0)
            writer.close()
            await writer.wait_closed()
        return made

    return asyncio.run(ask())


END = b"\r\n\r\n"
ONE, LATER, OFF = ((ASK % name).encode() for name in ("now", "later", "put-off"))


def test_a_head_that_was_read_before_is_not_read_again():
    """By its bytes; who answers it is told whether anything else was written since."""
    made = heads(ONE, ONE, ONE, LATER, ONE, ONE)
    assert made.read == ["/now", "/later"]
    now, later = b"GET /now", b"GET /later"
    assert made.offered == [(now, False), (now, False), (now, True), (later, True), (now, False), (now, True)]


@pytest.mark.parametrize(
    ("before", "offered"),
    [
        ([ONE[:9]], [ONE[:9]]),  # the beginning of the same request
        ([b"POST /later HTTP/1.1\r\nHost: box\r\nContent-Length: 9\r\n\r\n12345"], [b"POST /later"]),  # of a body
    ],
)
def test_what_is_no_beginning_is_not_offered(before, offered):
    """What a request goes on with may look like one."""
    made = heads(ONE, *before, ONE[9:] if before == [ONE[:9]] else END, ONE)
    assert [data for data, _ in made.offered] == [
        b"GET /now",
        *offered,
        *([b"GET /now"] if before == [ONE[:9]] else []),
    ]


def test_several_in_one_piece_are_read():
    """Each is answered in its turn, and what says two requests is not taken for one."""
    made = heads(ONE, ONE + ONE, ONE)
    assert made.read == ["/now"] * 3
    assert ONE + ONE not in made.known


def test_what_comes_behind_an_answer_that_is_put_off_is_read():
    """Until then the connection is not where it was."""
    made = heads(ONE, OFF, ONE, ONE)
    assert made.read == ["/now", "/put-off", "/now"]
    assert made.offered[-1] == (b"GET /now", False)
