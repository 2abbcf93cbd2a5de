"""``headgate run publish --zone institution``: takes releases from an institution's network and its watched folder to the exchange."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from appliance.runtime import metrics
from appliance.runtime.errors import ConfigError, Fault
from appliance.runtime.listening import Listening
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
    listening = Listening(_listen(policy, config, zone))
    unit = f"publish-{zone}"
    dropped, watched = STATE / "drop" / unit, STATE / "inbox" / str(zone)
    for folder in (RUN / "metrics" / unit, dropped, watched):
        folder.mkdir(parents=True, exist_ok=True)
    async with Exchange(RUN / "exchange" / unit / "exchange.sock") as exchange:
        desk = Desk(Drop(dropped, policy.store.free), exchange, service.tasks, largest(dropped))
        server = Server(policy.site, desk)

        async def reload() -> None:
            policy = policies.load(config)
            listening.move(_listen(policy, config, zone))
            server.site, desk.drop.free = policy.site, policy.store.free

        service.reload = reload
        service.tasks.create_task(desk.resume())
        service.tasks.create_task(Inbox(watched, desk, time.monotonic).run())
        service.tasks.create_task(_tidy(desk))
        service.tasks.create_task(metrics.keep_written(counted.REGISTRY, RUN / "metrics" / unit / f"{unit}.prom"))
        await listening.serve(service, server.application, f"taking releases in {zone}")


async def _tidy(desk: Desk) -> None:
    """Throw away what is idle, for ever."""
    while True:
        await asyncio.sleep(desks.EVERY)
        await desk.tidy(time.time())
