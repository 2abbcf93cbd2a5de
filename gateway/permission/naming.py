"""What an order calls a token that somebody has at hand, and when that token ends: read without verifying it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import cbor2

from appliance.runtime.errors import Corrupt, Refused
from appliance.telemetry.records import plain_json
from gateway.permission import signed_uri, token
from gateway.permission.permit import LONGEST, Permit

PARTS = 3  # of a JSON Web Token, between dots
PAYLOAD = 2  # in COSE_Sign1 (RFC 9052 section 4.2): protected, unprotected, payload, signature


def named(text: str) -> tuple[str, float]:
    """Return ``ISSUER:ID`` of the token ``text``, and when it ends (seconds since 1970).

    Raises:
        Refused: it is no token, or it has no identifier (``bad-token``).
    """
    if len(text) > LONGEST:
        raise Refused("bad-token", f"a token has at most {LONGEST} characters", 400)
    try:
        permit = _permit(text)
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        binascii.Error,
        cbor2.CBORError,
        RecursionError,
        Corrupt,
    ) as error:
        raise Refused("bad-token", "this is neither ISSUER:ID nor a token", 400) from error
    if not permit.token:
        raise Refused(
            "bad-token", "the token has no identifier: withdraw its subject, its issuer, or the key that signed it", 400
        )
    return f"{permit.issuer}:{permit.token}", permit.until


def _permit(text: str) -> Permit:
    parts = text.split(".")
    if len(parts) == PARTS:
        return signed_uri.permit_of(_claims(plain_json(_bytes(parts[1]))))
    signed = cbor2.loads(_bytes(text).removeprefix(token.CWT_TAG))
    return token.permit_of(
        _claims(cbor2.loads(signed.value[PAYLOAD] if isinstance(signed, cbor2.CBORTag) else signed[PAYLOAD]))
    )


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _claims(value: object) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise TypeError("the claims are no map")
    return value
