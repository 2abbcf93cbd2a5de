"""The registry's files: fetched from its origin as the replica wants them, which alone can tell what they are worth."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from appliance.runtime.errors import Corrupt, HeadgateError, Refused, Unreachable
from appliance.runtime.once import Once
from gateway.exchange import metrics
from gateway.exchange.decide import Refuse
from gateway.exchange.journal import Journal
from gateway.exchange.origin import Origins
from gateway.isolation.policy import Policy, Registry
from gateway.replica.client import Answer, Replica, Step, Wanted
from gateway.resolver.published import HEAD, LONGEST_ANSWER, lookup_path
from gateway.store.incoming import Incoming
from gateway.store.registry import Mirror

BELOW = "/registry/"
EVERY = 5.0  # seconds between two looks at the registry
SOON = 1.0  # seconds in which a look-up of an unknown code does not ask the registry again
FETCHES = 8  # files under way at a time
LOOKS = 16  # single codes asked for at a time
MOST_STEPS = 10_000  # of one round: a snapshot of 20,000 chunks and the changes since

log = logging.getLogger("headgate.exchange")


class Identifiers:
    """Keeps the table as new as the registry has it, and what was verified of the registry in ``mirror``, for other boxes."""

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        origins: Origins,
        replica: Replica,
        incoming: Incoming,
        mirror: Mirror,
        journal: Journal,
        clock: Callable[[], float],
    ) -> None:
        self._origins, self._replica, self._incoming, self._mirror = origins, replica, incoming, mirror
        self._journal, self._clock = journal, clock
        self._once: Once[str, bool] = Once(tasks, at_once=1, waiting=4)
        self._looks: Once[str, Answer] = Once(tasks, at_once=LOOKS, waiting=16 * LOOKS)
        self._fetches = asyncio.Semaphore(FETCHES)
        self._policy: Policy | None = None
        self._etag, self._at = "", -1  # of the head that the table of this size is the same as
        self._came = ""  # the ETag of the head that came last, of which nobody knows yet what it is worth
        self._admitted = ""  # the root told to the journal last
        self._checked = float("-inf")

    async def make_fresh(self, policy: Policy) -> bool:
        """Return whether the table is now (or was a moment ago) what the registry has."""
        if self._clock() - self._checked < SOON:
            return True
        return await self._once.do("table", lambda: self._refresh(policy))

    async def look_up(self, policy: Policy, code: str) -> dict[str, Any]:
        """Return the answer to a resolver that lacks ``code``: whether the table is new; for a code outside its ranges the registry's word.

        Raises:
            Refused: what the registry says proves nothing.
            Unreachable: it cannot be asked.
        """
        registry = policy.registry
        if registry is None or not registry.ranges or code.startswith(registry.ranges):
            return {"fresh": await self.make_fresh(policy)}
        found = await self._looks.do(code, lambda: self._look(policy, registry, code))
        return {"fresh": True, "answer": {"record": found.record, "made": found.made}}

    async def _look(self, policy: Policy, registry: Registry, code: str) -> Answer:
        path = BELOW + lookup_path(code)
        try:
            async with self._origins.ask(registry.origin, path, LONGEST_ANSWER) as answer:
                data = await answer.read(LONGEST_ANSWER)
            with await asyncio.to_thread(self._incoming.show, data) as shown:
                return await self._replica.look(policy.digest, code, shown.name)
        except Refused as error:
            if error.reason != "unknown-path":
                refusal = Refuse(error.reason, str(error))
                await self._journal.refused(refusal, None, object="identifiers", origin=registry.origin)
            raise

    async def _refresh(self, policy: Policy) -> bool:
        registry = policy.registry
        if registry is None:
            return False
        if policy is not self._policy:  # other keys or ranges may count now: look at the head again
            self._policy, self._etag = policy, ""
        try:
            fresh = await self._round(policy, registry)
        except Unreachable as error:
            log.debug("the registry cannot be asked: %s", error)
            return False
        except (Refused, Corrupt) as error:
            reason = error.reason if isinstance(error, Refused) else "corrupt"
            if reason == "unknown-path":  # a registry that has published nothing yet: nothing tried to cross
                log.debug("the registry has published nothing yet")
                return False
            await self._journal.refused(Refuse(reason, str(error)), None, object="identifiers", origin=registry.origin)
            return False
        if fresh:
            self._checked = self._clock()
            metrics.IDENTIFIERS.set(time.time())
        return fresh

    async def _round(self, policy: Policy, registry: Registry) -> bool:
        """Bring what the replica wants until it wants nothing; return whether the table is what the registry says."""
        told = await self._replica.step(policy.digest, {}, begin=True)
        for _ in range(MOST_STEPS):
            if told.head and told.head.root != self._admitted:
                await self._journal.admitted_table(told.head, registry.origin)
                self._admitted = told.head.root
            if not told.wants:
                break
            if (answer := await self._bring(policy, registry, told)) is None:
                return True
            told = answer
        self._etag, self._at = (self._came, told.size) if told.fresh else ("", -1)
        return told.fresh

    async def _bring(self, policy: Policy, registry: Registry, told: Step) -> Step | None:
        """Fetch what is wanted and show it; None where that is a head that says what it said when the table was made so."""
        etag = self._etag if told.size == self._at else ""
        wants = told.wants
        came = await asyncio.gather(*(self._fetch(registry, want, etag) for want in wants))
        with ExitStack() as shown:
            names: dict[str, str | None] = {}
            for want, data in zip(wants, came, strict=True):
                if isinstance(data, HeadgateError):
                    raise data
                if data is UNCHANGED:
                    return None
                name = None
                if data is not None:
                    name = shown.enter_context(await asyncio.to_thread(self._incoming.show, data)).name
                names[want.path] = name
            answer = await self._replica.step(policy.digest, names)
        if policy.service_of("culture", "share") is not None:
            await asyncio.to_thread(self._keep, wants, came)
        return answer

    async def _fetch(self, registry: Registry, want: Wanted, etag: str) -> bytes | HeadgateError | None:
        """Return the file, None where the origin has none, ``UNCHANGED``, or why it did not come."""
        is_head = want.path == HEAD
        try:
            async with (
                self._fetches,
                self._origins.ask(registry.origin, BELOW + want.path, want.largest, etag if is_head else "") as answer,
            ):
                if answer.unchanged:
                    return UNCHANGED
                data = await answer.read(want.largest)
                if is_head:
                    self._came = answer.etag
                return data
        except HeadgateError as error:
            return None if isinstance(error, Refused) and error.reason == "unknown-path" else error

    def _keep(self, wants: Sequence[Wanted], came: Sequence[object]) -> None:
        for want, data in zip(wants, came, strict=True):
            if isinstance(data, bytes):
                self._mirror.put(want.path, data)

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


UNCHANGED = b"\x00unchanged"  # no file of a registry
