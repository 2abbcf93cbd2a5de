"""Signed URIs (RFC 9246): a JSON Web Token that an admitted portal signed with Ed25519 -> ``Permit``."""

from __future__ import annotations

import base64
import binascii
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import OKPKey

from appliance.identity.keys import PublicKey
from appliance.runtime.errors import Refused
from appliance.telemetry.records import plain_json
from gateway.permission.permit import LONGEST, LONGEST_PATTERN, REGEX, SHA256, Comparison, Permit

ALGORITHMS = ["Ed25519", "EdDSA"]  # RFC 9864 gave the curve a name of its own
KNOWN = {"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cdniv", "cdniuc", "cdnicrit", "cdnistt"}


def open_package(text: str, issuers: Mapping[str, Iterable[PublicKey]]) -> Permit:
    """Return what the package says, if one of its issuer's keys signed it.

    Raises:
        Refused: it is none, or not signed by whom it names, or has a claim that is not known (``bad-token``, ``token-not-signed``,
            ``token-unsupported``).
    """
    if len(text) > LONGEST:
        raise Refused("bad-token", f"a token has at most {LONGEST} characters", 400)
    for issuer, keys in issuers.items():
        for key in keys:
            claims = _verified(text, key)
            if claims is not None and claims.get("iss") == issuer:
                return replace(permit_of(claims), signer=str(key))
    raise Refused("token-not-signed", "no issuer that this box knows signed the token", 401)


def permit_of(claims: Mapping[str, Any]) -> Permit:
    """Return what ``claims`` permit.

    Raises:
        Refused: a claim is none, or not known here.
    """
    if unknown := [name for name in claims if name not in KNOWN]:
        raise Refused(
            "token-unsupported", f"the token has claims that this box cannot judge: {', '.join(unknown)[:200]}", 401
        )
    if claims.get("cdniv", 1) != 1 or claims.get("cdnistt", 0) != 0:
        raise Refused("token-unsupported", "the token asks for a version or a renewal that this box does not have", 401)
    try:
        audience = claims.get("aud", [])
        return Permit(
            issuer=str(claims["iss"]),
            until=_time(claims["exp"]),
            since=_time(claims.get("nbf", 0)),
            subject=str(claims.get("sub", "")),
            token=str(claims.get("jti", "")),
            audience=(audience,) if isinstance(audience, str) else tuple(str(one) for one in audience),
            tests=(_container(claims["cdniuc"]),),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Refused("bad-token", f"a claim of the token cannot be: {error}", 400) from error


def _container(value: object) -> Comparison:
    kind, _, rest = str(value).partition(":")
    if len(rest) > LONGEST_PATTERN:
        raise ValueError("the URI container is too long")
    if kind == "regex":
        return Comparison("uri", REGEX, rest)
    name, _, digest = rest.partition(";")
    if kind != "hash" or name != "sha-256":
        raise ValueError("the URI container is neither 'regex:' nor 'hash:sha-256;'")
    try:
        return Comparison("uri", SHA256, base64.urlsafe_b64decode(digest + "=" * (-len(digest) % 4)))
    except binascii.Error as error:
        raise ValueError("the URI container's digest is not base64") from error


def _verified(text: str, key: PublicKey) -> dict[str, Any] | None:
    x = base64.urlsafe_b64encode(key.raw).rstrip(b"=").decode()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # the older name means the same curve here
            found = jws.deserialize_compact(
                text, OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": x}), ALGORITHMS
            )
        claims = plain_json(found.payload)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return claims if isinstance(claims, dict) else None


def _time(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1 << 53:
        raise TypeError("a time was expected")
    return float(value)
