"""The box's side: is this release listed by its body now? Without I/O of its own: it says which file it needs next, and is given it.

The workflow is that of the TUF specification (section 5), by python-tuf's ``TrustedMetadataSet``: root after root, timestamp,
snapshot (``Top``), then the operator's targets, the body's role, its bin (``Chain``). Nothing older than what was verified is taken.
"""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tuf.api.exceptions import BadVersionNumberError, RepositoryError
from tuf.api.metadata import MetaFile, Targets
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet

from appliance.identity.keys import PublicKey
from appliance.runtime.errors import Corrupt, Refused
from gateway.release.trust import kept as keeping
from gateway.release.trust import layout, listing, metadata, refusals
from gateway.release.trust.delegate import Delegate, delegate_of
from gateway.release.trust.kept import Kept, Remembered
from gateway.release.trust.layout import ROOT, TARGETS, Name, Needed
from gateway.release.trust.listing import Entry
from gateway.release.trust.reasons import MOST_FILES, SAYS_NO
from gateway.release.trust.supply import Ask, Supply
from gateway.release.trust.top import PATIENCE, Top

FRESH = timedelta(seconds=10)  # for which a verified timestamp is not asked for again
RECENT = timedelta(seconds=2)  # the same, of a body; and for which a release that is not listed is not looked up anew
LATELY = timedelta(seconds=60)  # the same, for housekeeping
MOST_BINS = 1024  # in memory
MOST_DOUBTS = 1024  # releases that were not listed, of which it is known when that was looked at
log = logging.getLogger("headgate.admission")


@dataclass(frozen=True)
class Listed:
    """The body lists these exact bytes: ``sha256`` and ``length`` of ``release.json``, signed by ``signer``."""

    entry: Entry
    delegate: Delegate
    by: PublicKey | None  # the body's key that signs its bins
    until: datetime | None  # when the timestamp expires; None: as it was when it was looked up last
    givers: tuple[Delegate, ...] = ()  # whose material the release uses, as far as the operator admits them
    mark: Mark | None = None  # by what it was told


@dataclass(frozen=True)
class Mark:
    """What a listing rests on: while the root is this one and the snapshot names these files, it says what it said, until ``holds``."""

    root: int
    bin: str
    body: str
    digests: tuple[str, ...]  # of bin, role and targets
    holds: datetime  # when the first of these expires


@dataclass(frozen=True)
class Stand:
    """What is verified of a body: the operator's targets, its delegation, its role (None: none holds), and what the snapshot names."""

    targets: Targets
    delegate: Delegate
    role: Targets | None
    meta: Mapping[str, MetaFile]

    def version(self, role: str) -> int:
        """Return the version that the snapshot names, 0 for none."""
        known = self.meta.get(f"{role}.json")
        return 0 if known is None else known.version


@dataclass(frozen=True)
class _Bin:
    """A verified bin; while the snapshot names the same digests (of bin, role and targets), it needs no second look."""

    digests: tuple[str, ...]
    expires: datetime
    entries: dict[str, Entry]


