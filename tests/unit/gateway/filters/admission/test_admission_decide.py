"""What the first filter admits and lets pass: the table of refusals, each with its reason."""

import json
from datetime import UTC, datetime

import pytest

from appliance.identity import envelope
from appliance.identity.keys import PrivateKey
from gateway.filters.admission import decide
from gateway.filters.admission.decide import Admitted, Known, Refuse
from gateway.isolation import policy as policies
from gateway.isolation.content import Important
from gateway.release import manifest, signed
from gateway.release.manifest import File, Release, Rights, Source

CODE = "999999-100000000000001-4"
OTHER = "999999-123456789012345-8"
NOW = datetime(2026, 11, 28, tzinfo=UTC)
LIBRARY, MUSEUM, STRANGER = (PrivateKey.generate() for _ in range(3))
POLICY = policies.parse(
    f"""
site: testbox
zones:
  management: {{port: "02:68:67:28:00:0b", addresses: [127.40.0.1/24]}}
  culture: {{port: "02:68:67:0a:00:0b", addresses: [127.10.0.1/24]}}
  bigscreen: {{port: "02:68:67:14:00:0b", addresses: [127.20.0.1/24]}}
  smallscreen: {{port: "02:68:67:1e:00:0b", addresses: [127.30.0.1/24]}}
bodies:
  library: {{name: 图书馆, keys: ["{LIBRARY.public}"], identifiers: ["isli:999999-10"], acts: [share, associate]}}
  museum: {{name: 博物馆, keys: ["{MUSEUM.public}"], identifiers: ["isli:999999-1"], acts: [associate]}}
origins:
  centre: {{address: 127.10.0.20}}
reach:
  origin: {{zone: culture, run: fetch, to: [127.10.0.20], port: tcp/80}}
services:
  delivery: {{zone: bigscreen, run: delivery, listen: tcp/80, from: [127.20.0.0/24]}}
  resolver: {{zone: bigscreen, run: resolver, listen: tcp/8080, from: [127.20.0.0/24]}}
  phones: {{zone: smallscreen, run: delivery, listen: tcp/80, from: [127.30.0.0/24]}}
  ssh: {{zone: management, run: ssh, listen: tcp/22, from: [127.40.0.0/24]}}
lanes:
  films: {{from: culture, to: bigscreen, kind: release, largest: 1 MiB}}
  usage: {{from: bigscreen, to: management, kind: record}}
never: [{{from: bigscreen, to: management}}]
""".encode()
)


def release(**told):
    fields = {
        "identifier": f"isli:{CODE}",
        "version": 2,
        "body": "library",
        "title": "刘三姐",
        "rights": Rights(zones=("bigscreen",)),
        "entry": "a.mp4",
        "files": {
            "a.mp4": File(sha256="0" * 64, size=1 << 20, type="video/mp4"),
            "b.mp4": File(sha256="1" * 64, size=(1 << 20) + 1, type="video/mp4"),
        },
    }
    return Release(**{**fields, **told})


def outcome(value):
    return value.reason if isinstance(value, Refuse) else "admitted"


@pytest.mark.parametrize(
    ("told", "key", "known", "expected"),
    [
        ({}, LIBRARY, None, "admitted"),
        ({}, LIBRARY, {"version": 1}, "admitted"),
        ({}, LIBRARY, {"version": 2}, "admitted"),
        ({}, LIBRARY, {"version": 3}, "older-version"),
        ({"title": "another"}, LIBRARY, {"version": 2}, "older-version"),
        ({}, STRANGER, None, "not-signed"),
        ({}, MUSEUM, None, "not-signed"),
        ({"body": "museum"}, MUSEUM, None, "not-admitted"),
        ({"body": "stranger"}, STRANGER, None, "not-admitted"),
        ({"body": "stranger"}, LIBRARY, None, "not-admitted"),
        ({"identifier": f"isli:{OTHER}"}, LIBRARY, None, "outside-identifiers"),
        ({"identifier": "isli:999999-100000000000009-6"}, LIBRARY, None, "unknown-release"),
        ({"sources": (Source(release=f"isli:{OTHER}", body="museum", act="associate"),)}, LIBRARY, None, "no-grant"),
    ],
)
def test_admission(told, key, known, expected):
    """A release is admitted from an admitted body, by its own key, inside its identifiers, never older than the known one."""
    before = Known(known["version"], manifest.digest(release(**known))) if known else None
    assert outcome(decide.admit(POLICY, signed.seal(release(**told), key), CODE, before, NOW)) == expected


def test_admission_tells_release_and_signer():
    """What is admitted is the release as signed, with the key that signed it."""
    assert decide.admit(POLICY, signed.seal(release(), LIBRARY), CODE, None, NOW) == Admitted(release(), LIBRARY.public)


def tampered():
    told = json.loads(signed.seal(release(), LIBRARY))
    return json.dumps({**told, "signatures": []}).encode()


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", tampered(), envelope.seal(b"{}", signed.KIND, LIBRARY), envelope.seal(b"{}", "text/plain", LIBRARY)],
)
def test_what_is_no_signed_release_is_refused(data):
    """Anything but a signed release is refused as not signed."""
    assert outcome(decide.admit(POLICY, data, CODE, None, NOW)) == "not-signed"


@pytest.mark.parametrize(
    ("zone", "told", "path", "expected"),
    [
        ("bigscreen", {}, "a.mp4", "admitted"),
        ("bigscreen", {}, "b.mp4", "too-large"),
        ("bigscreen", {}, "c.mp4", "unknown-path"),
        ("bigscreen", {"rights": Rights(zones=("smallscreen",))}, "a.mp4", "zone-not-granted"),
        ("smallscreen", {"rights": Rights(zones=("smallscreen",))}, "a.mp4", "no-lane"),
        ("bigscreen", {"rights": Rights(zones=("bigscreen",), until=NOW)}, "a.mp4", "expired"),
        ("management", {}, "a.mp4", "no-lane"),
    ],
)
def test_passing(zone, told, path, expected):
    """An object crosses by a lane of its kind into the zone, granted by the body, no larger than the lane says."""
    allowed = decide.pass_into(POLICY, zone, release(**told), NOW)
    verdict = allowed if isinstance(allowed, Refuse) else decide.pass_object(allowed.lane, release(**told), path)
    assert outcome(verdict) == expected


@pytest.mark.parametrize(
    ("active", "labels", "expected"),
    [(True, ("application",), True), (True, (), False), (False, ("application",), False), (False, (), False)],
)
def test_what_runs_needs_the_release_and_the_lane(active, labels, expected):
    """Scripts pass where the release says that it is an application, and the lane lets what is active pass; else they do not."""
    lane = POLICY.lanes["films"].model_copy(update={"active": active})
    policy = POLICY.model_copy(update={"lanes": {"films": lane}})
    assert decide.pass_into(policy, "bigscreen", release(labels=labels), NOW).application is expected


def test_important_data_goes_to_no_zone_that_is_outside():
    """By the release, and by the catalogue alone before anybody is asked."""
    rules = Important(outside=("bigscreen",), identifiers=(f"isli:{OTHER}",))
    policy = POLICY.model_copy(update={"important": rules})

    assert outcome(decide.pass_into(policy, "bigscreen", release(labels=("important",)), NOW)) == "important-data"
    assert outcome(decide.pass_into(policy, "bigscreen", release(), NOW)) == "admitted"
    assert outcome(decide.in_catalogue(policy, "bigscreen", OTHER)) == "important-data"
    assert decide.in_catalogue(policy, "bigscreen", CODE) is None
    assert decide.in_catalogue(policy, "smallscreen", OTHER) is None
