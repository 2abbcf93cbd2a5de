"""The list of withdrawn tokens: whom it names, until when, and what a token at hand is called in it."""

import base64
import json
import string

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.runtime.errors import Refused
from gateway.permission import token
from gateway.permission.naming import named
from gateway.permission.permit import Permit
from gateway.permission.signed_uri import open_package
from gateway.permission.withdrawn import Withdrawal, Withdrawn, marks
from tests.unit.gateway.permission import test_signed_uri as packages
from tests.unit.gateway.permission.test_token import ISSUERS, KEY, PEM

PERMIT = Permit("portal", until=1000.0, subject="viewer:17", token="ab12", signer="ed25519:key")


def listed(kind, name, until=None):
    made = Withdrawn()
    assert made.replace([Withdrawal(kind=kind, name=name, serial=7, by="regulator", until=until)])
    return made


@pytest.mark.parametrize(
    ("kind", "name", "status"),
    [
        ("token", "portal:ab12", 401),
        ("subject", "portal:viewer:17", 403),
        ("issuer", "portal", 403),
        ("signer", "ed25519:key", 401),
    ],
)
def test_a_permit_is_withdrawn_by_each_of_its_names(kind, name, status):
    """By its identifier, its subject, its issuer and the key that signed it; another token would help where 401 says so."""
    refused = listed(kind, name).refusal(PERMIT, 0.0)
    assert refused is not None
    assert (refused.reason, refused.status) == ("token-withdrawn", status)
    assert "order 7 of regulator" in str(refused)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("token", "other:ab12"),
        ("token", "portal:ab"),
        ("subject", "portal:viewer"),
        ("subject", "portal:ab12"),
        ("issuer", "portal2"),
        ("signer", "portal"),
    ],
)
def test_names_are_the_issuers_own(kind, name):
    """The same identifier of another issuer, or a name of another kind, is not meant."""
    assert listed(kind, name).refusal(PERMIT, 0.0) is None


def test_a_token_without_a_name_is_not_meant_by_an_empty_one():
    """What has neither identifier nor subject is withdrawn by its issuer or key alone."""
    bare = Permit("portal", until=1000.0)
    for kind in ("token", "subject", "signer"):
        made = listed(kind, "portal:" if kind != "signer" else "ed25519:")
        assert made.refusal(bare, 0.0) is None


def test_a_withdrawal_ends_when_it_says():
    """It holds until that very moment, and nothing has to be told for it to be forgotten."""
    made = listed("issuer", "portal", until=500.0)
    assert made.refusal(PERMIT, 499.9) is not None
    assert made.refusal(PERMIT, 500.0) is None


@pytest.mark.parametrize(
    ("kind", "name", "withdrawn"),
    [
        ("token", "portal:ab12", True),
        ("subject", "portal:viewer:17", True),
        ("issuer", "portal", True),
        ("signer", "ed25519:key", True),
        ("subject", "portal:ab12", False),
        ("token", "other:ab12", False),
    ],
)
def test_a_permit_is_known_again_by_its_marks(kind, name, withdrawn):
    """Who has only the marks finds what the permit itself would tell, and reads none of its words in them."""
    told = marks(PERMIT)
    assert "viewer" not in told
    assert set(told) <= set(string.ascii_letters + string.digits + "-_.")
    assert listed(kind, name, until=500.0).marked(told, 499.0) is withdrawn
    assert not listed(kind, name, until=500.0).marked(told, 500.0)
    assert not listed(kind, name).marked("", 0.0)
    assert not Withdrawn().marked(told, 0.0)


def test_a_list_says_whether_it_is_another():
    """The first one is, and each with another entry; the same told again is not."""
    made, entry = Withdrawn(), Withdrawal(kind="issuer", name="portal", serial=7, by="regulator")
    assert [made.replace(told) for told in ([], [], [entry], [entry], [])] == [True, False, True, False, True]


def test_tokens_know_which_key_signed_them():
    """Both kinds of token can be withdrawn by their key."""
    cat = token.open_token(token.issue({token.ISS: "portal", token.EXP: 1000}, PEM), ISSUERS)
    assert cat.signer == str(KEY.public)
    assert open_package(packages.signed(packages.CLAIMS), packages.ISSUERS).signer == str(packages.KEY.public)


def test_a_token_at_hand_is_named_as_an_order_names_it():
    """Both kinds tell issuer, identifier and end; one without an identifier says how else it may be withdrawn."""
    claims = {token.ISS: "portal", token.EXP: 1000, token.CTI: bytes.fromhex("ab12")}
    text = token.issue(claims, PEM)
    assert named(text) == ("portal:ab12", 1000.0)
    untagged = base64.urlsafe_b64decode(text + "==").removeprefix(token.CWT_TAG)
    assert named(base64.urlsafe_b64encode(untagged).decode()) == ("portal:ab12", 1000.0)
    told = {"iss": "portal", "exp": 1000, "jti": "0-1", "cdniuc": "regex:.*"}
    assert named(packages.signed(told)) == ("portal:0-1", 1000.0)
    with pytest.raises(Refused, match="no identifier"):
        named(token.issue({token.ISS: "portal", token.EXP: 1000}, PEM))


TEXTS = st.text(max_size=200) | st.binary(max_size=200).map(lambda data: base64.urlsafe_b64encode(data).decode())
VALUES = st.recursive(
    st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)
NESTED = VALUES.map(lambda value: base64.urlsafe_b64encode(cbor2.dumps([b"", {}, cbor2.dumps(value), b""])).decode())
WEB = VALUES.map(lambda value: f"e30.{base64.urlsafe_b64encode(json.dumps(value).encode()).decode()}.")


@given(TEXTS | NESTED | WEB)
def test_any_text_is_a_token_or_refused(text):
    """Whatever is put in a token's place is refused as none."""
    with pytest.raises(Refused) as refused:
        named(text)
    assert refused.value.reason in ("bad-token", "token-unsupported")
