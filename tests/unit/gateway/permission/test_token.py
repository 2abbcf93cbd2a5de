"""Tokens as portals write them: what opens them, what a claim limits, and any other bytes."""

import base64
import hashlib
from ipaddress import ip_network

import cbor2
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from appliance.identity.keys import PrivateKey, PublicKey
from appliance.runtime.errors import Refused
from gateway.permission import token
from gateway.permission.permit import PREFIX, REGEX, SHA256, Comparison


def pem_of(key):
    """Return a private key as its file holds it."""
    return key._key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


KEY, OTHER = PrivateKey.generate(), PrivateKey.generate()
PEM = pem_of(KEY)
ISSUERS = {"portal": [KEY.public], "other": [OTHER.public]}
CLAIMS = {token.ISS: "portal", token.EXP: 2000}


def reason(text, issuers=ISSUERS):
    with pytest.raises(Refused) as refused:
        token.open_token(text, issuers)
    return refused.value.reason


def test_every_claim_is_read():
    """What the portal wrote is what the permit says."""
    claims = {
        **CLAIMS,
        token.SUB: "viewer",
        token.AUD: ["headend"],
        token.NBF: 1000,
        token.CTI: b"\1\2",
        token.CATM: ["GET"],
        token.CATU: {3: {PREFIX: "/r/"}, 8: {REGEX: [r"\.(ts|m4s)"]}, 4: {SHA256: hashlib.sha256(b"").digest()}},
        token.CATNIP: [cbor2.CBORTag(52, bytes([10, 20, 0, 5])), cbor2.CBORTag(54, [32, bytes.fromhex("20010db8")])],
        token.CATGEO: ["CN-GX"],
        token.CATH: {"X-Screen": {0: "big"}},
    }
    permit = token.open_token(token.issue(claims, PEM), ISSUERS)

    assert (permit.issuer, permit.subject, permit.until, permit.since, permit.token) == (
        "portal",
        "viewer",
        2000,
        1000,
        "0102",
    )
    assert (permit.audience, permit.methods, permit.territories) == (("headend",), ("GET",), ("CN-GX",))
    assert set(permit.tests) == {
        Comparison("path", PREFIX, "/r/"),
        Comparison("extension", REGEX, r"\.(ts|m4s)"),
        Comparison("query", SHA256, hashlib.sha256(b"").digest()),
    }  # fmt: skip
    assert permit.networks == (ip_network("10.20.0.5/32"), ip_network("2001:db8::/32"))
    assert permit.headers == {"x-screen": (Comparison("header", 0, "big"),)}


def test_only_its_issuers_keys_open_it():
    """Another's key, another name, a changed byte, and no issuer at all."""
    text = token.issue(CLAIMS, PEM)
    data = bytearray(base64.urlsafe_b64decode(text + "=="))
    data[-1] ^= 1
    assert reason(text, {"portal": [OTHER.public]}) == "token-not-signed"
    assert reason(text, {"somebody": [KEY.public]}) == "token-not-signed"
    assert reason(base64.urlsafe_b64encode(data).decode().rstrip("=")) == "token-not-signed"
    assert reason(text, {}) == "token-not-signed"


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({317: [1, 2]}, "token-unsupported"),
        ({"x": 1}, "token-unsupported"),
        ({token.CATV: 2}, "token-unsupported"),
        ({token.CATREPLAY: 1}, "token-unsupported"),
        ({token.EXP: "soon"}, "bad-token"),
        ({token.EXP: -1}, "bad-token"),
        ({token.EXP: float("nan")}, "bad-token"),
        ({token.CATU: {9: {0: "x"}}}, "bad-token"),
        ({token.CATU: {3: {}}}, "bad-token"),
        ({token.CATU: {3: {7: "x"}}}, "bad-token"),
        ({token.CATU: {3: {SHA256: "text"}}}, "bad-token"),
        ({token.CATU: {3: {0: "x" * 1001}}}, "bad-token"),
        ({token.CATNIP: [64500]}, "bad-token"),
        ({token.CATNIP: [cbor2.CBORTag(52, [64, b"\1"])]}, "bad-token"),
        ({token.CATM: "GET"}, "bad-token"),
        ({token.AUD: [1]}, "bad-token"),
    ],
)
def test_what_cannot_be_judged_opens_nothing(claims, told):
    """A claim that is wrong, or that this box does not know, refuses the whole token: it may have limited it."""
    assert reason(token.issue({**CLAIMS, **claims}, PEM)) == told


def test_a_token_without_an_end_is_none():
    """Each token says until when."""
    assert reason(token.issue({token.ISS: "portal"}, PEM)) == "bad-token"


@pytest.mark.parametrize(
    "claims", [{token.CTI: 1 << 40}, {token.CATNIP: [cbor2.CBORTag(52, [24, 1 << 40])]}], ids=["cti", "network"]
)
def test_a_number_in_the_place_of_bytes_is_no_length(claims):
    """An issuer that signed it by mistake has a claim refused, and the box its memory."""
    assert reason(token.issue({**CLAIMS, **claims}, PEM)) == "bad-token"


def test_a_long_text_is_not_even_decoded():
    """64 KiB of token are refused by their length."""
    assert reason("A" * 65536) == "bad-token"


@given(st.one_of(st.text(), st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode())))
def test_any_text_is_refused_by_name(text):
    """Nothing that a screen sends raises anything else."""
    assert reason(text) in {"bad-token", "token-not-signed"}


@given(
    st.dictionaries(
        st.integers(0, 330),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=20) | st.binary(max_size=20),
            lambda c: st.lists(c, max_size=3) | st.dictionaries(st.integers(), c, max_size=3),
            max_leaves=6,
        ),
        max_size=5,
    )
)
def test_any_claims_are_a_permit_or_refused(claims):
    """Also what an issuer signed by mistake."""
    reasons = set()
    try:
        token.permit_of({**CLAIMS, **claims})
    except Refused as refused:
        reasons.add(refused.reason)
    assert reasons <= {"bad-token", "token-unsupported"}


def test_another_librarys_reading():
    """The signed bytes are those of RFC 9052: verified by hand, without the library that made them."""
    data = base64.urlsafe_b64decode(token.issue(CLAIMS, PEM) + "==").removeprefix(token.CWT_TAG)
    protected, _, payload, signature = cbor2.loads(data).value
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    assert PublicKey(KEY.public.raw).verify(signature, signed)
    assert cbor2.loads(payload)[token.ISS] == "portal"
