"""Fields <-> signature: only what this packager signed for this channel and this path verifies."""

import base64
import dataclasses

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from http_message_signatures import HTTPMessageVerifier
from http_message_signatures.algorithms import ED25519
from http_message_signatures.resolvers import MappingKeyResolver
from hypothesis import given
from hypothesis import strategies as st

from appliance.identity.keys import PrivateKey, PublicKey
from appliance.runtime.errors import Refused
from gateway.release.live import signing

CODE, PATH = "999999-100000000000001-4", "v0/一.ts"
KEY, STRANGER = PrivateKey.generate(), PrivateKey.generate()
CLAIM = signing.claim_of(b"segment", sequence=1_764_354_912_345, created=1_764_354_912, expires=1_764_354_999)
FIELDS = signing.sign(KEY, CODE, PATH, CLAIM)

RFC_KEY = b"""-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF
-----END PRIVATE KEY-----
"""
RFC_BASE = b"""\
"date": Tue, 20 Apr 2021 02:07:55 GMT
"@method": POST
"@path": /foo
"@authority": example.com
"content-type": application/json
"content-length": 18
"@signature-params": ("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519\""""
RFC_SIGNATURE = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="


def refusal(fields, key=KEY.public, code=CODE, path=PATH):
    with pytest.raises(Refused) as caught:
        signing.verify(fields, key, code, path)
    return caught.value.reason


def field(fields, name, value):
    """Return ``fields`` with another value of one of them."""
    lines = [line for line in fields.decode().split("\r\n") if line]
    return "".join(f"{name}: {value}\r\n" if line.startswith(f"{name}:") else f"{line}\r\n" for line in lines).encode()


def test_what_was_signed_verifies():
    """The claim comes back as it went in."""
    assert signing.verify(FIELDS, KEY.public, CODE, PATH) == CLAIM


def test_our_keys_make_the_signature_of_rfc_9421():
    """Appendix B.2.6, ed25519: deterministic, so the bytes are the same."""
    assert base64.b64encode(PrivateKey(load_pem_private_key(RFC_KEY, None)).sign(RFC_BASE)).decode() == RFC_SIGNATURE


def test_the_fields_are_those_of_the_two_rfcs():
    """A reader of RFC 9530 and RFC 9421 finds what the page says."""
    names = [line.split(":")[0] for line in FIELDS.decode().splitlines()]
    assert names == ["Content-Digest", "Content-Length", "Headgate-Sequence", "Signature-Input", "Signature"]
    assert b"Content-Digest: sha-256=:" in FIELDS
    assert b'headgate=("@status" "@path";req "content-digest" "content-length" "headgate-sequence");created=' in FIELDS


def test_another_implementation_verifies_it():
    """The library alone, as any reader of RFC 9421 would use it."""

    class Patient(HTTPMessageVerifier):
        def validate_created_and_expires(self, sig_input, max_age=None):
            """Its own clock is later than the fields."""

    message = signing._Answer(
        dict(line.split(": ", 1) for line in FIELDS.decode().splitlines()),
        signing._Request("http://elsewhere/releases/999999-100000000000001-4/live/v0/%E4%B8%80.ts"),
    )
    keys = MappingKeyResolver(public_keys={KEY.public.key_id: KEY._key.public_key()}, private_keys={})
    (result,) = Patient(signature_algorithm=ED25519, key_resolver=keys).verify(
        message, body=b"segment", max_age=None, expect_tag="headgate-live"
    )
    assert result.body == b"segment"


ATTACKS = {
    "nothing": b"",
    "no fields": b"hello",
    "not to the end": FIELDS[:-2],
    "line feeds alone": FIELDS.replace(b"\r\n", b"\n"),
    "no signature": FIELDS[: FIELDS.index(b"Signature:")],
    "no input": b"".join(line + b"\r\n" for line in FIELDS.split(b"\r\n")[:3]),
    "another digest": field(FIELDS, "Content-Digest", f"sha-256=:{base64.b64encode(bytes(32)).decode()}:"),
    "a second digest": FIELDS.replace(b"Content-Digest: ", b"Content-Digest: sha-512=:AA==:, "),
    "another length": field(FIELDS, "Content-Length", "8"),
    "a later sequence": field(FIELDS, "Headgate-Sequence", "1764354912346"),
    "later for ever": FIELDS.replace(b"expires=1764354999", b"expires=1864354999"),
    "a field twice": FIELDS + b"Content-Length: 9\r\n",
    "too many": FIELDS + b"".join(b"X-%c: 1\r\n" % c for c in b"abcdefgh"),
    "too long": FIELDS + b"X: " + b"a" * 2048 + b"\r\n",
    "fewer covered": FIELDS.replace(b' "headgate-sequence"', b""),
    "another purpose": FIELDS.replace(b'tag="headgate-live"', b'tag="headgate-film"'),
    "another label for the input": FIELDS.replace(b"Signature-Input: headgate", b"Signature-Input: other"),
    "by a stranger": signing.sign(STRANGER, CODE, PATH, CLAIM),
    "another channel": signing.sign(KEY, "999999-100000000000002-2", PATH, CLAIM),
    "another path": signing.sign(KEY, CODE, "v1/一.ts", CLAIM),
    "that ran out before it began": signing.sign(KEY, CODE, PATH, dataclasses.replace(CLAIM, expires=CLAIM.created)),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_else_does(attack):
    """Each thing that somebody between packager and box could do."""
    assert refusal(ATTACKS[attack]) == "not-signed"


def test_it_is_of_one_key_one_channel_and_one_path():
    """What verifies here verifies nowhere else."""
    assert refusal(FIELDS, key=STRANGER.public) == "not-signed"
    assert refusal(FIELDS, code="999999-100000000000002-2") == "not-signed"
    assert refusal(FIELDS, path="v0/二.ts") == "not-signed"


@given(st.binary(max_size=400))
def test_any_bytes_are_refused(data):
    """Nobody makes the verifier fail in another way."""
    assert refusal(data) == "not-signed"


@given(st.integers(0, len(FIELDS) - 1), st.integers(0, 255))
def test_any_other_byte_is_refused_or_says_the_same(at, value):
    """No byte of the fields can be changed so that they claim something else."""
    altered = FIELDS[:at] + bytes([value]) + FIELDS[at + 1 :]
    try:
        claim = signing.verify(altered, KEY.public, CODE, PATH)
    except Refused:
        return
    assert claim == CLAIM


@given(
    st.binary(max_size=50),
    st.integers(1, 10**15 - 1),
    st.integers(1, 1 << 31),
    st.integers(1, 10_000),
    st.text("abc/_-.一", min_size=1, max_size=30),
)
def test_any_claim_comes_back(data, sequence, created, life, path):
    """Signing and verifying are each other's inverse."""
    claim = signing.claim_of(data, sequence=sequence, created=created, expires=created + life)
    assert signing.verify(signing.sign(KEY, CODE, path, claim), PublicKey(KEY.public.raw), CODE, path) == claim
