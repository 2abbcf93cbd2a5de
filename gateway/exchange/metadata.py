"""Trust metadata on its way from the origin that the policy names to the admission filter, which alone can tell what it is worth."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from appliance.runtime.errors import Refused, Unreachable
from gateway.exchange.origin import Origins
from gateway.filters.client import Admission
from gateway.isolation.policy import Policy
from gateway.release.trust.layout import Needed
from gateway.store.incoming import Incoming

AWAY = 5.0  # seconds for which an origin that did not answer is not asked again for what was admitted before


class Metadata:
    """Brings the filter what it needs."""

    def __init__(self, origins: Origins, admission: Admission, incoming: Incoming, clock: Callable[[], float]) -> None:
        self._origins, self._admission, self._incoming, self._clock = origins, admission, incoming, clock
        self._away_until = float("-inf")

    @property
    def away(self) -> bool:
        """Return whether the origin did not answer a moment ago."""
        return self._clock() < self._away_until

    async def bring(self, policy: Policy, needed: Needed) -> None:
        """Fetch a file, and show it to the filter; that the origin has none is told too.

        Raises:
            Refused: what the origin has is too large, or the filter gave no answer.
            Unreachable: the origin is away.
        """
        if policy.trust is None:
            raise Refused("filter-failed", "the filter asked for trust metadata, and the policy has no 'trust:'", 503)
        data: bytes | None = None
        try:
            path = f"/trust/{needed.file}"
            async with self._origins.ask(policy.trust.origin, path, needed.largest) as answer:
                data = await answer.read(needed.largest)
        except Refused as error:
            if error.reason != "unknown-path":
                raise
        except Unreachable:
            self._away_until = self._clock() + AWAY
            raise
        if data is None:
            await self._admission.metadata(policy.digest, needed.file, None)
            return
        with await asyncio.to_thread(self._incoming.show, data) as shown:
            await self._admission.metadata(policy.digest, needed.file, shown.name)
