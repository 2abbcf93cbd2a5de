"""Manifests that cannot be, at an origin, signed by the right key: refused with place and reason, while other releases go on."""

from __future__ import annotations

import json

import pytest

from appliance.identity import envelope
from gateway.release import grants, signed

pytestmark = pytest.mark.server
CODE, OTHER = "999999-100000000000001-4", "999999-123456789012345-8"
FILM = {"master.m3u8": b"#EXTM3U\n"}
FILE = {"sha256": "0" * 64, "size": 7, "type": "text/plain"}
RIGHT = {
    "identifier": f"isli:{CODE}", "version": 1, "body": "library", "title": "x", "rights": {"zones": ["bigscreen"]},
    "entry": "a.txt", "files": {"a.txt": FILE},
}  # fmt: skip
BAD = {
    "a name that leads out": ({"files": {"../a.txt": FILE}}, "'..'"),
    "a name with a line end": ({"files": {"a\nb": FILE}}, "cannot stand in a name"),
    "a name of 4,000 characters": ({"files": {"x" * 4000: FILE}}, "at most 400 bytes"),
    "an absent entry": ({"entry": "b.txt"}, "is none of the files"),
    "a length of 2^63": ({"files": {"a.txt": {**FILE, "size": 1 << 63}}}, "less than or equal to"),
    "a version of 2^63": ({"version": 1 << 63}, "less than or equal to"),
    "rights that end before they begin": (
        {"rights": {"zones": ["bigscreen"], "since": "2027-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}}, "'until'",
    ),
}  # fmt: skip


def asked(chain, code=CODE):
    """Ask the exchange itself: a delivery keeps a refusal for a second."""
    return chain.ask("delivery-bigscreen", "release", {"release": code})


def test_each_is_refused_and_the_rest_goes_on(chain):
    """The sentence names the place in the manifest; nothing is stored of it; another release plays all the while."""
    chain.publish(FILM, code=OTHER)
    place = chain.origin.folder / "releases" / CODE / "release.json"
    place.parent.mkdir()
    for name, (told, words) in BAD.items():
        place.write_bytes(envelope.seal(json.dumps({**RIGHT, **told}).encode(), signed.KIND, chain.key))
        reply = asked(chain)
        assert (reply.status, json.loads(reply.body)["reason"]) == (403, "not-signed"), name
        assert words in json.loads(reply.body)["error"], name
        assert chain.get(f"/r/{OTHER}/master.m3u8").status == 200, name


def test_the_right_key_over_the_wrong_thing(chain):
    """A grant's envelope, a bare manifest of another kind, and the right envelope under another code are no release here."""
    payload = json.dumps(RIGHT).encode()
    place = chain.origin.folder / "releases" / CODE / "release.json"
    place.parent.mkdir(parents=True)
    right = envelope.seal(payload, signed.KIND, chain.key)
    for data in (
        envelope.seal(payload, grants.KIND, chain.key),
        json.dumps({**json.loads(right), "signatures": [{"keyid": "", "sig": "AA=="}]}).encode(),
        b"",
    ):
        place.write_bytes(data)
        assert json.loads(asked(chain).body)["reason"] == "not-signed"
    place.write_bytes(right)
    other = chain.origin.folder / "releases" / OTHER
    other.mkdir()
    (other / "release.json").write_bytes(right)
    assert json.loads(asked(chain, OTHER).body)["reason"] == "unknown-release"
