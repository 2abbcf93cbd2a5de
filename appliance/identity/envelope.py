"""DSSE envelopes (secure-systems-lab/dsse v1): bytes, what kind they are, and who signed them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable

from appliance.identity.keys import PrivateKey, PublicKey
from appliance.runtime.errors import Corrupt, Refused

LARGEST = 64 << 20  # bytes of a whole envelope


def pae(payload: bytes, kind: str) -> bytes:
    """Return what is signed for ``payload`` of the media type ``kind``: DSSE's pre-authentication encoding."""
    # Here: it loads the signers of all clouds, and not every daemon opens an envelope.
    from securesystemslib.dsse import Envelope

    return bytes(Envelope(payload, kind, {}).pae())


def seal(payload: bytes, kind: str, key: PrivateKey) -> bytes:
    """Return the envelope of ``payload`` of the media type ``kind``, signed by ``key``, as JSON."""
    signature = key.sign(pae(payload, kind))
    return json.dumps(
        {
            "payloadType": kind,
            "payload": base64.b64encode(payload).decode(),
            "signatures": [{"keyid": key.public.key_id, "sig": base64.b64encode(signature).decode()}],
        }
    ).encode()


def open_sealed(data: bytes, kind: str, keys: Iterable[PublicKey]) -> tuple[bytes, PublicKey]:
    """Return the payload of an envelope and the one of ``keys`` that signed it.

    Raises:
        Corrupt: this is no envelope, or one of another kind.
        Refused: none of ``keys`` signed it (reason ``not-signed``).
    """
    payload, signatures = _parts(data, kind)
    signed = pae(payload, kind)
    for key in keys:
        if any(key.verify(signature, signed) for signature in signatures):
            return payload, key
    raise Refused("not-signed", "none of the keys admitted here signed this")


def claimed(data: bytes, kind: str) -> bytes:
    """Return the payload of an envelope WITHOUT looking at its signatures: only to learn whose keys must have signed it.

    Raises:
        Corrupt: this is no envelope, or one of another kind.
    """
    return _parts(data, kind)[0]


def _parts(data: bytes, kind: str) -> tuple[bytes, list[bytes]]:
    if len(data) > LARGEST:
        raise Corrupt(f"the envelope is longer than {LARGEST} bytes")
    try:
        told = json.loads(data)
        payload = base64.b64decode(told["payload"], validate=True)
        signatures = [base64.b64decode(s["sig"], validate=True) for s in told["signatures"][:8]]
        found = str(told["payloadType"])
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error, RecursionError) as error:
        raise Corrupt("this is not a DSSE envelope") from error
    if found != kind:
        raise Corrupt(f"the envelope holds '{found[:80]}', not '{kind}'")
    return payload, signatures
