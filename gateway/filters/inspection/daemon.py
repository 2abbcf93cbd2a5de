"""``headgate run inspection``: the second filter, a process without network and without configuration."""

from __future__ import annotations

from pathlib import Path

from appliance.runtime import http, metrics
from appliance.runtime.places import RUN, STATE
from appliance.runtime.service import Service
from gateway.filters.inspection import metrics as counted
from gateway.filters.inspection.api import Inspection
from gateway.filters.inspection.pool import Pool

SOCKET_MODE = 0o666  # its folder, which only the exchange's group may enter, is the gate


def check(config: Path, zone: str | None) -> None:
    """Look whether every kind is there; no file says anything about this daemon."""
    from gateway.filters.inspection.kinds import registry

    registry.load(registry.EVERY)


async def main(service: Service, config: Path, zone: str | None) -> None:
    """Answer the exchange until told to stop."""
    folder = RUN / "filter" / "inspection"
    for needed in (folder, RUN / "metrics" / "inspection"):
        needed.mkdir(mode=0o750, parents=True, exist_ok=True)
    pool = Pool(STATE / "store" / "incoming")
    inspection = Inspection(pool)
    service.tasks.create_task(pool.run())
    await pool.ready()
    async with http.serving(inspection.application(), unix=[(folder / "filter.sock", SOCKET_MODE)]):
        service.tasks.create_task(
            metrics.keep_written(counted.REGISTRY, RUN / "metrics" / "inspection" / "inspection.prom")
        )
        service.ready("inspecting what the exchange brings")
        await service.stopped()
    inspection.close()
