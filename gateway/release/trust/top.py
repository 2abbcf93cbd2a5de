"""From the pinned root to the snapshot: what is newest, seen a moment ago, and never older than what was seen before."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta

from tuf.api.exceptions import EqualVersionNumberError, RepositoryError
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet
from tuf.ngclient.config import EnvelopeType

from appliance.runtime.errors import Refused
from gateway.release.trust import layout, refusals
from gateway.release.trust.kept import Kept
from gateway.release.trust.layout import ROOT, SNAPSHOT, TIMESTAMP, Name
from gateway.release.trust.repository import MADE
from gateway.release.trust.supply import Supply

SLACK = timedelta(hours=1)  # by which a box's clock may be behind the centre's
PATIENCE = timedelta(seconds=60)  # for one round; then it begins anew
MOST_ROOTS = 64  # new roots of one round


class Top:
    """Verified metadata up to the snapshot, as ``TrustedMetadataSet`` holds it; a round makes it new."""

    def __init__(self, kept: Kept, pinned: str, supply: Supply) -> None:
        self._kept, self._pinned, self._supply = kept, pinned, supply
        self._ready: TrustedMetadataSet | None = None
        self._seen = self._given = self._began = datetime.min.replace(tzinfo=UTC)  # of timestamps, of a round
        self._round: TrustedMetadataSet | None = None
        self._rooted, self._roots = False, 0  # whether the round has the newest root, and how many were new in it

    @property
    def seen(self) -> datetime:
        """When the origin showed the timestamp of what is ready, long ago where nothing is."""
        return self._seen

    def current(self, now: datetime, fresh: timedelta) -> TrustedMetadataSet:
        """Return metadata whose timestamp the origin showed at most ``fresh`` ago.

        Raises:
            Ask: a file is needed first.
            Refused: what the origin shows is not to be trusted.
        """
        if self._ready is not None and abs(now - self._seen) <= fresh:
            return self._valid(self._ready, now)
        if self._round is None or abs(now - self._began) > PATIENCE:
            self._round, self._began, self._rooted, self._roots = None, now, False, 0
        try:
            self._round = self._round or self._begin(now)
            self._round.reference_time = now
            self._take_roots(self._round, now)
            if TIMESTAMP not in self._round:
                self._take_timestamp(self._round, now)
            known = self._ready
            if known is not None and _same(known, self._round):
                self._round = known
            else:
                self._take_snapshot(self._round, now)
            self._ready = self._valid(self._round, now)
        except Refused:
            self._round = None
            raise
        self._round, self._seen = None, self._given
        return self._ready

    def _valid(self, known: TrustedMetadataSet, now: datetime) -> TrustedMetadataSet:
        known.reference_time = now
        for role, signed in ((ROOT, known.root), (TIMESTAMP, known.timestamp), (SNAPSHOT, known.snapshot)):
            if signed.is_expired(now):
                raise refusals.expired(Name(role, signed.version), now, signed.expires)
        return known

    def _begin(self, now: datetime) -> TrustedMetadataSet:
        """Return a set that begins at the newest root that was kept, or at the one that the policy pins."""
        known = self._kept_roots()
        if known is not None:
            return known
        name = Name(ROOT, 1)
        data = self._supply.take(name)
        if hashlib.sha256(data).hexdigest() != self._pinned:
            raise Refused("wrong-key", f"{name.file} is not the root that the policy pins", 502)
        with refusals.told(name, now):
            known = TrustedMetadataSet(data, EnvelopeType.METADATA)
        self._kept.write(name.file, data)
        return known

    def _kept_roots(self) -> TrustedMetadataSet | None:
        data = self._kept.read(layout.FIRST_ROOT)
        if data is None or hashlib.sha256(data).hexdigest() != self._pinned:
            return None
        try:
            known = TrustedMetadataSet(data, EnvelopeType.METADATA)
            while (following := self._kept.read(f"{known.root.version + 1}.root.json")) is not None:
                known.update_root(following)
        except (RepositoryError, ValueError):
            return known  # a file that was torn is asked for again
        return known

    def _take_roots(self, known: TrustedMetadataSet, now: datetime) -> None:
        while not self._rooted:
            if self._roots >= MOST_ROOTS:
                raise Refused(
                    "damaged-metadata", f"more than {MOST_ROOTS} new roots at once; asked again it goes on", 502
                )
            name = Name(ROOT, known.root.version + 1)
            data = self._supply.take_or_none(name, now)
            if data is None:
                self._rooted = True
                return
            with refusals.told(name, now):
                known.update_root(data)
            self._kept.write(name.file, data)
            self._roots += 1

    def _take_timestamp(self, known: TrustedMetadataSet, now: datetime) -> None:
        name = Name(TIMESTAMP, None)
        if known.root.is_expired(now):
            raise refusals.expired(Name(ROOT, known.root.version), now, known.root.expires)
        data = self._supply.take_or_none(name, now)
        if data is None:
            raise refusals.missing(name)
        self._given = self._supply.at or now
        kept = self._kept.read(name.file)
        if kept is not None:
            try:
                known.update_timestamp(kept)
            except (RepositoryError, ValueError):
                kept = None  # expired (then it still counts against older ones), or signed by a key that was revoked
        made = made_at(data)
        if made is not None and made > now + SLACK:
            clock = f"this box's clock says {now.isoformat(timespec='seconds')}"
            raise Refused("wrong-clock", f"the centre made the timestamp at {made.isoformat()}, and {clock}", 503)
        with refusals.told(name, now):
            try:
                known.update_timestamp(data)
            except EqualVersionNumberError:
                return
        self._kept.write(name.file, data)

    def _take_snapshot(self, known: TrustedMetadataSet, now: datetime) -> None:
        meta = known.timestamp.snapshot_meta
        name = Name(SNAPSHOT, meta.version)
        if known.timestamp.is_expired(now):
            raise refusals.expired(Name(TIMESTAMP, None), now, known.timestamp.expires)
        kept = self._kept.read(f"{SNAPSHOT}.json")
        if kept is not None:
            try:
                known.update_snapshot(kept, trusted=True)
            except (RepositoryError, ValueError):
                kept = None  # an older one, which still counts against older ones
        if kept is None:
            data = self._supply.take(name, meta.length)
            with refusals.told(name, now):
                known.update_snapshot(data)
            self._kept.write(f"{SNAPSHOT}.json", data)


def made_at(data: bytes) -> datetime | None:
    """Return when the centre says that it made a timestamp (not verified), or None."""
    try:
        moment = datetime.fromisoformat(json.loads(data)["signed"][MADE])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return moment if moment.tzinfo is not None else None


def _same(ready: TrustedMetadataSet, found: TrustedMetadataSet) -> bool:
    return (ready.root.version, ready.timestamp.version) == (found.root.version, found.timestamp.version)
