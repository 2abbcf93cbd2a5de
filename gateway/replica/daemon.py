"""``headgate run replica``: verifies what the registry publishes and keeps the box's table, a process without network."""

from __future__ import annotations

import asyncio
from pathlib import Path

from appliance.runtime import http, metrics
from appliance.runtime.places import RUN, STATE
from appliance.runtime.service import Service
from gateway.isolation import policy as policies
from gateway.replica import metrics as counted
from gateway.replica.api import Api
from gateway.replica.replica import Replica

SOCKET_MODE = 0o666  # its folder, which only the exchange's group may enter, is the gate


def check(config: Path, zone: str | None) -> None:
    """Read the policy as the start does.

    Raises:
        ConfigError: it is wrong.
    """
    policies.load(config)


async def main(service: Service, config: Path, zone: str | None) -> None:
    """Answer the exchange until told to stop."""
    folder = RUN / "replica"
    for needed in (folder, RUN / "metrics" / "replica"):
        needed.mkdir(mode=0o750, parents=True, exist_ok=True)
    replica = Replica(STATE / "identifiers", STATE / "replica" / "coming", service.tasks)
    await asyncio.to_thread(replica.prepare)
    api = Api(policies.load(config), lambda: policies.load(config), STATE / "store" / "incoming", replica)

    async def reload() -> None:
        api.take(policies.load(config))
        counted.RELOADS.inc()

    service.reload = reload
    async with http.serving(api.application(), unix=[(folder / "replica.sock", SOCKET_MODE)]):
        service.tasks.create_task(metrics.keep_written(counted.REGISTRY, RUN / "metrics" / "replica" / "replica.prom"))
        service.ready("keeping the table of identifiers")
        await service.stopped()