class Chain:
    """The verified metadata of one repository, whose first root is pinned by its SHA-256."""

    def __init__(self, kept: Kept, pinned: str) -> None:
        self._kept, self._supply = kept, Supply()
        self._top = Top(kept, pinned, self._supply)
        self._bins: OrderedDict[str, _Bin] = OrderedDict()
        self._doubts: OrderedDict[str, datetime] = OrderedDict()  # code -> when the metadata at hand did not list it

    def look_up(
        self, body: str, code: str, now: datetime, sha256: str = "", givers: Sequence[str] = ()
    ) -> Listed | Needed:
        """Return how ``body`` lists the release ``code``, or which file is to be given first.

        With ``sha256`` it must list these very bytes; then it is remembered that it did. ``givers``: bodies to be told of as well.

        Raises:
            Refused: it does not list it (``not-listed``, ``not-admitted``, ``outside-identifiers``, ``revoked-key``), or other bytes of it
                (``not-as-listed``), or there is no metadata to trust (``older-metadata``, ``frozen``, ``mixed-metadata``,
                ``wrong-key``, ``expired-metadata``, ``damaged-metadata``, ``missing-metadata``, ``wrong-clock``).
        """
        try:
            newer = current = self._top.current(now, FRESH)
            try:
                listed = self._listed(current, body, code, now, sha256)
            except Refused as error:
                if error.reason not in (*SAYS_NO, "not-as-listed"):
                    raise
                newer = self._top.current(now, abs(now - self._doubted(code, now)))
                if newer is current:
                    raise
                listed = self._listed(newer, body, code, now, sha256)
        except Ask as ask:
            return ask.needed
        except Refused as error:
            if error.reason in SAYS_NO:
                keeping.forget(self._kept, code)
            raise
        targets = self._role(newer, TARGETS, ROOT, now)
        known = [delegate_of(targets, giver) for giver in dict.fromkeys(givers)]
        listed = replace(listed, givers=tuple(giver for giver in known if giver is not None))
        if sha256:
            keeping.remember(self._kept, Remembered(listed.entry, listed.delegate, listed.by, listed.givers))
        return listed

    def give(self, file: str, data: bytes | None, now: datetime) -> None:
        """Take a file that was asked for, None where the origin has none; what nobody asked for is passed over.

        Raises:
            Refused: it is longer than it may be (``too-large``).
        """
        self._supply.give(file, data, now)

    def last_known(self, body: str, code: str) -> Listed:
        """Return how ``body`` listed the release when it was looked up last, whatever has expired since.

        For a release that was admitted before: it plays on while the origin is away. Nothing new is admitted by this.

        Raises:
            Refused: it was not listed then (``not-listed``).
        """
        found = keeping.remembered(self._kept, code)
        if found is None or found.delegate.body != body:
            raise Refused("not-listed", f"'{body}' was not seen to list {code} before the origin went away")
        return Listed(found.entry, found.delegate, found.by, None, found.givers)

    def unchanged(self, mark: Mark, now: datetime) -> bool | Needed:
        """Return whether what was told by ``mark`` would be told again, without looking at the release.

        Raises:
            Refused: there is no metadata to trust.
        """
        try:
            current = self._top.current(now, FRESH)
        except Ask as ask:
            return ask.needed
        names = (mark.bin, mark.body, TARGETS)
        digests = tuple(_digest(meta) for name in names if (meta := current.snapshot.meta.get(f"{name}.json")))
        return (current.root.version, digests) == (mark.root, mark.digests) and now < mark.holds

    def stand(self, body: str, now: datetime) -> Stand | Needed:
        """Return what is verified of ``body`` now, or which file is to be given first.

        Raises:
            Refused: the operator admits no such body (``not-admitted``), or there is no metadata to trust.
        """
        try:
            current = self._top.current(now, RECENT)
            targets = self._role(current, TARGETS, ROOT, now)
            with refusals.told(Name(TARGETS, targets.version), now):
                delegate = delegate_of(targets, body)
            if delegate is None:
                raise Refused("not-admitted", f"the operator admits no body '{body}'")
            role = None
            if f"{body}.json" in current.snapshot.meta:
                try:
                    role = self._role(current, body, TARGETS, now)
                    listing.bins_in(delegate, role)
                except (Refused, Corrupt) as error:  # expired, or of a key that counts no longer: a new one is welcome
                    log.info("the role of '%s' does not hold: %s", body, error)
                    role = None
        except Ask as ask:
            return ask.needed
        return Stand(targets, delegate, role, dict(current.snapshot.meta))

    def named(self, now: datetime) -> Mapping[str, MetaFile]:
        """Return what the newest snapshot names that was verified lately, nothing where none was."""
        try:
            return self._top.current(now, LATELY).snapshot.meta
        except (Ask, Refused):
            return {}

    def obtain(self, name: Name, now: datetime, *, away: bool = False) -> bytes | Needed | None:
        """Return a verified file as it was kept, made as new as the origin has it; None where this version of it is not here.

        ``away``: nobody can be asked; then what was verified last is given, and whoever takes it judges whether it has expired.
        """
        if not away:
            try:
                self._obtain(name, now)
            except Ask as ask:
                return ask.needed
            except Refused as error:
                log.info("%s is given as it was verified last: %s", name.file, error)
        data = self._kept.read(name.file if name.kind == "root" else f"{name.role}.json")
        return data if data is not None and name.version in (None, _version(data)) else None

    def _doubted(self, code: str, now: datetime) -> datetime:
        """Return since when it is asked whether the release is listed after all: only what the origin shows after that tells.

        It may have been published since the box looked last, for whatever reason that was; but who asks for it again and again has the
        origin asked every ``RECENT`` and no more often.
        """
        since, seen = self._doubts.get(code), self._top.seen
        if since is None or not timedelta() <= now - since <= PATIENCE or (seen >= since and now - seen > RECENT):
            since = self._doubts[code] = now
            self._doubts.move_to_end(code)
            while len(self._doubts) > MOST_DOUBTS:
                self._doubts.popitem(last=False)
        return since

    def _obtain(self, name: Name, now: datetime) -> None:
        current = self._top.current(now, FRESH)
        if name.kind not in ("targets", "body", "bin"):
            return
        meta = current.snapshot.meta.get(f"{name.role}.json")
        if meta is None or meta.version != name.version:
            return
        self._role(current, TARGETS, ROOT, now)
        if name.kind in ("body", "bin"):
            role = self._role(current, name.body, TARGETS, now)
            if name.kind == "bin":
                self._bin(current, role, name.role, name.body, now)

    def _listed(self, current: TrustedMetadataSet, body: str, code: str, now: datetime, sha256: str) -> Listed:
        targets = self._role(current, TARGETS, ROOT, now)
        with refusals.told(Name(TARGETS, targets.version), now):
            delegate = delegate_of(targets, body)
        if delegate is None:
            raise Refused("not-admitted", f"the operator admits no body '{body}'")
        if not delegate.may_list(code):
            raise Refused("outside-identifiers", f"isli:{code} is outside {', '.join(delegate.leading)} of '{body}'")
        try:
            return self._by_body(current, delegate, code, now, sha256)
        except Refused as error:
            known = keeping.remembered(self._kept, code) if error.reason == "wrong-key" else None
            if known is None or known.by is None or known.by in delegate.keys:
                raise
            told = (
                f"{known.by}, by which '{body}' listed {code}, was revoked, and no other key of its has listed it since"
            )
            raise Refused("revoked-key", told) from error

    def _by_body(
        self, current: TrustedMetadataSet, delegate: Delegate, code: str, now: datetime, sha256: str
    ) -> Listed:
        body = delegate.body
        role = self._role(current, body, TARGETS, now)
        with refusals.told(Name(body, role.version), now):
            bins, by = listing.bins_in(delegate, role), listing.signs_with(role)
        name = bins.get_role_for_target(layout.path_of(code))
        entry = self._bin(current, role, name, body, now).get(code)
        if entry is None:
            raise Refused("not-listed", f"'{body}' does not list {code}")
        if sha256 not in ("", entry.sha256):
            raise Refused("not-as-listed", f"'{body}' lists other bytes of {code} than these")
        held, targets = self._bins[name], self._role(current, TARGETS, ROOT, now)
        holds = min(held.expires, role.expires, targets.expires)
        mark = Mark(current.root.version, name, body, held.digests, holds)
        return Listed(entry, delegate, by, current.timestamp.expires, mark=mark)

    def _role(self, current: TrustedMetadataSet, role: str, parent: str, now: datetime) -> Targets:
        """Return a role, verified by its parent: as it is in memory, as it was kept, or as the origin has it."""
        meta = _meta(current, role)
        name = Name(role, meta.version)
        if not current.contains(role, parent):
            kept = self._kept.read(f"{role}.json")
            if kept is None or not _fits(current, kept, role, parent):
                data = self._supply.take(name, meta.length)
                with refusals.told(name, now):
                    current.update_delegated_targets(data, role, parent)
                self._kept.write(f"{role}.json", data)
        found = current[role]
        if not isinstance(found, Targets):
            raise TypeError(f"{role} is no targets metadata")
        if found.is_expired(now):
            raise refusals.expired(name, now, found.expires)
        return found

    def _bin(self, current: TrustedMetadataSet, role: Targets, name: str, body: str, now: datetime) -> dict[str, Entry]:
        """Return what a bin lists, by code. Bins are held as entries alone: a hundred thousand releases take little memory."""
        if f"{name}.json" not in current.snapshot.meta:
            return {}  # nothing was ever listed in it
        meta = _meta(current, name)
        file = Name(name, meta.version)
        digests = tuple(_digest(_meta(current, part)) for part in (name, body, TARGETS))
        known = self._bins.get(name)
        if known is None or known.digests != digests:
            kept, verified = self._kept.read(f"{name}.json"), None
            if kept is not None:
                try:
                    verified = _verified(role, file, meta, kept)
                except (RepositoryError, ValueError):
                    kept = None
            if kept is None or verified is None:
                data = self._supply.take(file, meta.length)
                with refusals.told(file, now):
                    verified = _verified(role, file, meta, data)
                self._kept.write(f"{name}.json", data)
            with refusals.told(file, now):
                entries = {entry.code: entry for entry in map(listing.read_entry, verified.targets.values())}
            known = _Bin(digests, verified.expires, entries)
        self._bins[name] = known
        self._bins.move_to_end(name)
        while len(self._bins) > MOST_BINS:
            self._bins.popitem(last=False)
        if known.expires <= now:
            raise refusals.expired(file, now, known.expires)
        return known.entries


