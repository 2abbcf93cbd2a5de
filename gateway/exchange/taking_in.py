"""Takes in what was carried in on a disk: release by release, each file by the way that every object comes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from appliance.runtime.errors import HeadgateError, Refused
from gateway.exchange.carried import Carried
from gateway.exchange.decide import Refuse
from gateway.exchange.objects import Fills
from gateway.exchange.releases import Held, Releases
from gateway.isolation.policy import Policy
from gateway.release import paths
from gateway.store import preposition

MOST_REFUSALS = 100  # files whose refusals a result tells
LOOK = 1.0  # seconds between two looks at whether something was laid down
log = logging.getLogger("headgate.exchange")


class TakingIn:
    """The task; ``policy`` gives the one in force."""

    def __init__(self, policy: Callable[[], Policy], carried: Carried, releases: Releases, fills: Fills) -> None:
        self._policy, self._carried, self._releases, self._fills = policy, carried, releases, fills

    async def run(self) -> None:
        """Take in whatever is laid down, for ever; what was begun before a restart is begun again, and found to be here mostly."""
        while True:
            for code in await asyncio.to_thread(self._carried.codes):
                try:
                    await self._take_in(code)
                except OSError as error:
                    log.warning("the carried release %s cannot be taken in now: %s", code, error)
            await asyncio.sleep(LOOK)

    async def _take_in(self, code: str) -> None:
        files = stored = 0
        refused: list[dict[str, str]] = []
        try:
            held = await self._releases.get(self._policy(), code)
            zone = self._zone(held)
            for path in preposition.order(held.admitted.release):
                files += 1
                if self._carried.has(code, path):
                    refusal = await self._present(held, path, zone)
                    stored += refusal is None
                    refused += [refusal] if refusal else []
        except HeadgateError as error:
            refused.append(_told(paths.MANIFEST, error))
        told = {"release": code, "files": files, "stored": stored, "refused": refused[:MOST_REFUSALS]}
        log.info("took in %d of %d files of %s from a carried disk, refused %d", stored, files, code, len(refused))
        await asyncio.to_thread(self._carried.done, code, told)

    def _zone(self, held: Held) -> str:
        """Return the first zone with screens that the body grants; whether it passes is judged anew whenever a screen asks.

        Raises:
            Refused: it grants none (``zone-not-granted``).
        """
        screens = sorted(service.zone for service in held.policy.services.values() if service.run == "delivery")
        zone = preposition.zone_for(held.admitted.release, screens)
        if zone is None:
            raise Refuse("zone-not-granted", "the body grants it to no zone with screens here").error()
        return zone

    async def _present(self, held: Held, path: str, zone: str) -> dict[str, str] | None:
        try:
            await self._fills.make_present(held, path, held.admitted.release.files[path], zone)
        except HeadgateError as error:
            return _told(path, error)
        return None


def _told(path: str, error: HeadgateError) -> dict[str, str]:
    reason = error.reason if isinstance(error, Refused) else type(error).__name__.lower()
    return {"path": path[:1000], "reason": reason, "error": str(error)[:1000]}
