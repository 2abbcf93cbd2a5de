"""What the exchange decided, into its signed journal and as audit records into the spool; and the peers' records.

An entry is durable and signed before what it says happens: what cannot be written down does not cross."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from appliance.runtime.errors import HeadgateError
from appliance.telemetry.records import Record
from appliance.telemetry.spool import Spool
from gateway.exchange import metrics
from gateway.exchange.attempts import Attempts
from gateway.exchange.decide import Admitted, Peer, Refuse
from gateway.release import important
from gateway.release.manifest import File, Release
from gateway.replica.client import Verified

SOURCE = "exchange"
SAME = 60.0  # seconds in which a refusal like one before is counted, not recorded again
MOST_PASSES = 50_000  # objects and releases kept in mind that a zone was given: told once, and again when forgotten
MOST_REFUSALS = 500  # different refusals recorded in that time: an attacker must not fill the spool

WEB_AGAIN = 3600.0  # seconds in which it is not recorded again that a zone asks a web origin
MOST_WEB = 5000  # hosts and methods of which that is kept in mind

log = logging.getLogger("headgate.exchange")


class Ledger(Protocol):
    """A journal that tasks wait for (``appliance/journal/group.py``)."""

    async def append(self, entry: Mapping[str, Any]) -> int:
        """Return the number of ``entry`` once it is durable and signed, or raise Refused."""

    async def prove(self, entry: Mapping[str, Any], number: int) -> bytes:
        """Return the proof that ``entry`` is number ``number``."""


class Journal:
    """The box's signed journal of crossings and the spool, with the rules of who may write what into it."""

    def __init__(self, spool: Spool, clock: Callable[[], float], ledger: Ledger) -> None:
        self._spool, self._clock, self._ledger = spool, clock, ledger
        self._recent: OrderedDict[tuple[str, ...], float] = OrderedDict()
        self._passed: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._attempts = Attempts()
        self._asked: dict[tuple[str, str], float] = {}  # web origins, when that a zone asks was recorded

    async def append(self, record: Record) -> None:
        """Make ``record`` durable.

        Raises:
            Refused: the spool is full (``spool-full``).
        """
        await self.append_all([record])

    async def append_all(self, records: Sequence[Record]) -> None:
        """Make ``records`` durable, all or none.

        Raises:
            Refused: the spool is full (``spool-full``).
        """
        await asyncio.to_thread(self._spool.append_all, records)
        for record in records:
            metrics.RECORDS.labels(record.kind).inc()

    async def admitted(self, admitted: Admitted, origin: str) -> None:
        """Record that a version of a release was verified; without this record it is not admitted.

        Raises:
            Refused: journal or spool cannot take it (``journal-full``, ``journal-broken``, ``busy``, ``spool-full``).
        """
        release = admitted.release
        body = {
            "decision": "admit",
            "reason": "verified",
            "release": release.code,
            "version": release.version,
            "body": release.body,
            "digest": admitted.digest,
            "key": str(admitted.signer),
            "origin": origin,
            "title": release.title,
            "labels": list(release.labels),
            "zones": list(release.rights.zones),
            "files": len(release.files),
            "bytes": sum(file.size for file in release.files.values()),
        }
        await self._audit(body)
        metrics.ADMITTED.inc()
        log.info("admitted %s version %d of %s", release.identifier, release.version, release.body)

    async def took_in(self, admitted: Admitted, peer: Peer) -> None:
        """Record that a release came in whole, by ``peer``; without this it is not kept.

        Raises:
            Refused: as ``admitted``.
        """
        release = admitted.release
        body = {
            "decision": "take-in",
            "reason": "verified",
            "zone": peer.zone,
            "run": peer.run,
            "release": release.code,
            "version": release.version,
            "body": release.body,
            "digest": admitted.digest,
            "key": str(admitted.signer),
            "title": release.title,
            "labels": list(release.labels),
            "zones": list(release.rights.zones),
            "files": len(release.files),
            "bytes": sum(file.size for file in release.files.values()),
        }
        await self._audit(body)
        metrics.TAKEN_IN.inc()
        log.info("took in %s version %d of %s", release.identifier, release.version, release.body)

    async def admitted_table(self, head: Verified, origin: str) -> None:
        """Record that a state of the registry's log was verified; without this nothing that leads to it is brought.

        Raises:
            Refused: as ``admitted``.
        """
        body = {"decision": "admit", "reason": "verified", "object": "identifiers", "registry": head.registry}
        await self._write({**body, "size": head.size, "digest": head.root, "key": head.signer, "origin": origin})

    async def ordered(self, body: Mapping[str, Any]) -> bytes:
        """Record that an order was carried out, and return the proof of that entry.

        Raises:
            Refused: as ``admitted``.
        """
        record = Record.new("audit", SOURCE, body)
        entry, number = await self._write(body, record)
        await self.append(record)
        return await self._ledger.prove(entry, number)

    async def passed(self, peer: Peer, release: Release, path: str, file: File, came: str) -> None:
        """Record that an object goes into the peer's zone; without this it does not. What the zone was given already is not told again.

        Raises:
            Refused: the journal cannot take it (``journal-full``, ``journal-broken``, ``busy``).
        """
        told = {
            "version": release.version,
            "path": path[:1000],
            "sha256": file.sha256,
            "bytes": file.size,
            "from": came,
        }
        await self._pass(peer, release, file.sha256, told, again=came == "origin")

    async def passed_manifest(self, peer: Peer, release: Release) -> None:
        """Record that a version of a release is shown to the peer's zone; as ``passed``.

        Raises:
            Refused: as ``passed``.
        """
        await self._pass(peer, release, f"{release.code} {release.version}", {"version": release.version}, again=False)

    async def passed_web(self, peer: Peer, name: str, host: str, method: str) -> None:
        """Record that a zone's screens ask a web origin; once an hour for the same host and method.

        Raises:
            Refused: as ``passed``.
        """
        key = (peer.zone, f"web {name} {host} {method}")
        if self._clock() - self._asked.get(key, -WEB_AGAIN) < WEB_AGAIN:
            return
        body = {"decision": "pass", "reason": "admitted", "zone": peer.zone, "run": peer.run, "object": "web"}
        await self._write({**body, "origin": name, "host": host, "method": method})
        if len(self._asked) >= MOST_WEB:
            self._asked.clear()
        self._asked[key] = self._clock()

    async def purged(self, body: Mapping[str, Any]) -> None:
        """Record that stored answers of web origins were purged.

        Raises:
            Refused: as ``admitted``.
        """
        await self._audit({"decision": "purge", "reason": "ordered", "object": "web", **body})

    async def _pass(self, peer: Peer, release: Release, what: str, told: Mapping[str, Any], *, again: bool) -> None:
        key = (peer.zone, what)
        if key in self._passed:
            self._passed.move_to_end(key)
            if not again:
                return
        body = {"decision": "pass", "reason": "verified", "zone": peer.zone, "run": peer.run, "release": release.code}
        await self._write({**body, **told})
        self._passed[key] = None
        if len(self._passed) > MOST_PASSES:
            self._passed.popitem(last=False)

    async def _audit(self, body: Mapping[str, Any]) -> None:
        """Write a decision into the journal, then as an audit record into the spool."""
        record = Record.new("audit", SOURCE, body)
        await self._write(body, record)
        await self.append(record)

    async def _write(self, body: Mapping[str, Any], record: Record | None = None) -> tuple[Mapping[str, Any], int]:
        known = {"id": record.id} if record else {}
        time = record.time if record else datetime.now(UTC)
        entry = {"time": time.isoformat(), **known, **body}
        return entry, await self._ledger.append(entry)

    async def refused(self, refusal: Refuse, peer: Peer | None, **what: Any) -> None:
        """Record a refusal; refusing goes on also when that fails. An attempt at important data is never left out."""
        what = {**refusal.told, **what}
        zone = peer.zone if peer else "none"
        metrics.REFUSALS.labels(zone, refusal.reason).inc()
        if refusal.reason == important.REASON:
            if self._attempts.take(peer.name if peer else "none", what, self._clock()):
                await self._write_refusal(refusal, zone, {**({"run": peer.run} if peer else {}), **what})
            return
        if not self._is_new((zone, refusal.reason, *(str(value) for value in what.values()))):
            metrics.UNAUDITED.inc()
            return
        await self._write_refusal(refusal, zone, what)

    async def failed(self, name: str, sentence: str) -> None:
        """Record that the filter ``name`` crashed, hung or was away; one event for the same within a minute."""
        if not self._is_new(("event", name, sentence)):
            return
        body = {"event": "filter-failed", "filter": name, "sentence": sentence[:1000]}
        try:
            await self.append(Record.new("event", SOURCE, body))
        except HeadgateError as error:
            log.error("that a filter failed could not be recorded: %s", error)

    async def tell_floods(self) -> None:
        """Record the attempts at important data that came too fast for an entry each: one entry a peer, with their number."""
        for name, flood in self._attempts.due().items():
            run, _, zone = name.partition("-")
            told = Refuse(important.REASON, f"{flood.times} more attempts at important data")
            await self._write_refusal(told, zone or "none", {"run": run, "times": flood.times, "asked": flood.examples})

    async def _write_refusal(self, refusal: Refuse, zone: str, what: Mapping[str, Any]) -> None:
        log.warning("refused (%s) %s for %s: %s", refusal.reason, what, zone, refusal.sentence)
        body = {
            "decision": "refuse",
            "reason": refusal.reason,
            "sentence": refusal.sentence[:1000],
            "zone": zone,
            **what,
        }
        record = Record.new("audit", SOURCE, body)
        for written in (self._write(body, record), self.append(record)):
            try:
                await written
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
