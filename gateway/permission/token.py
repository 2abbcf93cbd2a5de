"""Common Access Tokens (CTA-5007): a CBOR Web Token (RFC 8392) that an admitted portal signed with Ed25519 <-> ``Permit``."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

import cbor2
from cwt import COSE, COSEKey
from cwt.exceptions import CWTError

from appliance.identity.keys import PublicKey
from appliance.runtime.errors import Refused
from gateway.permission.permit import (
    CONTAINS,
    EXACT,
    LONGEST,
    LONGEST_PATTERN,
    MOST_TESTS,
    PARTS,
    PREFIX,
    REGEX,
    SHA256,
    SHA512_256,
    SUFFIX,
    Comparison,
    Permit,
)

ISS, SUB, AUD, EXP, NBF, IAT, CTI = 1, 2, 3, 4, 5, 6, 7  # RFC 8392 section 3
CATREPLAY, CATV, CATNIP, CATU, CATM, CATH, CATGEO = 308, 310, 311, 312, 313, 315, 316  # CTA-5007
KNOWN = {ISS, SUB, AUD, EXP, NBF, IAT, CTI, CATREPLAY, CATV, CATNIP, CATU, CATM, CATH, CATGEO}
VERSION = 1
CWT_TAG = bytes([0xD8, 61])  # RFC 8392 section 6: may stand before
ED25519, OKP, EDDSA = 6, 1, -8  # RFC 9053
V4, V6 = 52, 54  # RFC 9164
MOST = 64  # members of a list, or of a map
WAYS = (EXACT, PREFIX, SUFFIX, CONTAINS, REGEX, SHA256, SHA512_256)


def issue(claims: Mapping[int, Any], pem: bytes) -> str:
    """Return the token that holds ``claims``, signed by the private key ``pem``, in base64 as it stands in a request."""
    data = COSE.new(alg_auto_inclusion=True).encode_and_sign(
        cbor2.dumps({CATV: VERSION, **claims}), COSEKey.from_pem(pem)
    )
    return base64.urlsafe_b64encode(CWT_TAG + data).rstrip(b"=").decode()


def open_token(text: str, issuers: Mapping[str, Iterable[PublicKey]]) -> Permit:
    """Return what the token says, if one of its issuer's keys signed it.

    A claim that is not known here refuses the token: it may limit what we would not.

    Raises:
        Refused: it is none, or not signed by whom it names, or has a claim that is not known (``bad-token``, ``token-not-signed``,
            ``token-unsupported``).
    """
    if len(text) > LONGEST:
        raise Refused("bad-token", f"a token has at most {LONGEST} characters", 400)
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).removeprefix(CWT_TAG)
    except (binascii.Error, ValueError) as error:
        raise Refused("bad-token", "the token is not base64", 400) from error
    for issuer, keys in issuers.items():
        for key in keys:
            claims = _verified(data, key)
            if claims is not None and claims.get(ISS) == issuer:
                return replace(permit_of(claims), signer=str(key))
    raise Refused("token-not-signed", "no issuer that this box knows signed the token", 401)


def _verified(data: bytes, key: PublicKey) -> dict[Any, Any] | None:
    try:
        payload = COSE.new().decode(data, [COSEKey.new({1: OKP, -1: ED25519, -2: key.raw, 3: EDDSA})])
        claims = cbor2.loads(payload) if isinstance(payload, bytes) else payload
    except (CWTError, ValueError, TypeError, KeyError, IndexError, cbor2.CBORError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def permit_of(claims: Mapping[Any, Any]) -> Permit:
    """Return what ``claims`` permit.

    Raises:
        Refused: a claim is none, or not known here.
    """
    if unknown := [str(name) for name in claims if name not in KNOWN]:
        raise Refused(
            "token-unsupported", f"the token has claims that this box cannot judge: {', '.join(unknown)[:200]}", 401
        )
    if claims.get(CATV, VERSION) != VERSION or claims.get(CATREPLAY, 0) != 0:
        raise Refused(
            "token-unsupported", "the token asks for a version or a replay rule that this box does not have", 401
        )
    try:
        audience = claims.get(AUD, ())
        return Permit(
            issuer=_text(claims[ISS]),
            until=_time(claims[EXP]),
            since=_time(claims.get(NBF, 0)),
            subject=_text(claims.get(SUB, "")),
            token=_bytes(claims.get(CTI, b"")).hex(),
            audience=_texts([audience] if isinstance(audience, str) else audience),
            methods=_texts(claims[CATM]) if CATM in claims else None,
            tests=_tests(claims.get(CATU, {})),
            networks=_networks(claims[CATNIP]) if CATNIP in claims else None,
            territories=_texts(claims[CATGEO]) if CATGEO in claims else None,
            headers={
                _text(name).lower(): _comparisons("header", how) for name, how in _map(claims.get(CATH, {})).items()
            },
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise Refused("bad-token", f"a claim of the token cannot be: {error}", 400) from error


def _tests(value: object) -> tuple[Comparison, ...]:
    found: list[Comparison] = []
    for number, how in _map(value).items():
        if not isinstance(number, int) or not 0 <= number < len(PARTS):
            raise ValueError(f"the URI has no part {number}")
        found += _comparisons(PARTS[number], how)
    if len(found) > MOST_TESTS:
        raise ValueError(f"more than {MOST_TESTS} comparisons")
    return tuple(found)


def _comparisons(part: str, how: object) -> tuple[Comparison, ...]:
    found = []
    for way, value in _map(how).items():
        if way not in WAYS:
            raise ValueError(f"no way {way} to compare")
        wanted = value[0] if way == REGEX and isinstance(value, list) and value else value
        if not isinstance(wanted, bytes if way < 0 else str) or len(wanted) > LONGEST_PATTERN:
            raise ValueError("what to compare with is no text")
        found.append(Comparison(part, way, wanted))
    if not found:
        raise ValueError("nothing to compare with")
    return tuple(found)


def _networks(value: object) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(_network(one) for one in _list(value))


def _network(one: object) -> IPv4Network | IPv6Network:
    if not isinstance(one, cbor2.CBORTag) or one.tag not in (V4, V6):
        raise ValueError("an autonomous system's number cannot be judged here")
    width = 4 if one.tag == V4 else 16
    if isinstance(one.value, bytes) and len(one.value) == width:
        return ip_network((one.value, width * 8))
    length, prefix = one.value  # RFC 9164 section 3.1.2: trailing zero bytes are left out
    return ip_network((_bytes(prefix).ljust(width, b"\0"), int(length)))


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):  # of a number, bytes() would make so many zeros
        raise TypeError("a claim is no byte string")
    return value


def _texts(value: object) -> tuple[str, ...]:
    return tuple(_text(one) for one in _list(value))


def _list(value: object) -> Sequence[Any]:
    if not isinstance(value, list | tuple) or len(value) > MOST:
        raise TypeError("a list was expected")
    return value


def _map(value: object) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping) or len(value) > MOST:
        raise TypeError("a map was expected")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_PATTERN:
        raise TypeError("a text was expected")
    return value


def _time(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1 << 53:
        raise TypeError("a time was expected")
    return float(value)
