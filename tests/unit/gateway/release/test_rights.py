"""Rights and grants at a box: what may be shown where and when, and what may be made of others' material."""

from datetime import UTC, datetime, timedelta

import pytest

from appliance.identity.keys import PrivateKey
from gateway.isolation import policy as policies
from gateway.release import grants, rights
from gateway.release.grants import Grant
from gateway.release.manifest import File, Release, Rights, Source

CODE, OTHER = "isli:999999-100000000000001-4", "isli:999999-123456789012345-8"
LIBRARY, MUSEUM, ARCHIVE = (PrivateKey.generate() for _ in range(3))
NOW = datetime(2026, 11, 28, tzinfo=UTC)
YEAR = timedelta(days=365)
POLICY = policies.parse(
    f"""
site: nanning
territory: "450100"
zones:
  management: {{port: "02:68:67:28:00:0b", addresses: [127.40.0.1/24]}}
  bigscreen: {{port: "02:68:67:14:00:0b", addresses: [127.20.0.1/24]}}
bodies:
  library: {{name: 图书馆, keys: ["{LIBRARY.public}"], identifiers: ["isli:999999-10"], acts: [share, associate]}}
  museum: {{name: 博物馆, keys: ["{MUSEUM.public}"], identifiers: ["isli:999999-12"], acts: [share]}}
  archive: {{name: 档案馆, keys: ["{ARCHIVE.public}"], identifiers: ["isli:999999-9"], acts: [share]}}
services:
  ssh: {{zone: management, run: ssh, listen: tcp/22, from: [127.40.0.0/24]}}
never: [{{from: bigscreen, to: management}}]
""".encode()
)
EVERYWHERE = ("bigscreen", "smallscreen", "institution", "culture")


def release(told=None, sources=()):
    return Release(
        identifier=CODE, version=1, body="library", title="x", rights=Rights(**{"zones": EVERYWHERE, **(told or {})}),
        entry="a", files={"a": File(sha256="0" * 64, size=1, type="a/b")}, sources=sources,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "told", "reason"),
    [
        ("bigscreen", {}, None),
        ("management", {}, "zone-not-granted"),
        ("bigscreen", {"screens": ("big",)}, None),
        ("bigscreen", {"screens": ("big", "small")}, None),
        ("smallscreen", {"screens": ("big",)}, "screen-not-granted"),
        ("institution", {"screens": ("small",)}, "screen-not-granted"),
        ("culture", {"screens": ("small",)}, None),
        ("bigscreen", {"territories": ("45",)}, None),
        ("bigscreen", {"territories": ("44", "450100")}, None),
        ("bigscreen", {"territories": ("44", "4503")}, "territory-not-granted"),
        ("bigscreen", {"since": NOW}, None),
        ("bigscreen", {"since": NOW + timedelta(seconds=1)}, "not-yet"),
        ("bigscreen", {"until": NOW + timedelta(seconds=1)}, None),
        ("bigscreen", {"until": NOW}, "expired"),
        ("bigscreen", {"bodies": ("museum", "theatre")}, None),
        ("bigscreen", {"bodies": ("theatre",)}, "body-not-granted"),
    ],
)
def test_each_right_has_its_own_reason(zone, told, reason):
    """Zone, class of screen, territory, times and bodies: each refused by its own word."""
    found = rights.shown(POLICY, zone, release(told), NOW)
    assert (found and found[0]) == reason


def test_a_clock_a_year_off_is_refused_and_told():
    """A box whose clock is a year behind or ahead of the rights refuses, and its sentence says what its clock says."""
    told = release({"since": NOW - timedelta(days=1), "until": NOW + timedelta(days=1)})
    assert rights.shown(POLICY, "bigscreen", told, NOW) is None
    for now, reason in ((NOW - YEAR, "not-yet"), (NOW + YEAR, "expired")):
        found = rights.shown(POLICY, "bigscreen", told, now)
        assert found[0] == reason
        assert f"this box's clock says {now.isoformat()}" in found[1]


def test_a_site_that_does_not_say_where_it_is_shows_nothing_limited():
    """Rights for some territories hold nowhere that is not known to lie in them."""
    nowhere = POLICY.model_copy(update={"territory": None})
    assert rights.shown(nowhere, "bigscreen", release({"territories": ("45",)}), NOW)[0] == "territory-not-granted"


def source(key=MUSEUM, code=OTHER, body="museum", act="associate", **told):
    fields = {"from": "museum", "to": "library", "release": OTHER, "acts": ["associate", "reconstruct"], **told}
    grant = grants.seal(Grant.model_validate(fields), key).decode()
    return Source(release=code, body=body, act=act, grant=grant)


@pytest.mark.parametrize(
    ("made_of", "reason", "words"),
    [
        (source(), None, ""),
        (source(key=LIBRARY), "no-grant", "not signed by a key of 'museum'"),
        (source(to="archive"), "no-grant", "not to 'library'"),
        (source(act="reconstruct"), "not-admitted", "not to reconstruct"),
        (source(body="theatre"), "no-grant", "no body 'theatre' is admitted here"),
        (source(key=ARCHIVE, body="archive", **{"from": "archive"}), "no-grant", "is not in the range of 'archive'"),
        (source(until="2026-11-27T00:00:00Z"), "no-grant", "ended"),
        (Source(release=OTHER, body="library", act="associate"), None, ""),
    ],
)  # fmt: skip
def test_others_material_needs_their_grant(made_of, reason, words):
    """The source's body grants, inside its own range; the body that signs is admitted for the act; one's own is free."""
    found = rights.granted(POLICY, release(sources=(made_of,)), lambda name: POLICY.bodies[name].keys, NOW)
    assert (found and found[0]) == reason
    assert words in (found[1] if found else "")


def test_every_source_counts():
    """One source without a grant among others refuses the whole."""
    found = rights.granted(
        POLICY, release(sources=(source(), source(key=LIBRARY))), lambda name: POLICY.bodies[name].keys, NOW
    )
    assert found[0] == "no-grant"


def test_a_grant_that_ends_ends_the_showing():
    """What was admitted under a grant is not shown any more once the grant is over."""
    made = release(sources=(source(until="2026-12-01T00:00:00Z"),))
    assert rights.shown(POLICY, "bigscreen", made, NOW) is None
    assert rights.shown(POLICY, "bigscreen", made, NOW + timedelta(days=3))[0] == "no-grant"
