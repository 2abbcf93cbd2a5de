"""``headgate run admission``: the first filter, a process without network."""

from __future__ import annotations

import logging
from pathlib import Path

from appliance.runtime import http, metrics
from appliance.runtime.places import RUN, STATE
from appliance.runtime.service import Service
from gateway.filters.admission import metrics as counted
from gateway.filters.admission.api import Admission
from gateway.isolation import policy as policies

SOCKET_MODE = 0o666  # its folder, which only the exchange's group may enter, is the gate
log = logging.getLogger("headgate.admission")


def check(config: Path, zone: str | None) -> None:
    """Read the policy as the start does.

    Raises:
        ConfigError: it is wrong.
    """
    policies.load(config)


async def main(service: Service, config: Path, zone: str | None) -> None:
    """Answer the exchange until told to stop."""
    folder = RUN / "filter" / "admission"
    for needed in (folder, RUN / "metrics" / "admission"):
        needed.mkdir(mode=0o750, parents=True, exist_ok=True)
    store, trust = STATE / "store", STATE / "admission" / "trust"
    admission = Admission(
        policies.load(config), lambda: policies.load(config), store / "incoming", store / "manifests", trust
    )

    async def reload() -> None:
        admission.policy = policies.load(config)
        counted.RELOADS.inc()

    service.reload = reload
    async with http.serving(admission.application(), unix=[(folder / "filter.sock", SOCKET_MODE)]):
        service.tasks.create_task(
            metrics.keep_written(counted.REGISTRY, RUN / "metrics" / "admission" / "admission.prom")
        )
        service.ready("judging what the exchange brings")
        await service.stopped()
