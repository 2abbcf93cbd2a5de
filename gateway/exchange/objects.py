"""Objects on their way from an origin into the store: digested while they come, visible once they are verified and durable."""

from __future__ import annotations

import asyncio
import time

from appliance.runtime.errors import Corrupt, HeadgateError, Refused, Unreachable
from appliance.runtime.once import Once
from gateway.exchange import metrics
from gateway.exchange.decide import Refuse
from gateway.exchange.journal import Journal
from gateway.exchange.origin import Origins
from gateway.exchange.releases import Held
from gateway.release.manifest import File
from gateway.store.objects import Objects

AT_ONCE = 16  # fills under way
WAITING = 512  # objects that wait for their turn


class Fills:
    """Fills the store, one origin request for an object however many wait for it."""

    def __init__(self, tasks: asyncio.TaskGroup, origins: Origins, store: Objects, journal: Journal) -> None:
        self._origins, self._store, self._journal = origins, store, journal
        self._once: Once[str, None] = Once(tasks, at_once=AT_ONCE, waiting=WAITING)
        metrics.FILLING.set_function(lambda: len(self._once))

    async def make_present(self, held: Held, path: str, file: File) -> str:
        """Return ``store`` where the object was there already, ``origin`` once it was fetched, verified and stored.

        Raises:
            Refused: what the origins have is not the object (``digest-mismatch``), or the disk is full (``store-full``).
            Unreachable: the origins are away.
        """
        if self._store.has(file.sha256, file.size):
            return "store"
        await self._once.do(file.sha256, lambda: self._fill(held, path, file))
        return "origin"

    async def _fill(self, held: Held, path: str, file: File) -> None:
        failure: HeadgateError = Unreachable("the policy names no origin")
        began = time.monotonic()
        code = held.admitted.release.code
        for origin in sorted(held.policy.origins, key=lambda name: name != held.origin):
            try:
                await self._take(origin, f"/releases/{code}/{path}", file)
            except Unreachable as error:
                metrics.FILLS.labels("unreachable").inc()
                failure = failure if isinstance(failure, Refused) else error
            except (Corrupt, Refused) as error:
                refusal = _refusal(error, path, origin)
                metrics.FILLS.labels(refusal.reason).inc()
                await self._journal.refused(refusal, None, release=code, path=path, origin=origin)
                failure = refusal.error()
            else:
                metrics.FILLS.labels("stored").inc()
                metrics.FILLED.inc(file.size)
                metrics.SECONDS.observe(time.monotonic() - began)
                return
        raise failure

    async def _take(self, origin: str, path: str, file: File) -> None:
        async with self._origins.ask(origin, path, max(1, file.size)) as answer:
            with self._store.write(file.sha256, file.size) as writer:
                async for chunk in answer.chunks():
                    await asyncio.to_thread(writer.write, chunk)
                await asyncio.to_thread(writer.finish)


def _refusal(error: Corrupt | Refused, path: str, origin: str) -> Refuse:
    """Return why an origin's answer was not stored: what is not the manifest's object, by size or by digest, is a mismatch."""
    sentence = f"'{path}' at the origin '{origin}': {error}"
    if isinstance(error, Corrupt) or error.reason == "too-large":
        return Refuse("digest-mismatch", sentence)
    return Refuse(error.reason, sentence)
