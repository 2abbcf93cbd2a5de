"""Large objects that are known: who gets them, what becomes of an answer that is broken off, and of a disk that does not give them."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from types import SimpleNamespace

import pytest
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from prometheus_client import CollectorRegistry
from yarl import URL

from appliance.runtime.quick import Later
from gateway.delivery.hot import Hot
from gateway.delivery.large import Answers
from gateway.delivery.line import Line
from gateway.delivery.metering.meter import Meter
from gateway.delivery.quality import Quality
from gateway.release.manifest import File
from gateway.serving.exchange import Manifest
from gateway.serving.running import Running
from gateway.store.objects import Objects

CODE, PATH, TARGET = "999999-1", "1.m4s", "/r/999999-1/1.m4s"
DATA = os.urandom(1 << 20)
SHA256 = hashlib.sha256(DATA).hexdigest()
FILE = File(sha256=SHA256, size=len(DATA), type="video/mp4")
MANIFEST = Manifest(release=CODE, version=1, body="library", title="t", entry=PATH, files={PATH: FILE}, digest="d")
ASKED = SimpleNamespace(headers=CIMultiDictProxy(CIMultiDict(Host="box")), path=TARGET, url=URL(TARGET))


class Exchange:
    """One that allows the object until it is told that it is damaged."""

    def __init__(self) -> None:
        self.damages: list[str] = []

    def is_fresh(self, *_: object) -> bool:
        return True

    def allows(self, *_: object) -> bool:
        return not self.damages

    async def damaged(self, _: Manifest, path: str) -> None:
        self.damages.append(path)


class Box:
    """What answers, over one connection with little room, and has learned the object."""

    def __init__(self, folder, transport) -> None:
        self.exchange, self.running, self.sent = Exchange(), Running(), list[str]()
        store, line = Objects(folder), Line()
        store.prepare()
        self.path = store.path(SHA256)
        self.path.parent.mkdir()
        self.path.write_bytes(DATA)

        async def hand_over(_: object) -> None: ...

        meter = Meter(folder / "metering", "bigscreen", "big", hand_over, lambda: None, survive=False)
        self.large = Answers("bigscreen", self.exchange, line, self.running, lambda link, delay: '"box"')
        quality = Quality("bigscreen", CollectorRegistry())
        self.hot = Hot(
            "bigscreen",
            store,
            self.exchange,
            meter,
            quality,
            line,
            self.large,
            lambda _, path, __: self.sent.append(path),
        )
        self.transport = transport
        request = SimpleNamespace(method="GET", raw_path=TARGET, headers=ASKED.headers, url=URL(TARGET))
        response = web.StreamResponse(headers={"ETag": f'"{SHA256}"', "CMSD-Static": "ot=v"})
        self.hot.learn(request, response, MANIFEST, CODE, PATH)

    def answer(self):
        later = self.hot.answer(ASKED, self.transport)
        return later.write() if isinstance(later, Later) else later


@pytest.fixture
def play(tmp_path):
    """Runs a scene with a box and the screen's end of its connection."""

    def run(scene) -> None:
        async def main() -> None:
            loop, made = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

            class Server(asyncio.Protocol):
                def connection_made(self, transport) -> None:
                    made.set_result(transport)

            server = await loop.create_server(Server, "127.0.0.1", 0)
            with socket.socket() as screen:
                screen.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                screen.setblocking(False)
                await loop.sock_connect(screen, server.sockets[0].getsockname())
                transport = await made
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
                box = Box(tmp_path, transport)
                await asyncio.wait_for(scene(box, screen), 20)
                box.hot.forget()
            transport.abort()
            server.close()
            await server.wait_closed()

        asyncio.run(main())

    return run


async def read(screen: socket.socket) -> bytes:
    loop, got = asyncio.get_running_loop(), b""
    try:
        while not got.endswith(DATA[-100:]) and (part := await loop.sock_recv(screen, 1 << 16)):
            got += part
    except ConnectionError:
        pass
    return got


def test_a_slow_screen_is_one_of_those_under_way_until_it_has_all(play):
    """What is left is ended by what ``answer`` returns; whoever asks what comes next hears of it then."""

    async def scene(box: Box, screen: socket.socket) -> None:
        rest = box.answer()
        assert callable(rest)
        assert not box.sent
        got, _ = await asyncio.gather(read(screen), rest())
        head, _, body = got.partition(b"\r\n\r\n")
        assert body == DATA
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert f"Content-Length: {len(DATA)}".encode() in head
        assert b'CMSD-Dynamic: "box"' in head
        assert box.sent == [PATH]
        assert box.running.cut([CODE]) == 0

    play(scene)


def test_what_is_put_off_is_written_once_when_somebody_wants_that_now(play):
    """A withdrawal has all of it begun, so that it is cut; who put it off gets its rest all the same."""

    async def scene(box: Box, screen: socket.socket) -> None:
        later = box.hot.answer(ASKED, box.transport)
        assert box.running.cut([CODE]) == 0
        box.large.write()
        assert box.running.cut([CODE]) == 1
        got, _ = await asyncio.gather(read(screen), later.write()())
        assert got.count(b"HTTP/1.1 200 OK") == 1
        assert len(got) < len(DATA)

    play(scene)


def test_what_was_put_off_for_a_lost_connection_is_not_written(play):
    """Nothing is sent, and nothing is left to be ended."""

    async def scene(box: Box, _: socket.socket) -> None:
        later = box.hot.answer(ASKED, box.transport)
        box.large.lost(box.transport)
        assert later.write() is None
        assert not box.sent

    play(scene)


def test_what_is_withdrawn_is_broken_off_though_its_rest_has_not_begun(play):
    """From the first byte it is one of those that are cut."""

    async def scene(box: Box, screen: socket.socket) -> None:
        rest = box.answer()
        assert box.running.cut([CODE]) == 1
        got, _ = await asyncio.gather(read(screen), rest())
        assert len(got) < len(DATA)
        assert not box.sent
        assert not box.exchange.damages

    play(scene)


def test_a_lost_connection_takes_its_answer_along(play):
    """Nothing more is sent, also where its rest never begins."""

    async def scene(box: Box, _: socket.socket) -> None:
        rest = box.answer()
        box.large.lost(box.transport)
        await rest()
        assert box.running.cut([CODE]) == 0
        assert not box.sent
        assert not box.exchange.damages

    play(scene)


def test_a_disk_that_does_not_give_it_is_told_and_not_asked_again(play):
    """The answer breaks off, the exchange hears why, and the next request goes the long way."""

    async def scene(box: Box, screen: socket.socket) -> None:
        rest = box.answer()
        os.truncate(box.path, 500_000)
        got, _ = await asyncio.gather(read(screen), rest())
        assert len(got) < len(DATA)
        assert box.exchange.damages == [PATH]
        assert box.answer() is False

    play(scene)
