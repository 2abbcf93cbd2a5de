"""Verified manifests: in memory, on disk, and as new as the origin has them."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from appliance.runtime.errors import Corrupt, HeadgateError, Refused, Unreachable
from appliance.runtime.once import Once
from gateway.exchange import decide
from gateway.exchange.decide import Admitted, Refuse
from gateway.exchange.journal import Journal
from gateway.exchange.origin import Origins
from gateway.isolation.policy import Policy
from gateway.release import paths, signed
from gateway.release.manifest import Release
from gateway.store.manifests import Manifests

FRESH = 5.0  # seconds until an origin is asked again whether it has a newer version
PATIENCE = 0.5  # seconds that a screen waits for that answer when there is a verified version already
MOST = 500  # releases in memory; the others come from disk again

log = logging.getLogger("headgate.exchange")


@dataclass
class Held:
    """A verified release, where it came from, and when an origin last spoke about it."""

    policy: Policy  # under which it was verified; under another one it must be verified again
    admitted: Admitted
    origin: str | None = None
    etag: str = ""
    checked: float = float("-inf")  # monotonic seconds


class Releases:
    """The releases of all origins, by code."""

    def __init__(
        self, tasks: asyncio.TaskGroup, origins: Origins, kept: Manifests, journal: Journal, clock: Callable[[], float]
    ) -> None:
        self._origins, self._kept, self._journal, self._clock = origins, kept, journal, clock
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._once: Once[tuple[str, int], Held] = Once(tasks, at_once=8, waiting=256)

    async def get(self, policy: Policy, code: str) -> Held:
        """Return the newest verified version of the release, which is the last one known where the origins are away.

        Raises:
            Refused: no origin has it (``unknown-release``), or what they have is not admitted.
            Unreachable: it was never here, and the origins are away.
        """
        held = self._held.get(code)
        if held is not None and held.policy is policy:
            self._held.move_to_end(code)
            if self._clock() - held.checked < FRESH:
                return held
            refreshed = self._once.do((code, id(policy)), lambda: self._refresh(policy, code))
            try:
                return await asyncio.wait_for(refreshed, PATIENCE)
            except (TimeoutError, HeadgateError):
                return held
        return await self._once.do((code, id(policy)), lambda: self._refresh(policy, code))

    async def _refresh(self, policy: Policy, code: str) -> Held:
        """Ask the origins for the release, and keep what is admitted; the last verified one stays otherwise."""
        held = self._held.get(code)
        known = held.admitted.release if held else None
        refusal: Refuse | None = None
        if held is None or held.policy is not policy:
            held, known, refusal = await self._recall(policy, code)
        away: HeadgateError | None = None
        for origin in _first(held.origin if held else None, policy):
            found: tuple[bytes, str] | Refuse | None
            try:
                found = await self._ask(origin, code, held)
            except Unreachable as error:
                away = error
                continue
            except Refused as error:
                if error.reason == "unknown-path":  # this origin has no such release
                    continue
                found = Refuse(error.reason, str(error))
            if found is None and held is not None:
                held.checked = self._clock()
                return self._keep(code, held)
            if isinstance(found, tuple):
                data, etag = found
                verdict = await asyncio.to_thread(decide.admit, policy, data, code, known)
                if isinstance(verdict, Admitted):
                    if known != verdict.release or held is None:
                        await self._journal.admitted(verdict, origin)
                        await asyncio.to_thread(self._kept.put, code, data)
                    return self._keep(code, Held(policy, verdict, origin, etag, self._clock()))
                found = verdict
            if found is not None:
                refusal = Refuse(found.reason, f"{found.sentence} (at the origin '{origin}')")
                if held is not None:  # nobody else will hear of it
                    await self._journal.refused(refusal, None, release=code, origin=origin)
        if held is not None:
            held.checked = self._clock()  # asked just now, in vain: players must not wait for each request
            return self._keep(code, held)
        if refusal is not None:
            raise refusal.error()
        if away is not None:
            raise away
        raise Refuse("unknown-release", f"no origin has the release {code}").error()

    async def _ask(self, origin: str, code: str, held: Held | None) -> tuple[bytes, str] | None:
        """Return an origin's envelope with its ETag, or None where it is the one held."""
        etag = held.etag if held is not None and held.origin == origin else ""
        path = f"/releases/{code}/{paths.MANIFEST}"
        async with self._origins.ask(origin, path, signed.LONGEST, etag) as answer:
            if answer.unchanged and etag:
                return None
            return await answer.read(signed.LONGEST), answer.etag

    async def _recall(self, policy: Policy, code: str) -> tuple[Held | None, Release | None, Refuse | None]:
        """Return what the disk has: verified again, the version known in any case, and why it is no longer admitted."""
        data = await asyncio.to_thread(self._kept.get, code)
        if data is None:
            return None, None, None
        try:
            known = signed.claimed(data)
        except Corrupt as error:
            log.error("the kept manifest of %s is damaged, as if it were not there: %s", code, error)
            return None, None, None
        verdict = await asyncio.to_thread(decide.admit, policy, data, code, None)
        if isinstance(verdict, Refuse):
            return None, known, verdict
        return Held(policy, verdict), known, None

    def _keep(self, code: str, held: Held) -> Held:
        self._held[code] = held
        self._held.move_to_end(code)
        while len(self._held) > MOST:
            self._held.popitem(last=False)
        return held


def _first(origin: str | None, policy: Policy) -> list[str]:
    """Return the policy's origins, the one that had it last time before the others."""
    return sorted(policy.origins, key=lambda name: name != origin)
