"""Whom fetch asks, in which order."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.runtime.errors import Refused, Unreachable
from gateway.fetch import tiers
from gateway.fetch.health import FIRST, Health
from gateway.fetch.tiers import Failure
from gateway.isolation import policy as policies

POLICY = policies.parse(b"""
site: testbox
zones:
  culture: {port: "02:68:67:0a:00:0b", addresses: [127.10.0.1/24]}
  bigscreen: {port: "02:68:67:14:00:0b", addresses: [127.20.0.1/24]}
origins:
  centre: {address: 127.10.0.20}
  second: {address: 127.10.0.21}
  north: {address: 127.10.0.2, role: parent}
  south: {address: 127.10.0.3, role: parent}
  east: {address: 127.10.0.4, role: parent}
  west: {address: 127.10.0.5, role: parent}
reach:
  origin: {zone: culture, run: fetch, to: [127.10.0.0/24], port: tcp/80}
never: [{from: bigscreen, to: culture}]
""")
PARENTS = ["north", "south", "east", "west"]
KEYS = [f"/releases/999999-100000000000001-4/segment-{n}.m4s" for n in range(8000)]
NAMES = st.lists(st.text(alphabet="abcdefgh-", min_size=1, max_size=12), min_size=1, max_size=12, unique=True)


def test_parents_share_the_keys_evenly():
    """Of 8,000 keys each of four parents is first for a quarter, within a tenth of it."""
    shares = Counter(tiers.ranked(PARENTS, key)[0] for key in KEYS)

    assert all(abs(shares[name] - len(KEYS) / 4) < len(KEYS) / 40 for name in PARENTS)


@given(NAMES, st.text(max_size=20), st.randoms())
def test_a_parent_that_leaves_moves_only_what_it_had(names, key, random):
    """Whoever stays keeps its place among those who stay, whatever order the policy has them in."""
    ranked = tiers.ranked(names, key)
    gone = random.choice(names)
    rest = [name for name in names if name != gone]
    random.shuffle(rest)

    assert tiers.ranked(rest, key) == [name for name in ranked if name != gone]


def test_parents_come_before_origins():
    """At most three parents, then the origins as the policy has them; or the origins alone."""
    order = tiers.order(POLICY, KEYS[0], Health(), 0)

    assert order[:3] == tiers.ranked(PARENTS, KEYS[0])[:3]
    assert order[3:] == ["centre", "second"]
    assert tiers.order(POLICY, KEYS[0], Health(), 0, direct=True) == ["centre", "second"]


def test_who_rests_is_asked_last():
    """A parent that rests comes behind the origins, and the next one takes its place; an origin behind the other."""
    first, second, third, fourth = tiers.ranked(PARENTS, KEYS[0])
    health = Health()
    health.failed(first, 0)
    health.failed("centre", 0)

    assert tiers.order(POLICY, KEYS[0], health, 0) == [second, third, fourth, "second", "centre", first]
    assert tiers.order(POLICY, KEYS[0], health, FIRST)[0] == first


def test_slow_parents_let_others_go_first():
    """The slow one is still asked before the origins."""
    first, second, third, _ = tiers.ranked(PARENTS, KEYS[0])
    health = Health()
    health.took(first, 2.0, 0)
    health.took(second, 0.01, 0)

    order = tiers.order(POLICY, KEYS[0], health, 1)
    assert order[:2] == [second, third]
    assert first not in order[:3]


def test_wrong_bytes_are_not_asked_for_again():
    """Neither now (excluded) nor later (noted): a parent is left out for that key, an origin comes last."""
    first, second, third, fourth = tiers.ranked(PARENTS, KEYS[0])
    health = Health()
    health.wrong(first, KEYS[0], 0)
    health.wrong("centre", KEYS[0], 0)

    assert tiers.order(POLICY, KEYS[0], health, 1) == [second, third, fourth, "second", "centre"]
    assert not health.is_wrong(first, KEYS[1], 1)
    assert tiers.order(POLICY, KEYS[0], Health(), 1, excluded=["centre", second]) == [first, third, fourth, "second"]


MISSING, AWAY, ROUND = Refused("unknown-path", "none", 404), Unreachable("away"), Refused("loop", "round", 508)
ODD = Refused("too-large", "too large", 413)


@pytest.mark.parametrize(
    ("failures", "reason"),
    [
        ([], "unreachable"),
        ([("north", AWAY)], "unreachable"),
        ([("north", ROUND)], "unreachable"),
        ([("north", MISSING), ("centre", AWAY)], "unreachable"),
        ([("north", MISSING), ("centre", MISSING)], "unknown-path"),
        ([("north", AWAY), ("centre", MISSING), ("second", MISSING)], "unknown-path"),
        ([("centre", ODD), ("second", AWAY)], "too-large"),
        ([("centre", ODD), ("second", MISSING)], "too-large"),
    ],
)
def test_the_asker_hears_what_matters_most(failures, reason):
    """That nobody has it is said only where nobody who may have it is away."""
    told = [Failure(name, error) for name, error in failures]
    outcome = tiers.outcome(POLICY, told)

    assert Failure("", outcome).reason == reason
    assert tiers.settled(POLICY, told) == ({"centre", "second"} <= {n for n, e in failures if e is MISSING})
