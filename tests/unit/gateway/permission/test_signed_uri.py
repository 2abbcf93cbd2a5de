"""Signed URIs of RFC 9246, and any other text."""

import base64
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Refused
from gateway.permission.permit import REGEX, SHA256, Comparison
from gateway.permission.signed_uri import open_package

KEY = PrivateKey.generate()
ISSUERS = {"portal": [KEY.public]}
CLAIMS = {"iss": "portal", "exp": 2000, "cdniuc": r"regex:^http://[^/]*/r/999999-1/.*$"}


def base(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(claims, key=KEY, algorithm="EdDSA"):
    """Sign as RFC 7515 says, without the library that reads it."""
    text = f"{base(json.dumps({'alg': algorithm}).encode())}.{base(json.dumps(claims).encode())}"
    return f"{text}.{base(key.sign(text.encode()))}"


def reason(text):
    with pytest.raises(Refused) as refused:
        open_package(text, ISSUERS)
    return refused.value.reason


def test_a_pattern_and_a_digest_are_read():
    """Both kinds of URI container."""
    permit = open_package(
        signed({**CLAIMS, "nbf": 1, "sub": "viewer", "aud": "headend", "jti": "7", "cdniv": 1}), ISSUERS
    )
    assert (permit.issuer, permit.until, permit.since, permit.subject, permit.token) == (
        "portal",
        2000,
        1,
        "viewer",
        "7",
    )
    assert permit.audience == ("headend",)
    assert permit.tests == (Comparison("uri", REGEX, CLAIMS["cdniuc"].removeprefix("regex:")),)
    digest = hashlib.sha256(b"http://a/r/").digest()
    assert open_package(signed({**CLAIMS, "cdniuc": f"hash:sha-256;{base(digest)}"}), ISSUERS).tests == (
        Comparison("uri", SHA256, digest),
    )


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"iss": "other"}, "token-not-signed"),
        ({"cdniip": "x"}, "token-unsupported"),
        ({"cdniets": 30}, "token-unsupported"),
        ({"cdniv": 2}, "token-unsupported"),
        ({"cdnistt": 1}, "token-unsupported"),
        ({"exp": None}, "bad-token"),
        ({"exp": True}, "bad-token"),
        ({"cdniuc": "hash:md5;x"}, "bad-token"),
        ({"cdniuc": "x"}, "bad-token"),
        ({"aud": 1}, "bad-token"),
    ],
)
def test_what_cannot_be_judged_opens_nothing(changed, told):
    """A claim that is wrong or not known refuses the whole package."""
    assert reason(signed({**CLAIMS, **changed})) == told


def test_only_the_issuers_signature_counts():
    """Another's key, no algorithm, and a package without a signature."""
    assert reason(signed(CLAIMS, PrivateKey.generate())) == "token-not-signed"
    assert reason(signed(CLAIMS, algorithm="none")) == "token-not-signed"
    assert reason(signed(CLAIMS).rpartition(".")[0] + ".") == "token-not-signed"


@given(st.text())
def test_any_text_is_refused_by_name(text):
    """Nothing that a screen sends raises anything else."""
    assert reason(text) in {"bad-token", "token-not-signed"}
