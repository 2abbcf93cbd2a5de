"""The repository at the operator and at the bodies: publishing releases, taking in what was signed, and keeping it fresh."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from appliance.identity.keys import PrivateKey, PublicKey
from appliance.runtime.errors import Corrupt, Refused
from gateway.release.trust import judging, layout, listing, metadata
from gateway.release.trust.delegate import Delegate, delegate_of
from gateway.release.trust.files import Files
from gateway.release.trust.layout import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, Name

SNAPSHOT_LASTS = timedelta(days=7)
TIMESTAMP_LASTS = timedelta(days=1)  # after which a box that is shown an old one takes nothing new
LINGER = timedelta(
    hours=1
)  # for which files that no snapshot names any more stay, for boxes that are just asking for them
MADE = "made"  # a timestamp's own word: when it was signed, so that a box whose clock is behind notices


@dataclass(frozen=True)
class Listing:
    """What a publication did: the files that were written, and whether boxes can see it (the online key was at hand)."""

    files: tuple[str, ...]
    visible: bool


@dataclass(frozen=True)
class Refreshed:
    """What a refresh did: files taken in, files refused with the reason, until when the timestamp holds."""

    snapshot: int
    timestamp: int
    until: datetime
    new: tuple[str, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)
    changed: bool = True


def list_release(
    folder: Path,
    body: str,
    code: str,
    envelope: bytes,
    body_key: PrivateKey,
    online_key: PrivateKey | None = None,
    *,
    now: datetime | None = None,
) -> Listing:
    """List the release ``code``, of which ``envelope`` is ``release.json``, in the repository at ``folder``.

    The body's key signs the bin in which it lies; with the online key boxes see it at once, without it when the centre refreshes.
    Listing the same bytes again changes nothing.

    Raises:
        Corrupt: ``folder`` holds no repository, or ``envelope`` no release.
        Refused: the body is not admitted (``not-admitted``), ``body_key`` is none of its keys (``wrong-key``), the release is
            outside its range (``outside-identifiers``), signed by no key of the body (``not-signed``), or older than the one
            that is listed (``older-version``).
    """
    return list_releases(folder, body, [(code, envelope)], body_key, online_key, now=now)


def list_releases(
    folder: Path,
    body: str,
    releases: Iterable[tuple[str, bytes]],
    body_key: PrivateKey,
    online_key: PrivateKey | None = None,
    *,
    without: Iterable[str] = (),
    now: datetime | None = None,
) -> Listing:
    """List many releases (code, envelope) at once, and no longer the codes ``without``: each bin is signed once.

    Raises:
        Corrupt: as ``list_release``.
        Refused: as ``list_release``; then none is listed.
    """
    now = now or datetime.now(UTC)
    files = Files(folder)
    with files.alone():
        newest = files.newest()
        delegate = delegate_of(targets_of(files).signed, body)
        if delegate is None:
            raise Refused("not-admitted", f"no body '{body}' is admitted")
        if body_key.public not in delegate.keys:
            raise Refused("wrong-key", f"this key is none of those that are delegated to '{body}'")
        signers = [body_key.public, *(key for key in delegate.keys if key != body_key.public)]
        entries = [listing.entry_of(delegate, code, data, signers) for code, data in releases]
        gone: dict[str, set[str]] = {}
        for code in without:
            gone.setdefault(layout.bin_of(body, delegate.bits, code), set()).add(code)
        writing = _role(files, newest, delegate, body_key, now)
        grouped = listing.by_bin(delegate, entries)
        for name in sorted({*grouped, *gone}):
            writing += _bin_of(files, newest, name, grouped.get(name, []), gone.get(name, set()), body_key, now)
        for file, data in reversed(writing):  # bins before the role that leaves them to its key
            files.write(file, data)
        if online_key is not None:
            _refresh(files, online_key, now, TIMESTAMP_LASTS, force=False)
    return Listing(tuple(file.file for file, _ in writing), online_key is not None)


def renew(
    folder: Path, body: str, body_key: PrivateKey, online_key: PrivateKey | None = None, *, now: datetime | None = None
) -> Listing:
    """Sign a body's role and all its bins anew with ``body_key``: after its keys changed, or before they expire.

    Raises:
        Corrupt: as ``list_release``.
        Refused: as ``list_release``.
    """
    now = now or datetime.now(UTC)
    files = Files(folder)
    with files.alone():
        newest = files.newest()
        delegate = delegate_of(targets_of(files).signed, body)
        if delegate is None:
            raise Refused("not-admitted", f"no body '{body}' is admitted")
        if body_key.public not in delegate.keys:
            raise Refused("wrong-key", f"this key is none of those that are delegated to '{body}'")
        role = listing.role_of(delegate, body_key.public, newest.get(body, 0) + 1, now)
        bins = listing.bins_in(delegate, role.signed)
        written: list[Name] = []
        for name in sorted(role_name for role_name in newest if bins.is_delegated_role(role_name)):
            old = _metadata(files, Name(name, newest[name]))
            new = listing.bin_with(old.signed, [], [], newest[name] + 1, now)
            written.append(Name(name, new.signed.version))
            files.write(written[-1], listing.signed_by(new, body_key))
        written.append(Name(body, role.signed.version))
        files.write(written[-1], listing.signed_by(role, body_key))
        if online_key is not None:
            _refresh(files, online_key, now, TIMESTAMP_LASTS, force=False)
    return Listing(tuple(name.file for name in written), online_key is not None)


def refresh(
    folder: Path,
    online_key: PrivateKey,
    *,
    lasts: timedelta = TIMESTAMP_LASTS,
    force: bool = False,
    now: datetime | None = None,
) -> Refreshed:
    """Take in what was signed since the last snapshot, and sign a new timestamp where it is due (or ``force``).

    Raises:
        Corrupt: ``folder`` holds no repository.
        Refused: ``online_key`` is not the root's (``wrong-key``), or there are no targets that the operator signed.
    """
    files = Files(folder)
    with files.alone():
        return _refresh(files, online_key, now or datetime.now(UTC), lasts, force=force)


def put(folder: Path, file: str, data: bytes, *, now: datetime | None = None) -> Name:
    """Take one signed file into the folder, as ``N.ROLE.json``; the next refresh shows it to boxes.

    Raises:
        Corrupt: it is no metadata.
        Refused: ``wrong-key``, ``older-metadata`` (it is not the next version), ``not-admitted``, ``outside-identifiers``, ...
    """
    now = now or datetime.now(UTC)
    name = layout.parse(file)
    files = Files(folder)
    with files.alone():
        newest = files.newest()
        if files.read(name) == data:
            return name
        known = newest.get(name.role, 0)
        if name.version is not None and (name.version <= known or (name.kind == "root" and name.version > known + 1)):
            raise Refused("older-metadata", f"version {known} of {name.role} is here, this is {name.version}", 409)
        _judge(files, newest, name, data, now)
        files.write(name, data)
    return name


def root_of(files: Files) -> Metadata[Root]:
    """Return the newest root, each version verified by the one before.

    Raises:
        Corrupt: there is none.
        Refused: a version is not signed by the one before (``wrong-key``).
    """
    known: Metadata[Root] | None = None
    for version in range(1, files.newest().get(ROOT, 0) + 1):
        data = files.read(Name(ROOT, version))
        if data is None:
            raise Corrupt(f"version {version} of the root is missing")
        new = metadata.read(data, Root, f"{version}.root.json")
        judging.root_follows(known, new)
        known = new
    if known is None:
        raise Corrupt(f"{files.folder} holds no root yet: enough of its keys have to sign it first")
    return known


def _judge(files: Files, newest: dict[str, int], name: Name, data: bytes, now: datetime) -> None:
    """Judge a file by what is newest in the folder; whether it fits to the rest of its body's is seen at the refresh."""
    if name.kind == "root":
        new_root = metadata.read(data, Root, name.file)
        judging.root_follows(root_of(files) if ROOT in newest else None, new_root)
        return
    if name.kind in ("snapshot", "timestamp"):
        raise Refused("bad-request", "snapshot and timestamp are signed by the online key when it refreshes", 400)
    new = metadata.read(data, Targets, name.file)
    if new.signed.version != name.version:
        raise Refused("bad-request", f"this is version {new.signed.version}, its name says {name.version}", 400)
    if name.kind == "targets":
        judging.targets_follow(root_of(files).signed, new, now)
        return
    targets = targets_of(files).signed
    if name.kind == "body":
        judging.role_fits(targets, name.role, new, now)
        return
    delegate = delegate_of(targets, name.body)
    if delegate is None:
        raise Refused("not-admitted", f"no body '{name.body}' is admitted")
    for key in delegate.keys:  # the one that the body's role names, or that its next one will
        role = listing.role_of(delegate, key, 1, now).signed
        try:
            judging.bin_fits(delegate, role, name.role, new, now)
        except Refused as error:
            if error.reason != "wrong-key" or key == delegate.keys[-1]:
                raise
        else:
            return


