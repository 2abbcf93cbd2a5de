"""Metadata files as bytes and as values: read, signed, written; keys of ours as TUF writes them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from securesystemslib.signer import Signature, SSlibKey
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Key, Metadata, Root, Snapshot, Targets, Timestamp
from tuf.api.serialization.json import JSONSerializer

from appliance.identity.keys import PrivateKey, PublicKey
from appliance.runtime.errors import Corrupt

Signed = TypeVar("Signed", Root, Targets, Snapshot, Timestamp)
_COMPACT = JSONSerializer(compact=True)


def read(data: bytes, kind: type[Signed], name: str) -> Metadata[Signed]:
    """Return the metadata in ``data``; whoever calls verifies who signed it.

    Raises:
        Corrupt: it is no metadata of this kind.
    """
    try:
        found: Metadata[Any] = Metadata.from_bytes(data)
    except (RepositoryError, RecursionError) as error:
        raise Corrupt(f"{name} is no metadata: {str(error)[:200]}") from error
    if not isinstance(found.signed, kind):
        raise Corrupt(f"{name} holds {found.signed.type}, not {kind.type}")
    return found


def written(metadata: Metadata[Signed]) -> bytes:
    """Return the bytes of a metadata file."""
    return bytes(metadata.to_bytes(_COMPACT))


def sign(metadata: Metadata[Signed], *keys: PrivateKey) -> Metadata[Signed]:
    """Add the signatures of ``keys``, and return the same metadata."""
    data = metadata.signed_bytes
    for key in keys:
        name = key_id(key.public)
        metadata.signatures[name] = Signature(name, key.sign(data).hex())
    return metadata


def key_of(public: PublicKey) -> Key:
    """Return a key as TUF writes it."""
    return cast("Key", SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(public.raw)))


def key_id(public: PublicKey) -> str:
    """Return the name under which TUF knows a key."""
    return str(key_of(public).keyid)


def public_of(key: Key) -> PublicKey:
    """Return one of TUF's keys as ours.

    Raises:
        Corrupt: it is of another kind than Ed25519.
    """
    try:
        raw = bytes.fromhex(key.keyval["public"])
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt("a key in the metadata is no Ed25519 key") from error
    if key.scheme != "ed25519" or len(raw) != 32:
        raise Corrupt("a key in the metadata is no Ed25519 key")
    return PublicKey(raw)


def moment(now: datetime) -> datetime:
    """Return ``now`` as metadata tells times: whole seconds."""
    return now.replace(microsecond=0)
