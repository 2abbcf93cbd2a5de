"""Delivery's cache of plain origins in a process of its own, which asks the origin itself: ``python -m tests.server.web.direct``."""

import argparse
import asyncio
import contextlib
import contextvars
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
from aiohttp import web
from yarl import URL

from appliance.runtime import http
from appliance.runtime.errors import Unreachable
from appliance.telemetry.records import Record
from gateway.caching.disk import Disk
from gateway.caching.filling import Filling
from gateway.caching.kept import Kept
from gateway.caching.shelf import Shelf
from gateway.delivery.metering.meter import Meter
from gateway.delivery.web import Origin, WebCache
from gateway.web.heads import lenient
from gateway.web.wire import WebAnswer, WebRequest

IDLE = 1.0  # seconds that a connection may wait for a request; origins close theirs after some, unseen until one is on its way


class Noting(aiohttp.ClientResponse):
    """aiohttp's, which tells of the interim responses that it passes over."""

    async def start(self, connection):
        protocol, read = connection.protocol, connection.protocol.read

        async def noting():
            message, payload = await read()
            if 101 < message.code < 200:
                fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.raw_headers]
                await Direct.telling.get()(message.code, fields)
            return message, payload

        protocol.read = noting
        try:
            return await super().start(connection)
        finally:
            del protocol.read


class Direct:
    """Asks one origin, whatever the host."""

    telling: contextvars.ContextVar = contextvars.ContextVar("telling")

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self.session = aiohttp.ClientSession(
            auto_decompress=False,
            response_class=Noting,
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=lenient(aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE)),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )

    @contextlib.asynccontextmanager
    async def ask(self, request: WebRequest, interim=None) -> AsyncIterator[WebAnswer]:
        self.telling.set(interim)
        url = URL(self._origin + request.target, encoded=True)
        sent = [(name, value.encode("latin-1").decode()) for name, value in request.headers]
        try:
            async with self.session.request(
                request.method, url, headers=sent, data=request.body or None, allow_redirects=False
            ) as answer:
                fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.raw_headers]
                yield WebAnswer(answer.status, answer.reason or "", fields, [], _chunks(answer))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"the origin does not answer: {error}") from error


async def _chunks(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.content.iter_any():
            yield chunk
    except aiohttp.ClientError as error:
        raise Unreachable(f"the origin broke off: {error}") from error


async def _take(records: Sequence[Record]) -> None:
    """Take records of use, of which the suite asks nothing."""


@contextlib.asynccontextmanager
async def cache(folder: Path, origin: str, host: str, port: int, **limits: int) -> AsyncIterator[WebCache]:
    """Serve ``origin`` at ``host:port`` through a cache in ``folder``."""
    direct, origins = Direct(origin), {host: Origin("suite")}
    with tempfile.TemporaryDirectory() as use:
        meter = Meter(Path(use), "bigscreen", "big", _take, int, survive=False)
        async with direct.session, asyncio.TaskGroup() as tasks:
            kept, counting = Kept(Disk(folder), Shelf(**limits), tasks), tasks.create_task(meter.run())
            cached = WebCache("bigscreen", origins.get, kept, Filling(kept, direct, tasks), meter, tasks)
            app = web.Application(middlewares=[http.errors, cached.middleware])
            app[http.LOST] = meter.lost
            async with http.serving(app, tcp=[(host, port)]):
                yield cached
            counting.cancel()
        await kept.close()


async def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("folder", "origin", "host"):
        parser.add_argument(name)
    parser.add_argument("port", type=int)
    given = parser.parse_args()
    async with cache(Path(given.folder), given.origin, given.host, given.port):
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
