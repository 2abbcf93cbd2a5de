"""Trust metadata on its way from whoever has it to the admission filter, which alone can tell what it is worth, and on to other boxes."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from appliance.runtime.errors import Refused, Unreachable
from gateway.exchange.origin import Origins
from gateway.fetch import loops, tiers
from gateway.filters.client import Admission
from gateway.isolation.policy import Policy
from gateway.release.trust import layout, reasons
from gateway.release.trust.layout import Name, Needed
from gateway.store.incoming import Incoming

AWAY = 5.0  # seconds for which who did not answer is not asked again, for what was admitted before or by other boxes
MOST_GIVEN = 32 << 20  # bytes of files that were given to other boxes, in memory: a version never changes
T = TypeVar("T")


class Metadata:
    """Brings the filter what it needs: from the trust's origin, or while that is away from a parent."""

    def __init__(self, origins: Origins, admission: Admission, incoming: Incoming, clock: Callable[[], float]) -> None:
        self._origins, self._admission, self._incoming, self._clock = origins, admission, incoming, clock
        self._away_until = self._origin_until = float("-inf")
        self._given: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._bytes = 0

    @property
    def away(self) -> bool:
        """Return whether nobody who has metadata answered a moment ago."""
        return self._clock() < self._away_until

    async def told(self, policy: Policy, ask: Callable[[], Awaitable[T | Needed]], via: Sequence[str] = ()) -> T:
        """Return what the filter says to a question, bringing it file after file that it needs first.

        Raises:
            Refused: the filter's refusal, or there is no end of it (``damaged-metadata``).
            Unreachable: nobody who has metadata answers.
        """
        for _ in range(reasons.MOST_FILES):
            answer = await ask()
            if not isinstance(answer, Needed):
                return answer
            await self.bring(policy, answer, via)
        raise Refused("damaged-metadata", "there is no end of trust metadata", 502)

    async def bring(self, policy: Policy, needed: Needed, via: Sequence[str] = ()) -> None:
        """Fetch a file, and show it to the filter; that nobody has it is told too.

        Raises:
            Refused: what somebody has is too large, or the filter gave no answer.
            Unreachable: the origin is away, and so are the parents.
        """
        if policy.trust is None:
            raise Refused("filter-failed", "the filter asked for trust metadata, and the policy has no 'trust:'", 503)
        data = await self._fetched(policy, policy.trust.origin, needed, via)
        if data is None:
            await self._admission.metadata(policy.digest, needed.file, None)
            return
        with await asyncio.to_thread(self._incoming.show, data) as shown:
            await self._admission.metadata(policy.digest, needed.file, shown.name)

    async def give(self, policy: Policy, name: Name, via: Sequence[str] = ()) -> bytes:
        """Return a verified file for another box; while nobody answers, as it was verified last.

        Raises:
            Refused: this version of it is not here (``unknown-path``), or the filter gave no answer.
        """
        pinned = policy.trust.root if policy.trust else ""
        key = (pinned, name.file)
        if key in self._given:
            self._given.move_to_end(key)
            return self._given[key]
        data: bytes | None = None
        try:
            if not self.away:
                data = await self.told(policy, lambda: self._admission.file(policy.digest, name.file), via)
        except Unreachable:
            data = None
        if data is None:
            last = await self._admission.file(policy.digest, name.file, away=True)
            data = None if isinstance(last, Needed) else last
        if data is None:
            return await self.waiting_file(policy, name)
        if name.version is None:
            return data
        self._given[key] = data
        self._bytes += len(data)
        while self._bytes > MOST_GIVEN:
            self._bytes -= len(self._given.popitem(last=False)[1])
        return data

    async def waiting_file(self, policy: Policy, name: Name) -> bytes:
        """Return a file that a body handed in and the centre has not named yet.

        Raises:
            Refused: there is none of this version (``unknown-path``), or the filter gave no answer.
        """
        waits = await self._admission.file(policy.digest, name.file, waits=True)
        if not isinstance(waits, bytes):
            raise Refused("unknown-path", f"this box has no /trust/{name.file}", 404)
        return waits

    async def _fetched(self, policy: Policy, origin: str, needed: Needed, via: Sequence[str]) -> bytes | None:
        """Return the file as the origin has it, or while it does not answer as a parent has it, None where that has none."""
        failure: Unreachable | Refused | None = None
        if self._clock() >= self._origin_until:
            try:
                return await self._from(origin, needed, via)
            except Unreachable as error:
                self._origin_until, failure = self._clock() + AWAY, error
        for name in self._parents(policy, origin):
            try:
                return await self._from(name, needed, via)
            except Unreachable as error:
                failure = failure or error
            except Refused as error:
                if error.reason != "loop":
                    raise
                failure = failure or error
        self._away_until = self._clock() + AWAY
        told = str(failure) if failure else f"the origin '{origin}' did not answer a moment ago"
        raise Unreachable(told) from failure

    def _parents(self, policy: Policy, origin: str) -> list[str]:
        """Return who is asked in the origin's place: one parent for all files of a look, so that they fit together, then others."""
        names = [name for name, known in policy.origins.items() if known.role == "parent" and name != origin]
        return tiers.ranked(names, f"/{layout.TRUST}/")[: tiers.MOST_PARENTS]

    async def _from(self, name: str, needed: Needed, via: Sequence[str]) -> bytes | None:
        path = f"/{layout.TRUST}/{needed.file}"
        try:
            async with self._origins.ask(name, path, needed.largest, via=via[: loops.DEEPEST]) as answer:
                return await answer.read(needed.largest)
        except Refused as error:
            if error.reason != "unknown-path":
                raise
        return None
