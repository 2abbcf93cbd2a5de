"""What goes on behind the requests for the store's sake: uses written down, index and files in line, scrubbing, healing, fetching ahead."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import TypeVar

from appliance.runtime.errors import HeadgateError, Refused
from gateway.exchange.decide import Refuse
from gateway.exchange.journal import Journal
from gateway.exchange.judge import Judge
from gateway.exchange.objects import Fills
from gateway.exchange.releases import Releases
from gateway.exchange.suspects import Suspects
from gateway.isolation.policy import Policy
from gateway.release.manifest import Release
from gateway.store import metrics, preposition
from gateway.store.keeper import Keeper
from gateway.store.manifests import Manifests
from gateway.store.preposition import AGAIN, Ahead, Fill
from gateway.store.quarantine import Quarantine
from gateway.store.reconcile import Reconciling
from gateway.store.scrub import FILTER, Damaged, Pace, Scrubbing

FLUSH = 5.0  # seconds between two writings of uses
BREATH = 0.02  # seconds between two folders of a reconciliation: others want the disk and the index too
REST = 60.0  # seconds between two passes of scrubbing: a small store is not read without end
PIECES = 16  # pieces of scrubbing asked for at once

T = TypeVar("T")
log = logging.getLogger("headgate.store")


class Tending:
    """The tasks; ``policy`` gives the one in force."""

    def __init__(
        self,
        policy: Callable[[], Policy],
        keeper: Keeper,
        manifests: Manifests,
        judge: Judge,
        releases: Releases,
        fills: Fills,
        journal: Journal,
        suspects: Suspects,
        quarantine: Quarantine,
    ) -> None:
        self._quarantine = quarantine
        self._policy, self._keeper, self._manifests = policy, keeper, manifests
        self._judge, self._releases, self._fills, self._journal = judge, releases, fills, journal
        self._suspects, self._another_plan = suspects, asyncio.Event()

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Begin with everything."""
        for task in (self.flush, self.reconcile, self.scrub, self.examine, self.fetch_ahead):
            tasks.create_task(task())

    def follow(self) -> None:
        """Look at the policy's plan anew."""
        self._another_plan.set()

    async def flush(self) -> None:
        """Write uses down and set the gauges, for ever."""
        while True:
            await asyncio.to_thread(self._keeper.flush)
            await asyncio.to_thread(self._keeper.measure)
            await asyncio.sleep(FLUSH)

    async def reconcile(self) -> None:
        """Bring index and files in line at the start, and whenever the index missed something."""
        while True:
            if self._keeper.changed.is_set():
                self._keeper.changed.clear()
                try:
                    found = await _each(Reconciling(self._keeper, self._manifests).steps(), _breathe)
                    log.info("index and files are in line: %d differences were put right", found)
                except (HeadgateError, OSError) as error:
                    log.warning("index and files could not be brought in line, it is tried again: %s", error)
                    self._keeper.changed.set()
                    await asyncio.sleep(REST)
            await asyncio.sleep(FLUSH)

    async def scrub(self) -> None:
        """Read the store again and again, and heal what is damaged."""
        pace = Pace(self._policy().store.scrub, time.monotonic())
        while True:
            scrubbing = Scrubbing(self._keeper, self._quarantine).steps()
            with contextlib.suppress(OSError):  # a folder that cannot be listed: the next pass tries again
                while done := await asyncio.to_thread(list, itertools.islice(scrubbing, PIECES)):
                    for one in done:
                        if isinstance(one, Damaged):
                            await self.heal(one)
                    pace.rate = self._policy().store.scrub
                    read = sum(one.bytes for one in done if not isinstance(one, Damaged))
                    await asyncio.sleep(pace.after(read, time.monotonic()))
            await asyncio.sleep(REST)

    async def examine(self) -> None:
        """Read again at once what somebody could not read, and heal what is damaged, for ever."""
        while True:
            digest = await self._suspects.next()
            for one in await asyncio.to_thread(list, Scrubbing(self._keeper, self._quarantine).check(digest)):
                if isinstance(one, Damaged):
                    await self.heal(one)

    async def heal(self, damaged: Damaged) -> str:
        """Record that an object was damaged, and fetch it again for a release that needs it; return how it ended."""
        told = {"filter": FILTER, "quarantine": damaged.held} if damaged.held else {}
        refusal = Refuse("corrupt", f"the object {damaged.digest} was damaged on the disk: {damaged.fault}", told)
        await self._journal.refused(refusal, None, sha256=damaged.digest)
        outcome = "not-needed"
        policy = self._policy()
        for code in damaged.releases:
            try:
                held = await self._releases.get(policy, code)
                release = held.admitted.release
                named = [path for path, file in release.files.items() if file.sha256 == damaged.digest]
                zone = preposition.zone_for(release, _zones(policy)) or ""
                if named and zone:
                    await self._fills.make_present(held, named[0], release.files[named[0]], zone)
                    outcome = "healed"
                    break
            except HeadgateError as error:
                outcome = getattr(error, "reason", type(error).__name__.lower())
                log.warning("%s is not healed from %s, it comes when a screen asks: %s", damaged.digest, code, error)
        metrics.HEALED.labels(outcome).inc()
        return outcome

    async def fetch_ahead(self) -> None:
        """Fetch what the plan says, in its window and at its rate, for ever."""
        while True:
            wait = AGAIN
            self._another_plan.clear()
            try:
                wait = await self._fetch_ahead()
            except (HeadgateError, OSError) as error:  # also a folder of the store that cannot be read
                log.warning("fetching ahead stops for a while: %s", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._another_plan.wait(), wait)

    async def _fetch_ahead(self) -> float:
        """Fetch until there is nothing to fetch now; return the seconds until the next look."""
        policy = self._policy()
        pace = Pace(policy.store.preposition.rate, time.monotonic())
        found, absent = await self._plan(policy)
        plan = {one.release.code: one for one in found}
        files = absent + sum(len(one.release.files) for one in found)
        failed = absent  # of a release that nobody has, the manifest is the file that is missing
        while policy is self._policy():
            missing = failed + sum(len(one.missing) for one in plan.values())
            metrics.AHEAD_FILES.labels("here").set(files - missing)
            metrics.AHEAD_FILES.labels("missing").set(missing)
            action = preposition.next_action(policy.store.preposition.window, plan.values(), _local(), stuck=failed > 0)
            if not isinstance(action, Fill):
                return action.seconds
            ahead = plan[action.code]
            plan[action.code] = ahead.without(action.path)
            try:
                held = await self._releases.get(policy, action.code)
                if held.admitted.release != ahead.release:
                    return 0.0  # a new version: the plan is made anew
                file = ahead.release.files[action.path]
                await self._fills.make_present(held, action.path, file, ahead.zone, pace=pace)
                metrics.AHEAD_BYTES.inc(file.size)
            except HeadgateError as error:
                failed += 1
                log.warning("%s of %s is not fetched ahead now: %s", action.path, action.code, error)
                if not isinstance(error, Refused):  # the line is away: nothing else comes either
                    return REST
        return 0.0

    async def _plan(self, policy: Policy) -> tuple[list[Ahead], int]:
        """Return the plan's releases that may be shown here, with what is missing of them, and how many nobody has."""
        found, absent = [], 0
        for told in policy.store.preposition.releases:
            code = told.partition(":")[2]
            try:
                held = await self._releases.get(policy, code)
            except HeadgateError as error:
                log.warning("%s of the plan cannot be had now: %s", code, error)
                absent += 1
                continue
            release = held.admitted.release
            for zone in _zones(policy):
                verdict = await self._judge.may_pass(policy, held.admitted, zone)
                if not isinstance(verdict, Refuse) or verdict.reason == "not-yet":  # a premiere is fetched before it
                    found.append(Ahead(release, zone, await asyncio.to_thread(self._missing, release)))
                    break
        return found, absent

    def _missing(self, release: Release) -> tuple[str, ...]:
        size = self._keeper.disk.size
        return tuple(
            path for path in preposition.order(release) if size(release.files[path].sha256) != release.files[path].size
        )


def _zones(policy: Policy) -> list[str]:
    """Return the zones with screens here."""
    return sorted({service.zone for service in policy.services.values() if service.run == "delivery"})


def _local() -> datetime:
    return datetime.now().astimezone()


async def _breathe() -> None:
    await asyncio.sleep(BREATH)


async def _each(steps: Iterator[int], between: Callable[[], Awaitable[None]]) -> int:
    """Take all steps, each in a thread, and return their sum."""
    total = 0
    while (step := await asyncio.to_thread(next, steps, None)) is not None:
        total += step
        await between()
    return total
