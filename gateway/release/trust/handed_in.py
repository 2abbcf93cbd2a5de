"""Listings that a body hands in at its institution's box: verified there, kept until the centre names them. The box signs nothing.

A file is taken if the operator delegates to the body (the newest targets say so), its own key signed it, it lists only codes of the
body's range, and it is newer than what the snapshot names and than what waits already. It admits nothing: the snapshot of the centre does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import MetaFile, Targets

from appliance.runtime.errors import HeadgateError, Refused
from gateway.release.trust import judging, layout, listing, metadata
from gateway.release.trust.delegate import delegate_of
from gateway.release.trust.files import Files
from gateway.release.trust.layout import Name
from gateway.release.trust.verifying import Listed, Stand

MOST = 256  # files that wait


class HandedIn:
    """The files in ``folder``; of each role the newest."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def take(self, stand: Stand, files: Mapping[Name, bytes], now: datetime) -> list[Name]:
        """Keep what is new among ``files``, all or nothing, and return its names.

        Raises:
            Corrupt: a file is of another form.
            Refused: ``wrong-key``, ``older-metadata``, ``expired-metadata``, ``outside-identifiers``, ``mixed-metadata``, ``not-listed``
                (there is no role that leaves bins to the body's key), ``busy``.
        """
        fresh = [name for name in sorted(files, key=_order) if self._is_new(stand, name, files[name])]
        role = self._role(stand, now)
        for name in fresh:
            new = metadata.read(files[name], Targets, name.file)
            if new.signed.version != name.version:
                told = f"this is version {new.signed.version}, its name says {name.version}"
                raise Refused("mixed-metadata", told, 400)
            if name.kind == "body":
                judging.role_fits(stand.targets, stand.delegate.body, new, now)
                role = new.signed
                continue
            if role is None:
                raise Refused("not-listed", f"the role of '{stand.delegate.body}' is not here, and was not handed in")
            judging.bin_fits(stand.delegate, role, name.role, new, now)
        self._room(stand, fresh)
        self._files.folder.mkdir(parents=True, exist_ok=True)
        for name in fresh:
            self._files.write(name, files[name])
            self._files.remove([old for old in self._of(name.role) if old != name])
        return fresh

    def lists(self, stand: Stand, code: str, sha256: str, givers: Sequence[str], now: datetime) -> Listed | None:
        """Return how a file that waits lists these very bytes of the release ``code``, None where none does."""
        delegate, role = stand.delegate, self._role(stand, now)
        name = self._newest(layout.bin_of(delegate.body, delegate.bits, code))
        data = self._files.read(name) if name is not None else None
        if name is None or data is None or role is None or (name.version or 0) <= stand.version(name.role):
            return None
        try:
            found = metadata.read(data, Targets, name.file)
            judging.bin_fits(delegate, role, name.role, found, now)
        except HeadgateError:
            return None  # the operator changed his mind since
        target = found.signed.targets.get(layout.path_of(code))
        entry = listing.read_entry(target) if target is not None else None
        if entry is None or entry.sha256 != sha256:
            return None
        known = [delegate_of(stand.targets, giver) for giver in dict.fromkeys(givers)]
        listed = Listed(entry, delegate, listing.signs_with(role), None)
        return replace(listed, givers=tuple(giver for giver in known if giver is not None))

    def newest(self, role: str) -> tuple[Name, bytes] | None:
        """Return the file of a role that waits, or None."""
        name = self._newest(role)
        data = self._files.read(name) if name is not None else None
        return None if name is None or data is None else (name, data)

    def waiting(self, meta: Mapping[str, MetaFile]) -> list[Name]:
        """Return what waits, roles first; what the snapshot ``meta`` names by now, or passed over, is let go."""
        there = self._files.names() if self._files.folder.is_dir() else []
        gone = [
            name for name in there if (known := meta.get(f"{name.role}.json")) and known.version >= (name.version or 0)
        ]
        self._files.remove(gone)
        return sorted(set(there) - set(gone), key=_order)

    def drop(self, name: Name) -> None:
        """Let a file go that the centre does not take."""
        self._files.remove([name])

    def _is_new(self, stand: Stand, name: Name, data: bytes) -> bool:
        known, version = stand.meta.get(f"{name.role}.json"), name.version or 0
        if known is not None and known.version >= version:
            try:
                if known.version > version:
                    raise Refused("older-metadata", f"the centre names version {known.version} of {name.role}", 409)
                known.verify_length_and_hashes(data)
            except LengthOrHashMismatchError as error:
                raise Refused(
                    "older-metadata", f"the centre names another version {version} of {name.role}", 409
                ) from error
            return False
        waits = self.newest(name.role)
        if waits is None or (waits[0].version or 0) < version:
            return True
        if waits == (name, data):
            return False
        told = f"version {waits[0].version} of {name.role} waits for the centre: sign the next version over it"
        raise Refused("older-metadata", told, 409)

    def _role(self, stand: Stand, now: datetime) -> Targets | None:
        """Return the body's role: the one that waits, if it is newer and holds, or the one in force."""
        waits = self.newest(stand.delegate.body)
        if waits is None or (waits[0].version or 0) <= stand.version(stand.delegate.body):
            return stand.role
        try:
            new = metadata.read(waits[1], Targets, waits[0].file)
            judging.role_fits(stand.targets, stand.delegate.body, new, now)
        except HeadgateError:
            return stand.role
        return new.signed

    def _room(self, stand: Stand, fresh: Sequence[Name]) -> None:
        there = {name.role for name in self.waiting(stand.meta)} | {name.role for name in fresh}
        if len(there) > MOST:
            raise Refused("busy", f"{MOST} files of listings wait for the centre already: ask again later", 503)

    def _newest(self, role: str) -> Name | None:
        return max(self._of(role), key=lambda name: name.version or 0, default=None)

    def _of(self, role: str) -> list[Name]:
        return [name for name in self._files.names() if name.role == role] if self._files.folder.is_dir() else []


def _order(name: Name) -> tuple[bool, str, int]:
    return (name.kind != "body", name.role, name.version or 0)
