"""The part of the guard that deliveries ask, for one zone in the namespace of the test itself. Needs root."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

from gateway.isolation import policy as policies
from gateway.isolation.cutting_api import Places

PATIENCE = 10.0  # seconds

POLICY = """\
site: scratch
zones:
  management: {{port: "02:68:67:28:00:0b", addresses: [127.40.0.11/24]}}
  {zone}: {{port: "02:68:67:14:00:0b", addresses: [{address}/24]}}
services:
  delivery: {{zone: {zone}, run: delivery, listen: tcp/{port}, from: [{network}]}}
never:
  - {{from: {zone}, to: management}}
"""


class Here:
    """A kernel whose one zone is the namespace we are in."""

    def __init__(self, zone: str) -> None:
        self._zone = zone

    def zones(self) -> list[str]:
        return [self._zone]

    def inode(self, zone: str) -> int:
        return 1

    def inside(self, zone: str, work: Callable[[], Any]) -> Any:
        return work()


@contextlib.contextmanager
def guarding(folder: Path, zone: str, address: str, port: int) -> Iterator[Path]:
    """Serve the delivery of ``zone`` at ``address`` and ``port``; yield the socket at which it asks, below ``folder``."""
    network = str(ip_interface(f"{address}/24").network)
    text = POLICY.format(zone=zone, address=address, port=port, network=network)
    policy = policies.parse(text.encode(), "scratch.yaml")
    path = folder / f"delivery-{zone}" / "cut.sock"
    loop, up, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def serve() -> None:
        places = Places(folder, Here(zone), lambda: policy)  # type: ignore[arg-type]
        await places.follow()
        up.set()
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(places.run())
            await stop.wait()
            running.cancel()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert up.wait(PATIENCE)
        yield path
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE)
        loop.close()
        assert not thread.is_alive()