def _role(
    files: Files, newest: dict[str, int], delegate: Delegate, key: PrivateKey, now: datetime
) -> list[tuple[Name, bytes]]:
    """Return the body's first role, or nothing where one that leaves the bins to ``key`` is there."""
    version = newest.get(delegate.body, 0)
    if version:
        bins = listing.bins_in(delegate, _metadata(files, Name(delegate.body, version)).signed)
        if metadata.key_id(key.public) not in bins.keyids:
            raise Refused(
                "wrong-key", f"'{delegate.body}' signs its bins with another key; 'renew' changes to this one"
            )
        return []
    role = listing.role_of(delegate, key.public, 1, now)
    return [(Name(delegate.body, 1), listing.signed_by(role, key))]


def _bin_of(
    files: Files,
    newest: dict[str, int],
    name: str,
    entries: list[listing.Entry],
    gone: set[str],
    key: PrivateKey,
    now: datetime,
) -> list[tuple[Name, bytes]]:
    version = newest.get(name, 0)
    old = _metadata(files, Name(name, version)).signed if version else None
    there = {entry.code: entry for entry in map(listing.read_entry, old.targets.values())} if old else {}
    for entry in entries:
        before = there.get(entry.code)
        if before is not None and before.version > entry.version:
            told = f"version {before.version} of {entry.code} is listed, this is version {entry.version}"
            raise Refused("older-version", told)
    fresh = [entry for entry in entries if there.get(entry.code) != entry]
    if not fresh and not gone & there.keys():
        return []
    new = listing.bin_with(old, fresh, gone, version + 1, now)
    return [(Name(name, version + 1), listing.signed_by(new, key))]


