"""The guard: the one root daemon, around ``enforcer.py``.

It looks at the kernel each second, serves ``headgate box`` (``guard_api.py``), and takes SIGHUP for "apply what is asked for".
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge

from appliance.runtime import http, metrics, places
from appliance.runtime.errors import ConfigError
from appliance.runtime.service import Service
from gateway.isolation import guard_api
from gateway.isolation import policy as policies
from gateway.isolation.chronicle import BoxChronicle
from gateway.isolation.enforcer import Enforcer
from gateway.isolation.kernel import Kernel
from gateway.isolation.shelf import Shelf
from gateway.isolation.units import Units

log = logging.getLogger("headgate.guard")
EVERY = 1.0  # seconds between two looks at the kernel
Result = TypeVar("Result")


def check(config: Path, zone: str | None) -> None:
    """Check that there is a policy to enforce: the one asked for, or else the last good one, which stays in force.

    Raises:
        ConfigError: there is neither.
    """
    del zone
    try:
        policies.load(config)
    except ConfigError as error:
        last = places.STATE / "guard" / "enforced.yaml"
        if not last.exists():
            raise
        policies.load(last)
        log.error("the policy asked for is refused, the last good one stays:\n%s", error)


async def main(service: Service, config: Path, zone: str | None) -> None:
    """Run the guard."""
    del zone
    shelf = Shelf(places.STATE, places.RUN)
    guard = Enforcer(config, shelf, Kernel(), Units(), functools.partial(BoxChronicle, places.STATE))
    turn = asyncio.Lock()

    async def alone(work: Callable[[], Result]) -> Result:
        async with turn:
            return await asyncio.to_thread(work)

    async def reload() -> None:
        await alone(guard.apply)

    await alone(guard.start)
    registry = CollectorRegistry()
    _measure(registry, guard)
    service.reload = reload
    service.tasks.create_task(_watch(guard, alone))
    folder = places.RUN / "metrics" / "guard"
    folder.mkdir(parents=True, exist_ok=True)
    service.tasks.create_task(metrics.keep_written(registry, folder / "guard.prom"))
    async with http.serving(guard_api.application(guard, alone), unix=[(shelf.run / "guard" / "guard.sock", 0o600)]):
        service.ready(f"enforcing {guard.status()['enforced'][:12]}")
        await service.stopped()


async def _watch(guard: Enforcer, alone: Callable[[Callable[[], None]], Any]) -> None:
    while True:
        await asyncio.sleep(EVERY)
        await alone(guard.look)


def _measure(registry: CollectorRegistry, guard: Enforcer) -> None:
    enforced = Gauge(
        "headgate_guard_enforced", "1 while the kernel holds the policy that is asked for.", registry=registry
    )
    enforced.set_function(lambda: float(guard.status()["state"] == "enforced"))
    drifts = Counter("headgate_guard_drifts", "Times that the kernel differed and was put back.", registry=registry)
    guard.on_drift = drifts.inc
