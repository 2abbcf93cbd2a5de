"""What a filter refused, into the quarantine: objects, envelopes of releases, live files. The refusal's record names the item."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.exchange.decide import Refuse
from gateway.release.trust import reasons
from gateway.store.quarantine import Quarantine

LONGEST = 1000  # characters of a sentence
# What says nothing of the bytes: nobody had time or room to look at them, there are none, or there is nothing to judge them by.
NOT_OF_BYTES = frozenset(
    (
        *("busy", "store-full", "store-broken", "unknown-path", "bad-request", "not-held", "other-policy"),
        *("not-listed", "waiting-for-listing"),  # it may be listed in a moment
        *reasons.NO_TRUST,
    )
)
AWAY = "away"  # how a filter failed that nobody could ask


class HoldingBack:
    """Keeps what was refused."""

    def __init__(self, quarantine: Quarantine) -> None:
        self._quarantine = quarantine

    async def hold(self, file: Path, refusal: Refuse, about: Mapping[str, str], *, live: bool = False) -> Refuse:
        """Keep a copy of ``file`` with what is told ``about`` it; return the refusal with what its record says of that.

        Only what a filter refused, or did not survive; and what is not the object by its size, which the exchange counts itself.
        """
        if "filter" not in refusal.told or refusal.reason in NOT_OF_BYTES or refusal.told.get("how") == AWAY:
            return refusal
        told: dict[str, Any] = {
            "reason": refusal.reason,
            "sentence": refusal.sentence[:LONGEST],
            **refusal.told,
            **about,
        }
        told |= {"live": True} if live else {}
        name = await asyncio.to_thread(self._quarantine.take, file, told, live=live)
        more = {"quarantine": name, "path": about.get("path", "")} if name else {}
        return Refuse(refusal.reason, refusal.sentence, {**refusal.told, **more})
