"""A daemon's one TCP address or Unix socket: served until the daemon ends, and at another one as soon as a new policy names it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from appliance.runtime import http
from appliance.runtime.service import Service

log = logging.getLogger("headgate.service")


Place = tuple[str, int] | Path
MODE = 0o660  # of a Unix socket: who may enter its folder by its group may speak there


class Listening:
    """Where a daemon listens: (address, port), or a Unix socket."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._moved = asyncio.Event()

    def move(self, place: Place) -> None:
        """Listen at ``place`` from now on; connections elsewhere end as they do when the daemon stops."""
        self.place = place
        self._moved.set()

    async def serve(self, service: Service, application: Callable[[], web.Application], doing: str) -> None:
        """Serve an application until the daemon is told to stop; ``doing`` tells the log and systemd what it does there."""
        stopped = service.tasks.create_task(service.stopped())
        while not stopped.done():
            here = self.place
            if isinstance(here, Path):
                serving, told = http.serving(application(), unix=[(here, MODE)]), f"{doing} at {here}"
            else:
                serving, told = http.serving(application(), tcp=[here]), f"{doing} at {here[0]} port {here[1]}"
            async with serving:
                log.info("%s", told)
                service.ready(told)
                while self.place == here and not stopped.done():
                    self._moved.clear()
                    moved = service.tasks.create_task(self._moved.wait())
                    await asyncio.wait({stopped, moved}, return_when=asyncio.FIRST_COMPLETED)
                    moved.cancel()
