"""A live file and the fields that sign it: ``Content-Digest`` (RFC 9530) under an HTTP message signature (RFC 9421), pure.

The fields stand in ``PATH.sig`` beside ``PATH``, so that any static web server is an origin. They sign the answer to one request: a 200 to
``GET /releases/CODE/live/PATH`` with this content. Channel and path are not in the file: whoever verifies puts in those it asked for, so
that what was signed for another channel or another name does not verify here.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from cryptography.exceptions import InvalidSignature as WrongSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier
from http_message_signatures.algorithms import ED25519
from http_message_signatures.exceptions import HTTPMessageSignaturesException
from http_message_signatures.resolvers import MappingKeyResolver

from appliance.identity.keys import PrivateKey, PublicKey
from appliance.runtime.errors import Refused

LONGEST = 2048  # bytes of the fields
MOST_FIELDS = 8  # lines
SUFFIX = ".sig"
FOLDER = "live"  # below the release's folder, at origins and in screens' addresses
TAG = "headgate-live"  # what the signature is for (RFC 9421 section 2.3): not taken for another thing signed by the same key
LABEL = "headgate"
COVERED = ("@status", '"@path";req', "content-digest", "content-length", "headgate-sequence")
LATEST = 1 << 40  # seconds since 1970: what a date of Python can hold, with room
_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):", re.ASCII)  # RFC 9530 section 2
_LENGTH = re.compile(r"0|[1-9]\d{0,11}", re.ASCII)  # bytes
_SEQUENCE = re.compile(r"[1-9]\d{0,14}", re.ASCII)  # an Integer of RFC 9651
_FIELD = re.compile(r"([A-Za-z-]{1,40}): ?([\x20-\x7e]{1,1000})")


@dataclass(frozen=True)
class Claim:
    """What a packager says of one file of a channel."""

    sha256: str
    size: int  # bytes
    sequence: int  # of one path only ever greater: the packager's clock in milliseconds
    created: int  # seconds since 1970
    expires: int  # seconds since 1970: from then on nobody may take it for live


@dataclass
class _Request:
    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Answer:
    """The message that is signed, as the library wants it."""

    headers: dict[str, str]
    request: _Request
    status_code: int = 200


class _Verifier(HTTPMessageVerifier):
    """The library's, without its clock: what is of now is decided in ``freshness``, where ``now`` is a value."""

    def validate_created_and_expires(self, sig_input: Any, max_age: timedelta | None = None) -> None:
        """Leave the times to ``freshness``."""


def claim_of(data: bytes, *, sequence: int, created: int, expires: int) -> Claim:
    """Return what is claimed of the content ``data``."""
    return Claim(hashlib.sha256(data).hexdigest(), len(data), sequence, created, expires)


def sign(key: PrivateKey, code: str, path: str, claim: Claim) -> bytes:
    """Return the fields that sign ``claim`` for ``path`` of the channel ``code``."""
    message = _Answer(
        {
            "Content-Digest": _digest_field(claim.sha256),
            "Content-Length": str(claim.size),
            "Headgate-Sequence": str(claim.sequence),
        },
        _Request(_url(code, path)),
    )
    signer = HTTPMessageSigner(signature_algorithm=ED25519)
    prepared = signer.prepare(
        message,
        key_id=key.public.key_id,
        created=datetime.fromtimestamp(claim.created, UTC),
        expires=datetime.fromtimestamp(claim.expires, UTC),
        label=LABEL,
        tag=TAG,
        covered_component_ids=COVERED,
        use_existing_digest=True,
    )
    signer.apply(message, prepared, key.sign(prepared.signature_base))
    return "".join(f"{name}: {value}\r\n" for name, value in message.headers.items()).encode("ascii")


def verify(fields: bytes, key: PublicKey, code: str, path: str) -> Claim:
    """Return what the packager with ``key`` says of ``path`` of the channel ``code``; nothing about now.

    Raises:
        Refused: it did not sign this for that path (``not-signed``).
    """
    message = _Answer(_headers(fields), _Request(_url(code, path)))
    verifier = _Verifier(
        signature_algorithm=ED25519,
        key_resolver=MappingKeyResolver(
            public_keys={key.key_id: Ed25519PublicKey.from_public_bytes(key.raw)}, private_keys={}
        ),
    )
    try:
        (result,) = verifier.verify(message, max_age=None, expect_tag=TAG, require_components=COVERED)
        told, parameters = result.covered_components, result.parameters
        created, expires = parameters["created"], parameters["expires"]
    except (HTTPMessageSignaturesException, WrongSignature, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _not_signed(str(error)) from error
    size, sequence = told['"content-length"'], told['"headgate-sequence"']
    digest = _DIGEST.fullmatch(told['"content-digest"'])
    if digest is None:
        raise _not_signed("the digest is no SHA-256 alone")
    if not _LENGTH.fullmatch(size) or not _SEQUENCE.fullmatch(sequence):
        raise _not_signed("length or sequence is no number")
    if not (isinstance(created, int) and isinstance(expires, int) and 0 < created < expires < LATEST):
        raise _not_signed("it says no time from which until which it holds")
    return Claim(base64.b64decode(digest.group(1)).hex(), int(size), int(sequence), created, expires)


def path_at_origin(code: str, path: str) -> str:
    """Return where an origin has ``path`` of the channel ``code``."""
    return f"/releases/{code}/{FOLDER}/{path}"


def _url(code: str, path: str) -> str:
    return "http://origin" + quote(path_at_origin(code, path), safe="/")  # no host is signed: any origin may serve it


def _digest_field(sha256: str) -> str:
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"


def _headers(fields: bytes) -> dict[str, str]:
    if len(fields) > LONGEST:
        raise _not_signed(f"the fields are longer than {LONGEST} bytes")
    try:
        lines = fields.decode("ascii").split("\r\n")
    except UnicodeDecodeError as error:
        raise _not_signed("the fields are not ASCII") from error
    headers: dict[str, str] = {}
    if lines[-1] != "" or len(lines) > MOST_FIELDS + 1:
        raise _not_signed("these are no fields, or too many")
    for line in lines[:-1]:
        match = _FIELD.fullmatch(line)
        if match is None or match.group(1).lower() in headers:
            raise _not_signed("a line is no field, or a field stands there twice")
        headers[match.group(1).lower()] = match.group(2)
    return headers


def _not_signed(why: str) -> Refused:
    return Refused("not-signed", f"the channel's packager did not sign this for that path: {why[:200]}")
