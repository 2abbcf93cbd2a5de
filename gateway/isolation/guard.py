"""The guard: the one root daemon, around ``enforcer.py`` (the zones) and ``sentry.py`` (whatever else could join them).

It looks each second, and at once when the trip-wire says that something changed; it serves ``headgate box`` (``guard_api.py``), and takes
SIGHUP for "apply what is asked for".
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from prometheus_client import CollectorRegistry

from appliance.runtime import http, metrics, places
from appliance.runtime.errors import ConfigError
from appliance.runtime.service import Service
from gateway.isolation import decisions, figures, guard_api
from gateway.isolation import policy as policies
from gateway.isolation.bridges.tripwire import Tripwire
from gateway.isolation.bridges.watch import Bridges
from gateway.isolation.chronicle import BoxChronicle
from gateway.isolation.cutting_api import Places
from gateway.isolation.enforcer import Enforcer
from gateway.isolation.errands import Errands
from gateway.isolation.guard_api import Alone
from gateway.isolation.kernel import Kernel
from gateway.isolation.sampler import Denied
from gateway.isolation.sentry import Sentry
from gateway.isolation.shelf import Shelf
from gateway.isolation.units import Units

log = logging.getLogger("headgate.guard")
EVERY = 1.0  # seconds between two looks
BREATH = (
    0.05  # seconds before each look: whoever changes something all the time does not keep the guard from its other work
)
MOST_HEARD = 100  # lines of the trip-wire that wait to be written down
SAMPLED = 60.0  # seconds between two entries of what was denied
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
    kernel, units = Kernel(), Units()
    guard = Enforcer(config, shelf, kernel, units, functools.partial(_chronicle, places.STATE, places.RUN))
    turn = asyncio.Lock()

    async def alone(work: Callable[[], Result]) -> Result:
        async with turn:
            return await asyncio.to_thread(work)

    async def reload() -> None:
        await alone(guard.apply)

    await alone(guard.start)
    bridges = Bridges(kernel)
    guard.sentry = sentry = Sentry(bridges, units, guard.tell, time.time)
    tripwire = Tripwire(kernel, virtual=bridges.virtual)
    guard.quietly = tripwire.quiet
    denied = Denied({zone: kernel.name(zone) for zone in kernel.zones()})
    guard.denials = functools.partial(_by_zone, denied)
    registry = CollectorRegistry()
    figures.measure(registry, guard, sentry, denied)
    service.reload = reload
    service.tasks.create_task(_watch(guard, tripwire, alone))
    service.tasks.create_task(_sample(guard, denied, alone))
    folder = places.RUN / "metrics" / "guard"
    folder.mkdir(parents=True, exist_ok=True)
    service.tasks.create_task(metrics.keep_written(registry, folder / "guard.prom"))
    service.tasks.create_task(Places(shelf.run / "cut", kernel, lambda: guard.policy).run())
    application = guard_api.application(guard, alone, Errands())
    async with http.serving(application, unix=[(shelf.run / "guard" / "guard.sock", 0o600)]):
        service.ready(f"enforcing {guard.status()['enforced'][:12]}")
        await service.stopped()
    await alone(tripwire.stop)
    await alone(denied.stop)
    kernel.close()


def _chronicle(state: Path, run: Path, site: str) -> BoxChronicle:
    return BoxChronicle(state, site, run)


async def _watch(guard: Enforcer, tripwire: Tripwire, alone: Alone) -> None:
    """Look each second, and at once when something changed."""
    changed, loop = asyncio.Event(), asyncio.get_running_loop()
    heard: deque[str] = deque(maxlen=MOST_HEARD)

    def wake(what: str) -> None:
        heard.append(what)
        loop.call_soon_threadsafe(changed.set)

    def start() -> None:
        if guard.policy is not None:
            tripwire.start(guard.policy, wake)

    def look() -> None:
        while heard:
            guard.tell_many(decisions.tripped(heard.popleft()))
        guard.look()
        if guard.policy is not None:
            tripwire.arm(guard.policy)

    await alone(start)
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), EVERY)
        await asyncio.sleep(BREATH)
        changed.clear()
        await alone(look)


async def _sample(guard: Enforcer, denied: Denied, alone: Alone) -> None:
    """Write down each minute what the zones denied: how many packets of each reason, and whose."""
    await alone(denied.start)
    while True:
        await asyncio.sleep(SAMPLED)
        await alone(functools.partial(_write_down, guard, denied))


def _write_down(guard: Enforcer, denied: Denied) -> None:
    denied.watch({zone: guard.kernel.name(zone) for zone in guard.kernel.zones()})
    guard.tell_many(decisions.denials(denied.take(guard.kernel.denied)))


def _by_zone(denied: Denied) -> dict[str, tuple[int, int]]:
    zones: dict[str, tuple[int, int]] = {}
    for (zone, why), (counted, recorded) in denied.totals().items():
        if why.startswith(decisions.SERVICE):
            continue
        before = zones.get(zone, (0, 0))
        zones[zone] = (before[0] + counted, before[1] + recorded)
    return zones
