"""A body lists one release over what is known of its listing: its delegation, its newest role and bin. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tuf.api.metadata import Targets

from appliance.identity.keys import PrivateKey, PublicKey
from appliance.runtime.errors import Corrupt, Refused
from gateway.release.trust import layout, listing, metadata
from gateway.release.trust.delegate import Delegate
from gateway.release.trust.files import Files
from gateway.release.trust.layout import Name


@dataclass(frozen=True)
class Over:
    """A body's delegation, and its newest role and bin, as far as there are any."""

    delegate: Delegate
    files: Mapping[Name, bytes]

    def newest(self, role: str) -> tuple[int, Targets | None]:
        """Return version and content of a role, (0, None) where there is none.

        Raises:
            Corrupt: it is no metadata.
        """
        for name, data in self.files.items():
            if name.role == role:
                return name.version or 0, metadata.read(data, Targets, name.file).signed
        return 0, None


def parse(told: Any) -> Over:
    """Return what an institution's box told.

    Raises:
        Corrupt: it is no answer of one.
    """
    try:
        keys = tuple(PublicKey.parse(str(key)) for key in told["keys"])
        leading, acts = tuple(map(str, told["identifiers"])), tuple(map(str, told["acts"]))
        delegate = Delegate(str(told["body"]), keys, leading, acts, int(told["bits"]))
        files = {layout.parse(str(file)): text.encode() for file, text in told["files"].items()}
    except (KeyError, TypeError, ValueError, AttributeError, Refused) as error:
        raise Corrupt(f"what the box told of the body's listing is none: {error}") from error
    if not 1 <= delegate.bits <= layout.MOST_BITS:
        raise Corrupt("what the box told of the body's listing is none: it has no such number of bins")
    return Over(delegate, files)


def list_release(over: Over, code: str, envelope: bytes, key: PrivateKey, now: datetime) -> dict[Name, bytes]:
    """Return what ``key`` signs so that the release is listed: its bin, and its role where there was none; nothing where it is listed.

    Raises:
        Corrupt: ``envelope`` is no release, or the box gave what is no metadata.
        Refused: ``wrong-key``, ``outside-identifiers``, ``not-signed``, ``older-version``, as ``repository.list_release``.
    """
    delegate = over.delegate
    if key.public not in delegate.keys:
        raise Refused("wrong-key", f"this key is none of those that are delegated to '{delegate.body}'")
    signers = [key.public, *(known for known in delegate.keys if known != key.public)]
    entry = listing.entry_of(delegate, code, envelope, signers)
    signed: dict[Name, bytes] = {}
    version, role = over.newest(delegate.body)
    if role is None:
        made = listing.role_of(delegate, key.public, 1, now)
        signed[Name(delegate.body, 1)] = listing.signed_by(made, key)
    elif metadata.key_id(key.public) not in listing.bins_in(delegate, role).keyids:
        raise Refused("wrong-key", f"'{delegate.body}' signs its bins with another key; 'renew' changes to this one")
    else:  # it may wait for the centre still
        signed |= {known: data for known, data in over.files.items() if known.role == delegate.body}
    name = layout.bin_of(delegate.body, delegate.bits, code)
    version, old = over.newest(name)
    there = {known.code: known for known in map(listing.read_entry, old.targets.values())} if old else {}
    before = there.get(code)
    if before is not None and before.version > entry.version:
        told = f"version {before.version} of {code} is listed, this is version {entry.version}"
        raise Refused("older-version", told)
    if before == entry:
        return dict(over.files)
    new = listing.bin_with(old, [entry], [], version + 1, now)
    signed[Name(name, version + 1)] = listing.signed_by(new, key)
    return signed


def from_files(files: Files, body: str, bits: int, code: str) -> dict[Name, bytes]:
    """Return the newest role and the bin of ``code`` in a repository's folder, to be handed in.

    Raises:
        Corrupt: there is no folder that can be read.
    """
    newest, found = files.newest(), {}
    for role in (body, layout.bin_of(body, bits, code)):
        if role in newest and (data := files.read(Name(role, newest[role]))) is not None:
            found[Name(role, newest[role])] = data
    return found
