"""``headgate run publish --zone institution``: takes releases from an institution's network and its watched folder to the exchange."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path

from appliance.runtime import http, metrics
from appliance.runtime.errors import ConfigError, Fault
from appliance.runtime.places import RUN, STATE
from appliance.runtime.service import Service
from gateway.isolation import policy as policies
from gateway.isolation.policy import Policy
from gateway.publish import desk as desks
from gateway.publish import metrics as counted
from gateway.publish.desk import Desk
from gateway.publish.drop import Drop
from gateway.publish.exchange import Exchange
from gateway.publish.inbox import Inbox
from gateway.publish.server import Server

SHARE = 4  # unfinished uploads take at most this part of their disk
log = logging.getLogger("headgate.publish")


def check(config: Path, zone: str | None) -> None:
    """Read the policy as the start does.

    Raises:
        ConfigError: it is wrong, or names no publish in ``zone``.
    """
    _listen(policies.load(config), config, zone)


def _listen(policy: Policy, config: Path, zone: str | None) -> tuple[str, int]:
    service = policy.service_of(zone, "publish") if zone else None
    if service is None:
        raise ConfigError(
            [Fault(str(config), 1, 1, "services", f"no service with 'run: publish' in the zone '{zone}'")]
        )
    return service.address, service.port


def largest(folder: Path) -> int:
    """Return the bytes that unfinished uploads may take in ``folder``."""
    disk = os.statvfs(folder)
    return disk.f_blocks * disk.f_frsize // SHARE


async def main(service: Service, config: Path, zone: str | None) -> None:
    """Serve the institution until told to stop."""
    policy = policies.load(config)
    listen = _listen(policy, config, zone)
    unit = f"publish-{zone}"
    dropped, watched = STATE / "drop" / unit, STATE / "inbox" / str(zone)
    for folder in (RUN / "metrics" / unit, dropped, watched):
        folder.mkdir(parents=True, exist_ok=True)
    changed = asyncio.Event()
    async with Exchange(RUN / "exchange" / unit / "exchange.sock") as exchange:
        desk = Desk(Drop(dropped, policy.store.free), exchange, service.tasks, largest(dropped))
        server = Server(policy.site, desk)

        async def reload() -> None:
            nonlocal listen
            policy = policies.load(config)
            listen = _listen(policy, config, zone)
            server.site, desk.drop.free = policy.site, policy.store.free
            changed.set()

        service.reload = reload
        service.tasks.create_task(desk.resume())
        service.tasks.create_task(Inbox(watched, desk, time.monotonic).run())
        service.tasks.create_task(_tidy(desk))
        service.tasks.create_task(metrics.keep_written(counted.REGISTRY, RUN / "metrics" / unit / f"{unit}.prom"))
        stopped = service.tasks.create_task(service.stopped())
        while not stopped.done():
            here = listen
            async with http.serving(server.application(), tcp=[here]):
                log.info("taking releases in %s at %s port %d", zone, *here)
                service.ready(f"taking releases in {zone} at {here[0]} port {here[1]}")
                while listen == here and not stopped.done():
                    changed.clear()
                    told = service.tasks.create_task(changed.wait())
                    await asyncio.wait({stopped, told}, return_when=asyncio.FIRST_COMPLETED)
                    told.cancel()


async def _tidy(desk: Desk) -> None:
    """Throw away what is idle, for ever."""
    while True:
        await asyncio.sleep(desks.EVERY)
        await desk.tidy(time.time())