def _refresh(files: Files, key: PrivateKey, now: datetime, lasts: timedelta, *, force: bool) -> Refreshed:
    root = root_of(files).signed
    key_name = metadata.key_id(key.public)
    if any(key_name not in root.roles[role].keyids for role in (SNAPSHOT, TIMESTAMP)):
        raise Refused("wrong-key", "this is not the online key that the root names")
    known = _known(files)
    old = known[1].signed if known is not None else None
    taken = judging.take_in(root, dict(old.meta) if old else {}, files.newest(), files.read, now)
    new_snapshot = (
        old is None or bool(taken.new) or _due(old.expires, SNAPSHOT_LASTS, now) or _signed_by_other(known, key)
    )
    timestamp = known[0].signed if known is not None else None
    if not new_snapshot and not force and timestamp is not None and not _due(timestamp.expires, lasts, now):
        return Refreshed(
            old.version if old else 0, timestamp.version, timestamp.expires, refused=taken.refused, changed=False
        )
    if new_snapshot or old is None:
        version = files.newest().get(SNAPSHOT, 0) + 1
        old = Snapshot(version=version, expires=metadata.moment(now) + SNAPSHOT_LASTS, meta=taken.meta)
        files.write(Name(SNAPSHOT, version), metadata.written(metadata.sign(Metadata(old), key)))
    data = files.read(Name(SNAPSHOT, old.version)) or b""
    new = Timestamp(
        version=timestamp.version + 1 if timestamp is not None else 1,
        expires=metadata.moment(now) + lasts,
        snapshot_meta=MetaFile.from_data(old.version, data, ["sha256"]),
        unrecognized_fields={MADE: metadata.moment(now).isoformat()},
    )
    files.write(Name(TIMESTAMP, None), metadata.written(metadata.sign(Metadata(new), key)))
    _sweep(files, old, now)
    return Refreshed(old.version, new.version, new.expires, tuple(taken.new), taken.refused)


