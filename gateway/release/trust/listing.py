"""What a body publishes: its role, which delegates to bins of its own, and the bins, which list releases. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tuf.api.metadata import Delegations, Metadata, SuccinctRoles, TargetFile, Targets

from appliance.identity.keys import PrivateKey, PublicKey
from appliance.runtime.errors import Corrupt, Refused
from gateway.release import signed
from gateway.release.trust import layout, metadata
from gateway.release.trust.delegate import Delegate

LASTS = timedelta(days=365)  # what a body signs; it signs again well before ('renew')


@dataclass(frozen=True)
class Entry:
    """One release as its body lists it: the exact bytes of ``release.json``, and whose key signed that envelope."""

    code: str
    sha256: str
    length: int  # bytes
    version: int
    signer: PublicKey


def entry_of(delegate: Delegate, code: str, envelope: bytes, signers: Iterable[PublicKey]) -> Entry:
    """Return how the release in ``envelope`` is listed.

    Raises:
        Corrupt: it is no release.
        Refused: it is another body's (``not-admitted``), another release (``bad-request``), outside the body's range
            (``outside-identifiers``), or signed by none of ``signers`` (``not-signed``).
    """
    release, signer = signed.open_signed(envelope, signers)
    if release.body != delegate.body:
        raise Refused("not-admitted", f"this release is of '{release.body}', not of '{delegate.body}'")
    if release.code != code:
        raise Refused("bad-request", f"this is the release {release.code}, not {code}", 400)
    if not delegate.may_list(code):
        raise Refused(
            "outside-identifiers", f"{release.identifier} is outside {', '.join(delegate.leading)} of '{delegate.body}'"
        )
    return Entry(code, hashlib.sha256(envelope).hexdigest(), len(envelope), release.version, signer)


def role_of(delegate: Delegate, key: PublicKey, version: int, now: datetime) -> Metadata[Targets]:
    """Return the body's role, unsigned: it lists nothing itself and leaves all to bins that ``key`` signs."""
    bins = SuccinctRoles([metadata.key_id(key)], 1, delegate.bits, layout.bins_of(delegate.body, delegate.bits))
    keys = {metadata.key_id(key): metadata.key_of(key)}
    return Metadata(
        Targets(
            version=version,
            expires=metadata.moment(now) + LASTS,
            delegations=Delegations(keys, succinct_roles=bins),
        )
    )


def bins_in(delegate: Delegate, role: Targets) -> SuccinctRoles:
    """Return the bins of a body's role.

    Raises:
        Corrupt: the role is not of the form that ``role_of`` gives it.
        Refused: it leaves the bins to keys that are not delegated to the body (``wrong-key``).
    """
    bins = role.delegations.succinct_roles if role.delegations is not None else None
    if (
        bins is None
        or role.targets
        or (bins.bit_length, bins.name_prefix)
        != (
            delegate.bits,
            layout.bins_of(delegate.body, delegate.bits),
        )
    ):
        raise Corrupt(f"the role of '{delegate.body}' does not leave its releases to its {1 << delegate.bits} bins")
    if not set(bins.keyids) <= {metadata.key_id(key) for key in delegate.keys}:
        raise Refused("wrong-key", f"'{delegate.body}' leaves its bins to a key that is not, or no longer, its own")
    return bins


def signs_with(role: Targets) -> PublicKey | None:
    """Return the key to which a body's role leaves its bins, or None where it leaves them to none or to several.

    Raises:
        Corrupt: it is of another kind than Ed25519.
    """
    bins = role.delegations.succinct_roles if role.delegations is not None else None
    if role.delegations is None or bins is None or len(bins.keyids) != 1:
        return None
    key = role.delegations.keys.get(bins.keyids[0])
    return None if key is None else metadata.public_of(key)


def bin_with(
    old: Targets | None, entries: Iterable[Entry], without: Iterable[str], version: int, now: datetime
) -> Metadata[Targets]:
    """Return a bin, unsigned, that lists what ``old`` does, and ``entries``, but not the codes ``without``."""
    targets = dict(old.targets) if old is not None else {}
    for code in without:
        targets.pop(layout.path_of(code), None)
    for entry in entries:
        path = layout.path_of(entry.code)
        told = {"custom": {"version": entry.version, "signer": str(entry.signer)}}
        targets[path] = TargetFile(entry.length, {"sha256": entry.sha256}, path, told)
    return Metadata(
        Targets(version=version, expires=metadata.moment(now) + LASTS, targets=dict(sorted(targets.items())))
    )


def read_entry(target: TargetFile) -> Entry:
    """Return what a bin says of one release.

    Raises:
        Corrupt: it is not of the form that ``bin_with`` gives it.
    """
    custom: Any = target.custom
    try:
        entry = Entry(
            layout.code_of(target.path),
            target.hashes["sha256"],
            target.length,
            custom["version"],
            PublicKey.parse(custom["signer"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Corrupt(f"the listing of {target.path[:120]!r} cannot be read") from error
    if not entry.code or type(entry.version) is not int or not isinstance(entry.sha256, str):
        raise Corrupt(f"the listing of {target.path[:120]!r} cannot be read")
    return entry


def by_bin(delegate: Delegate, entries: Iterable[Entry]) -> Mapping[str, list[Entry]]:
    """Return ``entries`` by the name of the bin in which each lies."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(layout.bin_of(delegate.body, delegate.bits, entry.code), []).append(entry)
    return found


def signed_by(role: Metadata[Targets], key: PrivateKey) -> bytes:
    """Return the bytes of a body's metadata, signed by ``key``."""
    return metadata.written(metadata.sign(role, key))
