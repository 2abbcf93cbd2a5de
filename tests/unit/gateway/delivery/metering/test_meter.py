"""Whole answers that are written and metered in one step."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from appliance.runtime.errors import Refused
from gateway.delivery.metering import meter as metering
from gateway.delivery.metering import span as spans
from gateway.delivery.metering.delivery import What
from gateway.delivery.metering.meter import Meter

WHAT = What("999999-1-4", "1.m4s", "library", "bigscreen", "big", 200, "hit")
HEAD, CONTENT = b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 5000


class Screen(asyncio.Protocol):
    """The box's side of a screen's connection."""

    def __init__(self) -> None:
        self.there: asyncio.Future[asyncio.Transport] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport) -> None:
        self.there.set_result(transport)


@contextlib.asynccontextmanager
async def connected(folder):
    """Yield a meter, a transport to a screen, and what the screen reads with."""
    meter, made = Meter(folder, "bigscreen", "big", None, None, survive=False), Screen()  # type: ignore[arg-type]
    server = await asyncio.get_running_loop().create_server(lambda: made, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    transport = await made.there
    try:
        yield meter, transport, reader
    finally:
        transport.abort()
        writer.close()
        server.close()


def counted(meter):
    """Return requests, broken ones and bytes so far."""
    return [(what, figures.requests, figures.broken, figures.sent) for what, figures in meter._ledger.window.cells()]


async def test_an_answer_is_counted_once_its_content_has_left(tmp_path):
    """Its head is none of it."""
    async with connected(tmp_path) as (meter, transport, reader):
        for number in (1, 2):
            meter.write(transport, WHAT, HEAD + CONTENT, len(CONTENT))
            assert await reader.readexactly(len(HEAD + CONTENT)) == HEAD + CONTENT
            async with asyncio.timeout(10):
                while not meter._streams[transport].settle():  # noqa: ASYNC110 (the kernel tells nobody)
                    await asyncio.sleep(0)
            assert counted(meter) == [(WHAT, number, 0, number * len(CONTENT))]


async def test_an_answer_without_content_is_a_delivery_too(tmp_path):
    async with connected(tmp_path) as (meter, transport, reader):
        meter.write(transport, WHAT, HEAD, 0)
        assert await reader.readexactly(len(HEAD)) == HEAD
        assert counted(meter) == [(WHAT, 1, 0, 0)]


async def test_who_reads_nothing_is_written_no_more(tmp_path, monkeypatch):
    """Nothing of the next answer is written or counted."""
    monkeypatch.setattr(metering, "MOST_UNREAD", 3)
    large = bytes(8 << 20)  # more than the kernel keeps
    async with connected(tmp_path) as (meter, transport, _):
        for _ in range(3):
            meter.write(transport, WHAT, large, len(large))
        waiting = transport.get_write_buffer_size()
        with pytest.raises(Refused, match="read what was asked for before"):
            meter.write(transport, WHAT, HEAD + CONTENT, len(CONTENT))
        assert transport.get_write_buffer_size() == waiting
        assert len(meter._streams[transport].spans) == 3


async def test_what_follows_another_is_counted_without_asking_where_the_connection_is(tmp_path, monkeypatch):
    """Every so many the kernel is asked, so that what has left is counted; the sum is the same."""
    asked = 0
    look = spans.stream.position

    def counting(connection):
        nonlocal asked
        asked += 1
        return look(connection)

    monkeypatch.setattr(spans.stream, "position", counting)
    async with connected(tmp_path) as (meter, transport, reader):
        for number in range(3 * spans.UNSEEN):
            meter.write(transport, WHAT, HEAD + CONTENT, len(CONTENT), alone=number > 0)
            assert await reader.readexactly(len(HEAD + CONTENT)) == HEAD + CONTENT
        assert asked < 6
        assert len(meter._streams[transport].spans) <= spans.UNSEEN + 1
        transport.write(b"something else")
        meter.write(transport, WHAT, HEAD + CONTENT, len(CONTENT))
        meter.write(transport, WHAT, HEAD + CONTENT, len(CONTENT), alone=True)
        await reader.readexactly(len(b"something else") + 2 * len(HEAD + CONTENT))
        async with asyncio.timeout(10):
            while not meter._streams[transport].settle():  # noqa: ASYNC110 (the kernel tells nobody)
                await asyncio.sleep(0)
        requests = 3 * spans.UNSEEN + 2
        assert counted(meter) == [(WHAT, requests, 0, requests * len(CONTENT))]