def _known(files: Files) -> tuple[Metadata[Timestamp], Metadata[Snapshot]] | None:
    """Return the timestamp and the snapshot that it names, or None before the first."""
    data = files.read(Name(TIMESTAMP, None))
    if data is None:
        return None
    timestamp = metadata.read(data, Timestamp, "timestamp.json")
    name = Name(SNAPSHOT, timestamp.signed.snapshot_meta.version)
    return timestamp, metadata.read(files.read(name) or b"", Snapshot, name.file)


def _signed_by_other(known: tuple[Metadata[Timestamp], Metadata[Snapshot]] | None, key: PrivateKey) -> bool:
    return known is not None and metadata.key_id(key.public) not in known[1].signatures


def _due(expires: datetime, lasts: timedelta, now: datetime) -> bool:
    return now > expires - lasts / 2


def _sweep(files: Files, snapshot: Snapshot, now: datetime) -> None:
    """Remove files that were superseded more than LINGER ago; roots stay, and what waits to be taken in."""
    gone = []
    for name in files.names():
        if name.version is None or name.kind == "root":
            continue
        current = snapshot.version if name.role == SNAPSHOT else _current(snapshot, name.role)
        if name.version < current:
            changed = (files.folder / name.file).stat().st_mtime
            if now.timestamp() - changed > LINGER.total_seconds():
                gone.append(name)
    files.remove(gone)


def _current(snapshot: Snapshot, role: str) -> int:
    known = snapshot.meta.get(f"{role}.json")
    return 0 if known is None else known.version


def targets_of(files: Files) -> Metadata[Targets]:
    """Return the operator's newest targets, which verify under the newest root."""
    version = files.newest().get(TARGETS, 0)
    if not version:
        raise Corrupt(f"{files.folder} holds no targets yet: enough of the operator's keys have to sign them first")
    return _metadata(files, Name(TARGETS, version))


def _metadata(files: Files, name: Name) -> Metadata[Targets]:
    return metadata.read(files.read(name) or b"", Targets, name.file)


def bin_content(files: Files, name: str) -> Targets | None:
    """Return the newest version of a bin, or None where nothing was ever listed in it.

    Raises:
        Corrupt: the file is damaged.
    """
    version = files.newest().get(name, 0)
    return _metadata(files, Name(name, version)).signed if version else None


def role_content(files: Files, body: str) -> Targets | None:
    """Return the newest version of a body's role, or None where it has published nothing yet.

    Raises:
        Corrupt: the file is damaged.
    """
    return bin_content(files, body)


def signs_with(files: Files, body: str) -> PublicKey | None:
    """Return the key to which a body leaves its bins, or None where it has published nothing yet.

    Raises:
        Corrupt: the file is damaged.
    """
    role = role_content(files, body)
    return None if role is None else listing.signs_with(role)


def lost_by(files: Files, new: Root) -> str:
    """Return the file in force that would not be signed by enough keys of the root ``new``, or an empty text.

    Raises:
        Corrupt: a file is damaged.
    """
    known = _known(files)
    for role, found in (
        (TARGETS, targets_of(files) if TARGETS in files.newest() else None),
        (SNAPSHOT, known[1] if known else None),
        (TIMESTAMP, known[0] if known else None),
    ):
        if found is not None:
            data: Metadata[Any] = found
            if not new.get_verification_result(role, data.signed_bytes, data.signatures).verified:
                return f"{role}.json"
    return ""
