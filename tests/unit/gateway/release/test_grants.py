"""A grant counts for exactly what its giver signed, and for nothing else."""

from datetime import UTC, datetime

import pytest

from appliance.identity import envelope
from appliance.identity.keys import PrivateKey
from gateway.release import grants, signed
from gateway.release.grants import Grant
from gateway.release.manifest import File, Release, Rights, Source

CODE = "isli:999999-100000000000001-4"
LIBRARY, STRANGER = PrivateKey.generate(), PrivateKey.generate()
NOW = datetime(2026, 11, 28, tzinfo=UTC)
KEYS = {"library": (LIBRARY.public,)}


def grant(key=LIBRARY, **told):
    fields = {"from": "library", "to": "museum", "release": CODE, "acts": ["associate"], "until": None, **told}
    return grants.seal(Grant.model_validate(fields), key).decode()


def check(text, by="museum", act="associate", body="library"):
    source = Source(release=CODE, body=body, act=act, grant=text)
    return grants.check(source, by, lambda name: KEYS.get(name, ()), NOW)


@pytest.mark.parametrize(
    "text",
    [grant(), grant(release="isli:999999-1"), grant(acts=["reconstruct", "associate"]), grant(until="2027-01-01T00:00:00+08:00")],
)  # fmt: skip
def test_what_was_granted_may_be_used(text):
    """The release itself, a leading part of its code, one of several acts, a time that is not over."""
    assert check(text) == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "this is not a DSSE envelope"),
        (grant(key=STRANGER), "is not signed by a key of 'library'"),
        (grant(to="theatre"), "to 'theatre', not to 'museum'"),
        (grant(**{"from": "archive"}), "from 'archive'"),
        (grant(release="isli:999999-2"), "is for isli:999999-2"),
        (grant(acts=["reconstruct"]), "is to reconstruct, not to associate"),
        (grant(until="2026-11-28T00:00:00Z"), "ended 2026-11-28T00:00:00+00:00; this clock says 2026-11-28T00:00:00+00:00"),
        (grant(until="2025-11-28T00:00:00Z"), "ended"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_in_words(text, told):
    """Each way in which a grant does not fit is a sentence that says which."""
    assert told in check(text)


def test_a_signature_over_the_wrong_thing_does_not_count():
    """The right key over another kind, over the bare payload, or over a release: no grant. A grant is no release either."""
    payload = grants.render(
        Grant.model_validate({"from": "library", "to": "museum", "release": CODE, "acts": ["associate"]})
    )
    assert "not 'application/vnd.headgate.grant+json'" in check(envelope.seal(payload, "text/plain", LIBRARY).decode())
    release = Release(
        identifier=CODE, version=1, body="library", title="x", rights=Rights(zones=("bigscreen",)), entry="a",
        files={"a": File(sha256="0" * 64, size=1, type="a/b")},
    )  # fmt: skip
    assert "holds 'application/vnd.headgate.release+json'" in check(signed.seal(release, LIBRARY).decode())
    with pytest.raises(signed.Corrupt, match="not a release"):
        signed.claimed(grant().encode())


def test_ones_own_material_needs_no_grant_and_an_unknown_body_gives_none():
    """Own sources pass; a body whose keys are not known here can grant nothing."""
    assert check("", by="library") == ""
    assert "no key of 'archive' is known here" in check(grant(), body="archive")


def test_what_is_rendered_reads_back():
    """parse(render(x)) == x, with and without an end."""
    for until in (None, "2027-01-01T00:00:00+08:00"):
        made = Grant.model_validate({"from": "a", "to": "b", "release": CODE, "acts": ["associate"], "until": until})
        assert grants.parse(grants.render(made)) == made
