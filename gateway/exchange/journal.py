"""Records on their way into the spool: the peers', and the exchange's own audit of what it decided."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from appliance.runtime.errors import HeadgateError
from appliance.telemetry.records import Record
from appliance.telemetry.spool import Spool
from gateway.exchange import metrics
from gateway.exchange.decide import Admitted, Peer, Refuse
from gateway.release import manifest

SOURCE = "exchange"
SAME = 60.0  # seconds in which a refusal like one before is counted, not recorded again
MOST_REFUSALS = 500  # different refusals recorded in that time: an attacker must not fill the spool

log = logging.getLogger("headgate.exchange")


class Journal:
    """The spool, with the rules of who may write what into it."""

    def __init__(self, spool: Spool, clock: Callable[[], float]) -> None:
        self._spool, self._clock = spool, clock
        self._recent: OrderedDict[tuple[str, ...], float] = OrderedDict()

    async def append(self, record: Record) -> None:
        """Make ``record`` durable.

        Raises:
            Refused: the spool is full (``spool-full``).
        """
        await asyncio.to_thread(self._spool.append, record)
        metrics.RECORDS.labels(record.kind).inc()

    async def admitted(self, admitted: Admitted, origin: str) -> None:
        """Record that a version of a release was verified; without this record it is not admitted."""
        release = admitted.release
        body = {
            "decision": "admit",
            "reason": "verified",
            "release": release.code,
            "version": release.version,
            "body": release.body,
            "digest": manifest.digest(release),
            "key": str(admitted.signer),
            "origin": origin,
        }
        await self.append(Record.new("audit", SOURCE, body))
        metrics.ADMITTED.inc()
        log.info("admitted %s version %d of %s", release.identifier, release.version, release.body)

    async def refused(self, refusal: Refuse, peer: Peer | None, **what: Any) -> None:
        """Record a refusal; refusing goes on also when that fails."""
        zone = peer.zone if peer else "none"
        metrics.REFUSALS.labels(zone, refusal.reason).inc()
        if not self._is_new((zone, refusal.reason, *(str(value) for value in what.values()))):
            metrics.UNAUDITED.inc()
            return
        log.warning("refused (%s) %s for %s: %s", refusal.reason, what, zone, refusal.sentence)
        body = {
            "decision": "refuse",
            "reason": refusal.reason,
            "sentence": refusal.sentence[:1000],
            "zone": zone,
            **what,
        }
        try:
            await self.append(Record.new("audit", SOURCE, body))
        except HeadgateError as error:
            log.error("a refusal could not be recorded: %s", error)

    def _is_new(self, key: tuple[str, ...]) -> bool:
        now = self._clock()
        while self._recent and next(iter(self._recent.values())) < now - SAME:
            self._recent.popitem(last=False)
        if key in self._recent or len(self._recent) >= MOST_REFUSALS:
            return False
        self._recent[key] = now
        return True
