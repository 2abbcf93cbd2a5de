"""The resolver of one zone: identifiers are answered from the box's own table, also while everything else is away."""

from __future__ import annotations

import asyncio
from pathlib import Path

from appliance.runtime import http, metrics, places
from appliance.runtime.config import nearest
from appliance.runtime.errors import ConfigError, Fault
from appliance.runtime.service import Service
from gateway.isolation import policy
from gateway.resolver.finding import Finder
from gateway.resolver.metrics import Numbers
from gateway.resolver.outside import Outside
from gateway.resolver.serving.application import application
from gateway.resolver.serving.resolver import Resolver, address
from gateway.resolver.table import Table
from gateway.resolver.upstream import Upstream


def check(config: Path, zone: str | None) -> None:
    """Check the policy at ``config`` for what the resolver of ``zone`` needs.

    Raises:
        ConfigError: it is wrong, or names no resolver in the zone.
    """
    _listen(policy.load(config), zone)


async def main(service: Service, config: Path, zone: str | None) -> None:
    """Serve until told to stop."""
    site = policy.load(config)
    listen = _listen(site, zone)
    numbers = Numbers(listen.zone)
    socket = places.RUN / "exchange" / f"resolver-{listen.zone}" / "exchange.sock"
    upstream = Upstream(socket, service.tasks, numbers.lookups)
    outside = Outside(socket, service.tasks, numbers.lookups)
    table = Table(places.STATE / "identifiers")  # looked at first by the finder, which tells of a damaged one
    resolver = Resolver(site, listen.zone, Finder(table, upstream, outside, numbers), numbers)
    moved = asyncio.Event()

    async def reload() -> None:
        nonlocal listen
        fresh = policy.load(config)
        before, listen = listen, _listen(fresh, listen.zone)
        resolver.take(fresh)
        if (before.address, before.port) != (listen.address, listen.port):
            moved.set()

    service.reload = reload
    unit = f"resolver-{listen.zone}"
    folder = places.RUN / "metrics" / unit
    folder.mkdir(parents=True, exist_ok=True)
    service.tasks.create_task(metrics.keep_written(numbers.registry, folder / f"{unit}.prom"))
    stopped = service.tasks.create_task(service.stopped())
    while not stopped.done():
        moved.clear()
        async with http.serving(application(resolver), tcp=[(listen.address, listen.port)]):
            service.ready(f"resolving identifiers in {listen.zone} at {address(listen)}")
            again = service.tasks.create_task(moved.wait())
            await asyncio.wait({stopped, again}, return_when=asyncio.FIRST_COMPLETED)
            again.cancel()
    table.close()


def _listen(site: policy.Policy, zone: str | None) -> policy.Service:
    if zone is None:
        raise ConfigError([Fault(site.file, 1, 1, "zones", "say which zone's resolver this is: --zone ZONE")])
    if zone not in site.zones:
        raise ConfigError([Fault(site.file, 1, 1, "zones", f"no zone '{zone}'", hint=nearest(zone, site.zones))])
    found = site.service_of(zone, "resolver")
    if found is None or found.protocol != "tcp":
        line = max(1, site.line_of(("services",)))
        raise ConfigError(
            [Fault(site.file, line, 1, "services", f"no service runs 'resolver' on tcp in zone '{zone}'")]
        )
    return found
