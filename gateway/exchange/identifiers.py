"""The table of identifiers: fetched from the registry's origin, its signature verified, handed to the resolver's table."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from appliance.identity import envelope
from appliance.runtime.errors import Corrupt, HeadgateError, Refused, Unreachable
from appliance.runtime.once import Once
from gateway.exchange import metrics
from gateway.exchange.decide import Refuse
from gateway.exchange.journal import Journal
from gateway.exchange.origin import Origins
from gateway.isolation.policy import Policy
from gateway.resolver import records, writing
from gateway.store.registry import SignedTable

PATH = "/registry/identifiers.json"
EVERY = 5.0  # seconds between two looks at the registry
SOON = 1.0  # seconds in which a look-up of an unknown code does not ask the registry again

log = logging.getLogger("headgate.exchange")


class Identifiers:
    """Keeps the table in ``folder`` as new as the registry has it, and as it was signed in ``signed``, for other boxes."""

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        origins: Origins,
        folder: Path,
        signed: SignedTable,
        journal: Journal,
        clock: Callable[[], float],
    ) -> None:
        self._origins, self._folder, self._signed = origins, folder, signed
        self._journal, self._clock = journal, clock
        self._once: Once[str, bool] = Once(tasks, at_once=1, waiting=4)
        self._etag = ""
        self._policy: Policy | None = None
        self._checked = float("-inf")

    async def make_fresh(self, policy: Policy) -> bool:
        """Return whether the table is now (or was a moment ago) what the registry has."""
        if self._clock() - self._checked < SOON:
            return True
        return await self._once.do("table", lambda: self._refresh(policy))

    async def _refresh(self, policy: Policy) -> bool:
        if policy.registry is None:
            return False
        if policy is not self._policy:  # other keys may count now: look at the whole table again
            self._policy, self._etag = policy, ""
        origin = policy.registry.origin
        try:
            async with self._origins.ask(origin, PATH, envelope.LARGEST, self._etag) as answer:
                if not (answer.unchanged and self._etag):
                    data = await answer.read(envelope.LARGEST)
                    payload, signer = await asyncio.to_thread(
                        envelope.open_sealed, data, records.KIND, policy.registry.keys
                    )
                    await self._journal.admitted_table(payload, signer, origin)
                    await asyncio.to_thread(writing.install, self._folder, payload)
                    await asyncio.to_thread(self._signed.put, data)
                    self._etag = answer.etag
        except Unreachable as error:
            log.debug("the registry cannot be asked: %s", error)
            return False
        except (Refused, Corrupt) as error:
            reason = error.reason if isinstance(error, Refused) else "corrupt"
            if reason == "unknown-path":  # a registry that has published nothing yet: nothing tried to cross
                log.debug("the registry has no table yet")
                return False
            await self._journal.refused(Refuse(reason, str(error)), None, object="identifiers", origin=origin)
            return False
        self._checked = self._clock()
        metrics.IDENTIFIERS.set(time.time())
        return True

    async def keep_fresh(self, policy: Callable[[], Policy]) -> None:
        """Look at the registry every few seconds, for ever, while some lane lets identifiers in."""
        while True:
            now = policy()
            if now.lanes_of("identifier"):
                try:
                    await self.make_fresh(now)
                except HeadgateError as error:
                    log.warning("the table of identifiers was not looked at: %s", error)
            await asyncio.sleep(EVERY)
