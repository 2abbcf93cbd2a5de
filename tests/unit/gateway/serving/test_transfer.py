"""Bytes of a file on their way: all of them, in order, to whoever takes them, and told how far they came to whoever does not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

import pytest

from gateway.serving.running import shut
from gateway.serving.transfer import Transfer

HEAD = b"head"
DATA = os.urandom(3 << 20)


class Screen:
    """A connection with little room, of which the box has the transport."""

    async def __aenter__(self):
        loop, made = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

        class Box(asyncio.Protocol):
            def connection_made(self, transport) -> None:
                made.set_result(transport)

        self._server = await loop.create_server(Box, "127.0.0.1", 0)
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.setblocking(False)
        await loop.sock_connect(self._socket, self._server.sockets[0].getsockname())
        self.transport = await made
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._socket.close()
        self.transport.abort()
        self._server.close()
        await self._server.wait_closed()

    async def read(self, count: int) -> bytes:
        """Return so many bytes, or fewer at the end."""
        loop, got = asyncio.get_running_loop(), b""
        while len(got) < count and (data := await loop.sock_recv(self._socket, count - len(got))):
            got += data
        return got


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "object"
    path.write_bytes(DATA)
    with path.open("rb", buffering=0) as opened:
        yield opened


def test_a_slow_screen_gets_all_in_order(file):
    """What does not go at once goes as there is room, though whoever had the file open lets it go."""

    async def play() -> None:
        async with Screen() as screen:
            transfer = Transfer(screen.transport, file, 1000, 2 << 20)
            assert not transfer.begin(HEAD, memoryview(DATA)[1000 : 1000 + (2 << 20)])
            assert 0 < transfer.sent < 2 << 20
            file.close()
            rest = asyncio.ensure_future(transfer.finish())
            assert await screen.read(len(HEAD) + (2 << 20)) == HEAD + DATA[1000 : 1000 + (2 << 20)]
            assert await rest
            assert transfer.whole
            assert transfer.sent == 2 << 20

    asyncio.run(play())


def test_what_has_room_goes_at_once(file):
    """Nothing is left to be done for what the connection takes."""

    async def play() -> None:
        async with Screen() as screen:
            transfer = Transfer(screen.transport, file, 0, 100)
            assert transfer.begin(HEAD, memoryview(DATA)[:100])
            assert await transfer.finish()
            assert await screen.read(104) == HEAD + DATA[:100]

    asyncio.run(play())


def test_a_connection_that_is_full_gets_the_head_first(file):
    """An earlier answer may fill the connection: then not even the head goes at once."""

    async def play() -> None:
        async with Screen() as screen:
            full = 0
            descriptor = screen.transport.get_extra_info("socket").fileno()
            with contextlib.suppress(BlockingIOError):
                while True:
                    full += os.write(descriptor, bytes(1 << 16))
            transfer = Transfer(screen.transport, file, 0, 1 << 20)
            assert not transfer.begin(HEAD, memoryview(DATA)[: 1 << 20])
            assert transfer.sent == 0
            rest = asyncio.ensure_future(transfer.finish())
            assert await screen.read(full) == bytes(full)
            assert await screen.read(4 + (1 << 20)) == HEAD + DATA[: 1 << 20]
            assert await rest

    asyncio.run(play())


@pytest.mark.parametrize("end", ["shut", "close", "leave", "too slow"])
def test_it_ends_where_the_connection_does(file, end, monkeypatch):
    """Cut by us, let go by us, left by the screen, too slow: it ends at once, tells how far it came, and blames no disk."""
    if end == "too slow":
        monkeypatch.setattr("gateway.serving.transfer.GRACE", 0.05)
        monkeypatch.setattr("gateway.serving.transfer.SLOWEST", 1 << 30)

    async def play() -> None:
        async with Screen() as screen:
            transfer = Transfer(screen.transport, file, 0, len(DATA))
            assert not transfer.begin(HEAD, memoryview(DATA))
            rest = asyncio.ensure_future(transfer.finish())
            await screen.read(1000)
            match end:
                case "shut":
                    shut(screen.transport)
                case "close":
                    transfer.close()
                case "leave":
                    screen._socket.close()
            assert await asyncio.wait_for(rest, 20)
            assert 0 < transfer.sent < len(DATA)
            assert transfer.late == (end == "too slow")

    asyncio.run(play())


def test_a_file_that_is_not_given_is_told(file):
    """Where the disk gives less than there was, it is the disk's fault."""

    async def play() -> None:
        async with Screen() as screen:
            transfer = Transfer(screen.transport, file, 0, len(DATA))
            assert not transfer.begin(HEAD, memoryview(DATA))
            os.truncate(file.name, transfer.sent)
            rest = asyncio.ensure_future(transfer.finish())
            assert len(await screen.read(4 + transfer.sent)) == 4 + transfer.sent
            assert not await asyncio.wait_for(rest, 20)

    asyncio.run(play())
