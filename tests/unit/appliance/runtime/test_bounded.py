"""Connections of whoever likes: bounded in number, time and head; what is refused is told with its reason."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from appliance.runtime import http
from appliance.runtime.bounded import CROWD, Connection, Crowd, _site
from appliance.runtime.quick import QUICK

PLENTY = 20.0  # seconds
ASK = b"GET / HTTP/1.1\r\nHost: box\r\n\r\n"
LONG = 10 << 20  # bytes of an answer that no socket holds


class Server:
    """A server with small bounds; ``told`` are the reasons of its refusals."""

    def __init__(self, **bounds: float) -> None:
        self.told: list[str] = []
        self.crowd = Crowd(self.told.append, **bounds)  # type: ignore[arg-type]  (of the table's own kinds)
        self.place = ("", 0)
        self.taken = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.go = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a request: with its body, with much, or once it may."""
        self.taken += 1
        if request.path == "/wait":
            await self.go.wait()
        if request.path == "/wrong":
            raise RuntimeError("our own mistake")
        return web.Response(body=bytes(LONG) if request.path == "/long" else await request.read() or b"ok")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Server]:
        """Serve."""
        app = http.application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        app[CROWD] = self.crowd
        async with http.serving(app, tcp=[("127.0.0.1", 0)]) as places, asyncio.timeout(PLENTY):
            self.place = places[0]
            yield self
            for writer in self.writers:
                writer.close()
            await asyncio.gather(*(writer.wait_closed() for writer in self.writers), return_exceptions=True)
            await until(lambda: not self.crowd.here)

    async def connect(self, source: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect from an address."""
        reader, writer = await asyncio.open_connection(*self.place, local_addr=(source, 0))
        self.writers.append(writer)
        return reader, writer

    async def said(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        """Return status, reason and all that is said to ``data`` until the connection is closed."""
        reader, writer = await self.connect()
        writer.write(data)
        got = await reader.read()
        head, _, body = got.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body), got


async def until(condition) -> None:
    while not condition():  # noqa: ASYNC110 (what is waited for is no event)
        await asyncio.sleep(0.005)


async def answered(reader: asyncio.StreamReader) -> bool:
    """Return whether the next answer says ok."""
    return b" 200 " in await reader.readuntil(b"\r\n\r\n") and await reader.readexactly(2) == b"ok"


async def test_so_many_connections_of_an_address_and_of_all():
    """One more is told so and closed; one that ends makes room; another address has its own share."""
    async with Server(connections=4, of_address=3).running() as server:
        open_now = [await server.connect() for _ in range(3)]
        await until(lambda: server.crowd.here.total() == 3)
        reader, _ = await server.connect()
        refusal = await reader.read()
        assert refusal.startswith(b"HTTP/1.1 503 ")
        assert b'"too-many-of-address"' in refusal
        await server.connect("127.0.0.2")
        await until(lambda: server.crowd.here.total() == 4)
        reader, _ = await server.connect("127.0.0.3")
        assert b'"too-many-connections"' in await reader.read()
        assert server.told == ["too-many-of-address", "too-many-connections"]
        open_now[0][1].close()
        await until(lambda: server.crowd.here["127.0.0.1"] == 2)
        reader, writer = await server.connect()
        writer.write(ASK)
        assert await answered(reader)


async def test_an_idle_connection_is_closed_and_a_slow_head_is_told_of():
    """Both end after the same time; only a head that began is a refusal. Who goes on asking stays."""
    async with Server(idle=0.3).running() as server:
        idle, _ = await server.connect()
        slow, writer = await server.connect()
        busy, asking = await server.connect()
        writer.write(ASK[:20])
        ended = asyncio.gather(idle.read(), slow.read())
        while not ended.done():
            asking.write(ASK)
            assert await answered(busy)
            await asyncio.sleep(0.02)
        assert await ended == [b"", b""]
        assert server.told == ["too-slow"]


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (ASK[:-2] + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 1000) for n in range(60)) + b"\r\n", 431, "head-too-long"),
        (ASK[:-2] + b"X: " + b"x" * 9000 + b"\r\n\r\n", 431, "head-too-long"),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: box\r\n\r\n", 431, "head-too-long"),
        (ASK[:-2] + b"X: 1\r\n" * 200 + b"\r\n", 400, "bad-http"),
        (ASK[:-2] + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "bad-http"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "bad-http"),
    ],
)
async def test_a_head_that_is_none_is_refused(caplog, data, status, reason):
    """In our words, without the software's name, counted once, the connection closed, and no line in the log for each."""
    async with Server().running() as server:
        said, told, whole = await server.said(data)
        assert (said, told["reason"]) == (status, reason)
        assert told["error"]
        assert b"aiohttp" not in whole
        assert server.told == [reason]
        assert server.taken == 0
        assert not caplog.records


async def test_a_long_body_is_no_long_head():
    """What a request's body has is not counted for the next head."""
    async with Server().running() as server:
        reader, writer = await server.connect()
        body = b"x" * 300_000
        writer.write(b"PUT / HTTP/1.1\r\nHost: box\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(len(body)) == body
        writer.write(ASK)
        assert await answered(reader)
        assert not server.told


async def test_no_more_is_read_behind_requests_that_wait():
    """A connection that asks on and on while its first request takes its time holds a few kilobytes of them."""
    async with Server().running() as server:
        reader, writer = await server.connect()
        writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 << 10)
        ask = ASK[:-2] + b"X: " + b"x" * 4000 + b"\r\n\r\n"
        writer.write(ASK.replace(b"/ ", b"/wait ") + ask * 2000)
        await until(lambda: server.taken == 1)
        handler = next(one for one in gc.get_objects() if isinstance(one, Connection) and one.transport is not None)
        await until(lambda: handler._buffer_paused)
        assert len(handler._messages) <= 8
        assert writer.transport.get_write_buffer_size() > 2 << 20  # most of it was not taken
        server.go.set()
        for _ in range(2001):
            assert await answered(reader)


async def test_a_peer_that_takes_nothing_is_broken_off():
    """The kernel ends the connection, and that is told."""
    async with Server(stalled=0.5).running() as server:
        channel = socket.socket()
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        channel.setblocking(False)
        await asyncio.get_running_loop().sock_connect(channel, server.place)
        await asyncio.get_running_loop().sock_sendall(channel, ASK.replace(b"/ ", b"/long "))
        await until(lambda: server.told)
        assert server.told == ["too-slow"]
        await until(lambda: not server.crowd.here)
        channel.close()


async def test_an_answer_that_is_not_taken_does_not_outlive_an_idle_connection():
    """Who reads nothing of what was answered at once is broken off when its time is over, not waited for."""
    server = Server(idle=0.3)
    app = http.application()
    app[CROWD] = server.crowd
    app[QUICK] = lambda _, transport: transport.write(bytes(LONG)) or True
    async with http.serving(app, tcp=[("127.0.0.1", 0)]) as places, asyncio.timeout(PLENTY):
        server.place = places[0]
        channel = socket.create_connection(server.place)
        channel.sendall(ASK)
        await until(lambda: server.crowd.here)
        await until(lambda: not server.crowd.here)
        channel.close()


async def test_our_own_mistake_is_logged_and_counted(caplog):
    """A handler that fails is no fault of the screen's: it is in the log."""
    async with Server().running() as server:
        reader, writer = await server.connect()
        writer.write(ASK.replace(b"/ ", b"/wrong "))
        assert b" 500 " in await reader.readuntil(b"\r\n\r\n")
        assert server.told == ["failed"]
        assert "our own mistake" in caplog.text


def test_neighbours_of_an_ipv6_network_are_one():
    """A household has 2**64 addresses of its own."""
    crowd = Crowd(lambda _: None, of_address=1)
    assert crowd.enter(_site("2001:db8::1")) == ""
    assert crowd.enter(_site("2001:db8::ffff:1%eth0")) == "too-many-of-address"
    assert crowd.enter(_site("2001:db8:0:1::1")) == ""
