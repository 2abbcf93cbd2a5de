"""Delivery's cache of plain origins in a process of its own, which asks the origin itself: ``python -m tests.server.web.direct``."""

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from appliance.runtime import http
from gateway.caching.asking import WebAnswer, WebRequest
from gateway.caching.disk import Disk
from gateway.caching.filling import Filling
from gateway.caching.kept import Kept
from gateway.caching.shelf import Shelf
from gateway.delivery.web import WebCache
from gateway.fetch.plain import Plain


class Direct:
    """Asks one origin, whatever the host."""

    def __init__(self, origin: str, plain: Plain) -> None:
        self._origin, self._plain = origin, plain

    def ask(self, request: WebRequest) -> contextlib.AbstractAsyncContextManager[WebAnswer]:
        return self._plain.ask(self._origin, request)


@contextlib.asynccontextmanager
async def cache(folder: Path, origin: str, host: str, port: int, **limits: int) -> AsyncIterator[WebCache]:
    """Serve ``origin`` at ``host:port`` through a cache in ``folder``."""
    async with Plain() as plain, asyncio.TaskGroup() as tasks:
        kept = Kept(Disk(folder), Shelf(**limits), tasks)
        cached = WebCache("bigscreen", {f"{host}:{port}"}, kept, Filling(kept, Direct(origin, plain), tasks), tasks)
        app = web.Application(middlewares=[http.errors, cached.middleware])
        async with http.serving(app, tcp=[(host, port)]):
            yield cached
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
