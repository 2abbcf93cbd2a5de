"""``headgate run inspection``: the second filter, a process without network and without configuration."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from appliance.runtime import http, metrics
from appliance.runtime.places import RUN, STATE
from appliance.runtime.service import Service
from gateway.filters.inspection import metrics as counted
from gateway.filters.inspection import sandbox
from gateway.filters.inspection.api import Inspection
from gateway.filters.inspection.pool import ROOT, Pool

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
    service.tasks.create_task(_tell_sandbox())
    await pool.ready()
    async with http.serving(inspection.application(), unix=[(folder / "filter.sock", SOCKET_MODE)]):
        service.tasks.create_task(
            metrics.keep_written(counted.REGISTRY, RUN / "metrics" / "inspection" / "inspection.prom")
        )
        service.ready("inspecting what the exchange brings")
        await service.stopped()
    inspection.close()


async def _tell_sandbox() -> None:
    """Count which walls stand around workers, as a process that begins like theirs finds out."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-sS", "-m", sandbox.__name__, env=environment, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    for part in sandbox.PARTS:
        counted.SANDBOX.labels(part).set(part in told.decode().split())