def ask(
    chain: Chain, body: str, code: str, now: datetime, read: Callable[[Needed], bytes | None], sha256: str = ""
) -> Listed:
    """Look a release up, with ``read`` at hand that gives the repository's files: in a folder, or over a network.

    Raises:
        Refused: as ``Chain.look_up``; or more than MOST_FILES were asked for (``damaged-metadata``).
    """
    for _ in range(MOST_FILES):
        found = chain.look_up(body, code, now, sha256)
        if isinstance(found, Listed):
            return found
        chain.give(found.file, read(found), now)
    raise Refused("damaged-metadata", f"after {MOST_FILES} files there is no end of metadata", 502)


def _verified(role: Targets, name: Name, meta: MetaFile, data: bytes) -> Targets:
    """Return the bin in ``data``: the file that the snapshot names, signed by the keys of the body's role."""
    meta.verify_length_and_hashes(data)
    found = metadata.read(data, Targets, name.file)
    role.verify_delegate(name.role, found.signed_bytes, found.signatures)
    if found.signed.version != meta.version:
        raise BadVersionNumberError(f"version {found.signed.version}, the snapshot names {meta.version}")
    return found.signed


def _fits(current: TrustedMetadataSet, data: bytes, role: str, parent: str) -> bool:
    try:
        current.update_delegated_targets(data, role, parent)
    except (RepositoryError, ValueError):
        return False
    return True


def _meta(current: TrustedMetadataSet, role: str) -> MetaFile:
    meta = current.snapshot.meta.get(f"{role}.json")
    if meta is None:
        if role == TARGETS:
            raise Refused("damaged-metadata", "the snapshot names no targets", 502)
        raise Refused("not-listed", f"'{role}' has published nothing yet")
    return meta


def _digest(meta: MetaFile) -> str:
    if not meta.hashes or "sha256" not in meta.hashes:
        raise Refused("damaged-metadata", "the snapshot names files without their SHA-256", 502)
    return meta.hashes["sha256"]


def _version(data: bytes) -> int | None:
    """Return the version that kept metadata tells; it was verified when it was kept."""
    try:
        found = json.loads(data)["signed"]["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if isinstance(found, int) else None
