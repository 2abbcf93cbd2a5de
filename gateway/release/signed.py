"""A release in its DSSE envelope: ``release.json``."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable

from appliance.identity import envelope
from appliance.identity.keys import PrivateKey, PublicKey
from appliance.runtime.errors import Corrupt
from gateway.release import manifest
from gateway.release.manifest import Release

KIND = "application/vnd.headgate.release+json"
LONGEST = 2 * manifest.LONGEST  # bytes of the envelope: base64 takes a third more


def seal(release: Release, key: PrivateKey) -> bytes:
    """Return the envelope of ``release`` signed by ``key``."""
    return envelope.seal(manifest.render(release), KIND, key)


def claimed(data: bytes) -> Release:
    """Return what an envelope claims, WITHOUT looking at its signatures: only to learn whose keys must have signed it.

    Raises:
        Corrupt: it is no envelope of a release.
    """
    if len(data) > LONGEST:
        raise Corrupt(f"the envelope is longer than {LONGEST} bytes")
    try:
        told = json.loads(data)
        payload, kind = base64.b64decode(told["payload"], validate=True), told["payloadType"]
    except (ValueError, KeyError, TypeError, binascii.Error, RecursionError) as error:
        raise Corrupt("this is not a DSSE envelope") from error
    if kind != KIND:
        raise Corrupt(f"the envelope holds '{str(kind)[:80]}', not a release")
    return manifest.parse(payload)


def open_signed(data: bytes, keys: Iterable[PublicKey]) -> tuple[Release, PublicKey]:
    """Return the release in an envelope, and the one of ``keys`` that signed it.

    Raises:
        Corrupt: it is no envelope of a release.
        Refused: none of ``keys`` signed it (``not-signed``).
    """
    if len(data) > LONGEST:
        raise Corrupt(f"the envelope is longer than {LONGEST} bytes")
    payload, key = envelope.open_sealed(data, KIND, keys)
    return manifest.parse(payload), key
