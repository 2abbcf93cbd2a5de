"""``headgate run linking --zone institution``: the curators' page of the association engine, in the institution's network."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from appliance.runtime import http, metrics
from appliance.runtime.errors import ConfigError, Corrupt, Fault, Refused
from appliance.runtime.places import ETC, RUN, STATE
from appliance.runtime.service import Service
from gateway.isolation import policy as policies
from gateway.isolation.policy import Policy
from gateway.linking import curators
from gateway.linking import metrics as counted
from gateway.linking.book import Book
from gateway.linking.desk import Desk
from gateway.linking.server import Server

EVERY = 10.0  # seconds between two looks at the book and at who may curate
log = logging.getLogger("headgate.linking")


def check(config: Path, zone: str | None) -> None:
    """Read the policy and who may curate as the start does.

    Raises:
        ConfigError: one of them is wrong, or the policy names no linking in ``zone``.
    """
    _listen(policies.load(config), config, zone)
    curators.load(ETC / "linking" / "curators")


def _listen(policy: Policy, config: Path, zone: str | None) -> tuple[str, int]:
    service = policy.service_of(zone, "linking") if zone else None
    if service is None:
        raise ConfigError(
            [Fault(str(config), 1, 1, "services", f"no service with 'run: linking' in the zone '{zone}'")]
        )
    return service.address, service.port


async def main(service: Service, config: Path, zone: str | None) -> None:
    """Serve curators until told to stop."""
    policy = policies.load(config)
    listen = _listen(policy, config, zone)
    unit, who = f"linking-{zone}", ETC / "linking" / "curators"
    (RUN / "metrics" / unit).mkdir(parents=True, exist_ok=True)
    changed = asyncio.Event()
    book = Book(STATE / "linking" / "linking.db")
    try:
        server = Server(policy.site, book, Desk(curators.load(who)))

        async def reload() -> None:
            nonlocal listen
            policy = policies.load(config)
            listen = _listen(policy, config, zone)
            server.site, server.desk.curators = policy.site, curators.load(who)
            changed.set()

        service.reload = reload
        service.tasks.create_task(metrics.keep_written(counted.REGISTRY, RUN / "metrics" / unit / f"{unit}.prom"))
        service.tasks.create_task(_follow(server, who))
        stopped = service.tasks.create_task(service.stopped())
        while not stopped.done():
            here = listen
            async with http.serving(server.application(), tcp=[here]):
                log.info("curators' page in %s at %s port %d", zone, *here)
                service.ready(f"curators' page in {zone} at {here[0]} port {here[1]}")
                while listen == here and not stopped.done():
                    changed.clear()
                    told = service.tasks.create_task(changed.wait())
                    await asyncio.wait({stopped, told}, return_when=asyncio.FIRST_COMPLETED)
                    told.cancel()
    finally:
        book.close()


async def _follow(server: Server, who: Path) -> None:
    """Notice new curators and what commands did to the book, for ever; what is wrong is told, and the last good list stays."""
    while True:
        try:
            server.desk.curators = curators.load(who)
            await server.tell()
        except (ConfigError, Corrupt, Refused) as error:
            log.error("who may curate, or the book, cannot be read: %s", error)
        await asyncio.sleep(EVERY)
