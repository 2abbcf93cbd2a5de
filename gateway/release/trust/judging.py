"""May a metadata file be taken in? Pure: what is in force and the new one go in; a refusal with its reason comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Targets

from appliance.runtime.errors import Corrupt, HeadgateError, Refused
from gateway.release.trust import layout, listing, metadata
from gateway.release.trust.delegate import Delegate, delegate_of, delegates_of
from gateway.release.trust.layout import ROOT, TARGETS, Name

Read = Callable[[Name], bytes | None]


def root_follows(old: Metadata[Root] | None, new: Metadata[Root]) -> None:
    """Judge a root: the next version, signed by enough keys of the one before and by enough of its own.

    Raises:
        Refused: it is not (``older-metadata``, ``wrong-key``).
    """
    version = new.signed.version
    if version != (1 if old is None else old.signed.version + 1):
        raise Refused("older-metadata", f"version {version} of the root does not follow the one before", 409)
    for by in (new,) if old is None else (old, new):
        _signed(by.signed, ROOT, new, f"version {by.signed.version} of the root")


def targets_follow(root: Root, new: Metadata[Targets], now: datetime) -> None:
    """Judge the operator's targets: signed by enough of the operator's keys, and every delegation of a form that is known.

    Raises:
        Corrupt: a delegation is of another form.
        Refused: signatures lack (``wrong-key``), or it has expired (``expired-metadata``).
    """
    _signed(root, TARGETS, new, "the root")
    _valid(new.signed, "targets", now)
    delegates_of(new.signed)


def role_fits(targets: Targets, body: str, new: Metadata[Targets], now: datetime) -> Delegate:
    """Judge a body's role: signed by a key that is delegated to it, and leaving all to bins of its own; return the delegate.

    Raises:
        Corrupt: it is of another form.
        Refused: ``not-admitted``, ``wrong-key``, ``expired-metadata``.
    """
    delegate = delegate_of(targets, body)
    if delegate is None:
        raise Refused("not-admitted", f"no body '{body}' is admitted")
    _signed(targets, body, new, "the operator")
    _valid(new.signed, body, now)
    listing.bins_in(delegate, new.signed)
    return delegate


def bin_fits(delegate: Delegate, role: Targets, name: str, new: Metadata[Targets], now: datetime) -> None:
    """Judge a bin: signed by the key that the body's role names, listing only releases of its own range that belong in it.

    Raises:
        Corrupt: it is of another form.
        Refused: ``wrong-key``, ``expired-metadata``, ``outside-identifiers``.
    """
    if not listing.bins_in(delegate, role).is_delegated_role(name):
        raise Refused("outside-identifiers", f"'{delegate.body}' has no bin {name}")
    _signed(role, name, new, f"'{delegate.body}'")
    lists_its_own(delegate, name, new.signed)
    _valid(new.signed, name, now)


def lists_its_own(delegate: Delegate, name: str, content: Targets) -> None:
    """Judge what a bin lists.

    Raises:
        Corrupt: an entry cannot be read, or delegates further.
        Refused: a release is outside the body's range or belongs in another bin (``outside-identifiers``).
    """
    if content.delegations is not None:
        raise Corrupt(f"{name} delegates further, which a bin does not")
    for target in content.targets.values():
        code = listing.read_entry(target).code
        if not delegate.may_list(code):
            raise Refused("outside-identifiers", f"{code} is outside {', '.join(delegate.leading)}")
        if layout.bin_of(delegate.body, delegate.bits, code) != name:
            raise Refused("outside-identifiers", f"{code} does not belong in {name}")


@dataclass
class Taken:
    """What a snapshot is to name, the files that are new in it, and those that may not be taken in, with the reason."""

    meta: dict[str, MetaFile]
    new: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def take_in(root: Root, meta: dict[str, MetaFile], newest: dict[str, int], read: Read, now: datetime) -> Taken:
    """Decide which of the ``newest`` versions may follow those that the last snapshot named in ``meta``.

    A body's new role comes in together with its bins, or not at all: rotating its key never leaves a bin that nobody's key verifies.

    Raises:
        Refused: there are no targets that the operator signed (``wrong-key``).
    """
    taken = Taken(dict(meta))
    targets = _take_targets(root, taken, newest, read, now)
    for body, delegate in delegates_of(targets).items():
        ours = {role: version for role, version in newest.items() if Name(role, version).body == body}
        fresh = {role for role, version in ours.items() if version > _version(taken.meta, role)}
        if body in fresh:
            _take_role(delegate, targets, taken, ours, read, now)
            fresh.discard(body)
        role = _read(taken.meta, body, read)
        if role is None:
            taken.refused |= {Name(name, ours[name]).file: f"the role of '{body}' is not here" for name in fresh}
            continue
        for name in sorted(fresh):
            if _version(taken.meta, name) < ours[name]:
                _take_bin(delegate, targets, role, taken, Name(name, ours[name]), read, now)
    return taken


def _take_targets(root: Root, taken: Taken, newest: dict[str, int], read: Read, now: datetime) -> Targets:
    known = _read(taken.meta, TARGETS, read)
    name = Name(TARGETS, newest.get(TARGETS, 0) or 1)
    if name.version == _version(taken.meta, TARGETS) and known is not None:
        return known.signed
    try:
        data = read(name)
        if data is None:
            raise Refused("wrong-key", "there are no targets that the operator signed")
        new = metadata.read(data, Targets, name.file)
        targets_follow(root, new, now)
    except HeadgateError as error:
        if known is None:
            raise
        taken.refused[name.file] = str(error)
        return known.signed
    _add(taken, name, data)
    return new.signed


def _take_role(
    delegate: Delegate, targets: Targets, taken: Taken, ours: dict[str, int], read: Read, now: datetime
) -> None:
    name = Name(delegate.body, ours[delegate.body])
    try:
        data = read(name) or b""
        role = metadata.read(data, Targets, name.file)
        role_fits(targets, delegate.body, role, now)
        bins = listing.bins_in(delegate, role.signed)
        fitting: list[tuple[Name, bytes]] = []
        for bin_name in sorted(ours):
            if bins.is_delegated_role(bin_name):
                file = Name(bin_name, ours[bin_name])
                content = read(file) or b""
                bin_fits(delegate, role.signed, bin_name, metadata.read(content, Targets, file.file), now)
                fitting.append((file, content))
    except HeadgateError as error:
        taken.refused[name.file] = str(error)
        return
    _add(taken, name, data)
    for file, content in fitting:
        if _version(taken.meta, file.role) < (file.version or 0):
            _add(taken, file, content)


def _take_bin(
    delegate: Delegate, targets: Targets, role: Metadata[Targets], taken: Taken, name: Name, read: Read, now: datetime
) -> None:
    try:
        data = read(name) or b""
        role_fits(targets, delegate.body, role, now)
        bin_fits(delegate, role.signed, name.role, metadata.read(data, Targets, name.file), now)
    except HeadgateError as error:
        taken.refused[name.file] = str(error)
    else:
        _add(taken, name, data)


def _add(taken: Taken, name: Name, data: bytes) -> None:
    taken.meta[f"{name.role}.json"] = MetaFile.from_data(name.version or 1, data, ["sha256"])
    taken.new.append(name.file)


def _version(meta: dict[str, MetaFile], role: str) -> int:
    known = meta.get(f"{role}.json")
    return 0 if known is None else known.version


def _read(meta: dict[str, MetaFile], role: str, read: Read) -> Metadata[Targets] | None:
    version = _version(meta, role)
    data = read(Name(role, version)) if version else None
    return None if data is None else metadata.read(data, Targets, f"{version}.{role}.json")


def _signed(by: Root | Targets, role: str, new: Metadata[Root] | Metadata[Targets], who: str) -> None:
    if new.signed.version > layout.NEWEST:
        raise Corrupt(f"version {new.signed.version} of {role} is too large a number")
    try:
        result = by.get_verification_result(role, new.signed_bytes, new.signatures)
    except (RepositoryError, ValueError) as error:
        raise Refused("wrong-key", f"{who} delegates no role {role}") from error
    if not result.verified:
        raise Refused(
            "wrong-key",
            f"{len(result.signed)} of the {result.threshold} signatures that {who} asks for {role} are there",
        )


def _valid(signed: Targets, name: str, now: datetime) -> None:
    if signed.is_expired(now):
        raise Refused("expired-metadata", f"{name} expired at {signed.expires.isoformat()}")
