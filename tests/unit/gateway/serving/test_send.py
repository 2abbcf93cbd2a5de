"""An object that is on its way: what each screen that waits for it gets first, and what is told of that."""

from __future__ import annotations

import asyncio
import contextlib
import os

from aiohttp import web

from appliance.runtime import http
from gateway.serving import send as sends
from gateway.serving.coming import Coming, Growing, Object
from gateway.serving.send import FIRST, LAST, is_readable, send
from gateway.store.objects import Objects

DATA = os.urandom(1 << 20)


def test_each_who_waits_gets_its_head_with_the_first_bytes_before_one_gets_more(tmp_path, monkeypatch):
    """Head and first bytes are one write, of which the head's bytes are told to who counts; all is what it is."""
    path, order, heads = tmp_path / "object", list[str](), list[int]()
    path.write_bytes(DATA)
    read, sendfile = sends._read, sends._sendfile

    def reading(*told):
        order.append("first")
        return read(*told)

    async def sending(*told):
        order.append("more")
        return await sendfile(*told)

    monkeypatch.setattr(sends, "_read", reading)
    monkeypatch.setattr(sends, "_sendfile", sending)

    class Counting:
        def content(self, status: int, count: int, ahead: int = 0) -> None:
            assert (status, count) == (200, len(DATA))
            heads.append(ahead)

    async def play(screens: int) -> list[bytes]:
        coming, waiting = Coming(), 0
        coming.began(Object("0" * 64, len(DATA), "video/mp4"), None, stored=False)

        async def answer(request: web.Request) -> web.StreamResponse:
            nonlocal waiting
            with path.open("rb", buffering=0) as file:
                waiting += 1
                request[LAST] = "Last", lambda: f"of {waiting}"
                if waiting == screens:
                    asyncio.get_running_loop().call_soon(coming.end, None)
                return (await send(request, 200, {}, file, 0, len(DATA), coming, Counting()))[0]

        app = http.application()
        app.router.add_get("/", answer)
        async with http.serving(app, tcp=[("127.0.0.1", 0)]) as places, contextlib.AsyncExitStack() as stack:
            streams = [await asyncio.open_connection(*places[0]) for _ in range(screens)]
            for _, writer in streams:
                stack.callback(writer.close)
                writer.write(b"GET / HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n")
            return list(await asyncio.gather(*(asyncio.wait_for(reader.read(), 20) for reader, _ in streams)))

    for got in asyncio.run(play(3)):
        head, _, body = got.partition(b"\r\n\r\n")
        assert body == DATA
        assert heads.pop() == len(head) + 4
        assert head.endswith(b"\r\nLast: of 3")  # said when the first byte was there
    assert not heads
    assert order[:3] == ["first"] * 3
    assert set(order[3:]) == {"more"}
    assert len(DATA) > FIRST


def test_what_cannot_be_opened_behind_its_first_bytes_breaks_off_and_nothing_is_taken_for_content(
    tmp_path, monkeypatch
):
    """The disk gives what a crowd begins with, and then not the object: no answer of an error follows in its place."""
    (tmp_path / "incoming").mkdir()
    path, read, readable = tmp_path / "incoming" / "name", sends._read, list[bool]()
    path.write_bytes(DATA)

    def reading(*told):
        got = read(*told)
        path.unlink()
        return got

    monkeypatch.setattr(sends, "_read", reading)

    async def play() -> bytes:
        what, coming = Object("0" * 64, len(DATA), "video/mp4"), Coming()
        coming.began(what, "name", stored=False)
        coming.advance(len(DATA))

        async def answer(request: web.Request) -> web.StreamResponse:
            with Growing(coming, what, Objects(tmp_path), tmp_path / "incoming", lambda: None) as growing:
                response, sent = await send(request, 200, {}, growing, 0, len(DATA), coming)
                readable.append(is_readable(growing, sent))
                return response

        app = http.application()
        app.router.add_get("/", answer)
        async with http.serving(app, tcp=[("127.0.0.1", 0)]) as places:
            reader, writer = await asyncio.open_connection(*places[0])
            writer.write(b"GET / HTTP/1.1\r\nHost: box\r\n\r\n")
            got = b""
            with contextlib.suppress(ConnectionResetError):
                while part := await asyncio.wait_for(reader.read(1 << 20), 20):
                    got += part
            writer.close()
            return got

    head, _, body = asyncio.run(play()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert body == DATA[:FIRST]
    assert readable == [False]
