"""Rests, probes, slowness and wrong bytes, by a clock of the test's own."""

import pytest

from gateway.fetch.health import FIRST, LONGEST, MOST_WRONG, PROBE, REMEMBERED, WRONG, Health


@pytest.mark.parametrize(("failures", "rest"), [(1, FIRST), (2, 2 * FIRST), (4, 8 * FIRST), (30, LONGEST)])
def test_rests_grow_to_a_bound(failures, rest):
    """Each failure in a row doubles the rest, up to the longest."""
    health, now = Health(), 0.0
    for _ in range(failures):
        now += LONGEST
        health.failed("hub", now)

    assert not health.ready("hub", now + rest - 0.01)
    assert health.ready("hub", now + rest)
    assert health.ready("other", now)


def test_after_its_rest_one_request_probes():
    """Others go elsewhere until the probe ends, or is given up."""
    health = Health()
    health.failed("hub", 0)
    health.begun("hub", FIRST)

    assert not health.ready("hub", FIRST)
    assert health.ready("hub", FIRST + PROBE)
    health.worked("hub")
    assert health.ready("hub", FIRST)


def test_a_probe_whose_asker_left_frees_its_place():
    """Nobody judged the upstream, so the next one may."""
    health = Health()
    health.failed("hub", 0)
    health.begun("hub", FIRST)
    health.left("hub")

    assert health.ready("hub", FIRST)


def test_what_failed_together_failed_once():
    """Twenty requests under way when a parent dies are one failure, not a rest of a day."""
    health = Health()

    assert [health.failed("hub", 0.1 * n) for n in range(5)] == [1] * 5
    assert health.failed("hub", FIRST) == 2


def test_the_slow_are_told_from_the_rest():
    """Slow is slow in itself and against the others, and for as long as the measurement speaks."""
    health = Health()
    for _ in range(20):
        health.took("near", 0.01, 0)
        health.took("far", 0.3, 0)
        health.took("bad", 2.0, 0)
    names = ["near", "far", "bad"]

    assert [health.slow(name, names, 1) for name in names] == [False, False, True]
    assert not health.slow("bad", names, REMEMBERED)
    assert not health.slow("unknown", names, 1)


def test_all_slow_alike_is_nobody_slow():
    """A thin line makes every parent slow: then there is no better one."""
    health = Health()
    health.took("one", 2.0, 0)
    health.took("two", 1.9, 0)

    assert not health.slow("one", ["one", "two"], 1)


def test_wrong_bytes_are_remembered_by_key():
    """For a while, for that key alone, and never for too many keys."""
    health = Health()
    health.wrong("hub", "a", 0)

    assert health.is_wrong("hub", "a", WRONG - 1)
    assert not health.is_wrong("hub", "b", 1)
    assert not health.is_wrong("hub", "a", WRONG)
    for number in range(MOST_WRONG):
        health.wrong("hub", str(number), 1)
    assert not health.is_wrong("hub", "a", 2)


def test_those_who_left_the_policy_are_forgotten():
    """A name that comes back begins anew."""
    health = Health()
    health.failed("hub", 0)
    health.keep(["other"])

    assert health.ready("hub", 0)
