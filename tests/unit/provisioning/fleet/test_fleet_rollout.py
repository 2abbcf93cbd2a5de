"""A rollout as a scenario: what happens, and what the state machine says to do next."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from provisioning.fleet import rollout
from provisioning.fleet.plan import Change, Kind, Plan
from provisioning.fleet.rollout import Ask, Done, Halt, Play, Rollout, State

WANTED = "a" * 64
SITES = {"centre": 0, "headend": 1, "library": 1, "edge": 2}


def begin(ring: int | None = None) -> Rollout:
    changes = [Change(site, ring, Kind.NEW, WANTED, None, ()) for site, ring in SITES.items()]
    return rollout.start(Plan(tuple(changes)), ring=ring, limit=10)


def through(state: Rollout, sites: tuple[str, ...], now: float) -> Rollout:
    """Play a ring and let every box of it report what is wanted."""
    state = rollout.playing(state, sites, now)
    for site in sites:
        state = rollout.reported(rollout.played(state, site, None, now), site, WANTED, "enforced", now)
    return state


def test_rings_follow_each_other_once_their_boxes_report():
    """Each ring is played only when every box of the one before enforces what is wanted, and then the rollout is done."""
    state = begin()
    for ring, sites in ((0, ("centre",)), (1, ("headend", "library")), (2, ("edge",))):
        assert rollout.next_step(state, 0) == Play(ring, sites)
        state = through(state, sites, 0)

    assert rollout.next_step(state, 0) == Done()


def test_the_next_ring_waits_for_the_last_report():
    """While one box of a ring has not reported, the controller is asked, and the next ring is not touched."""
    state = through(begin(), ("centre",), 0)
    state = rollout.playing(state, ("headend", "library"), 5)
    for site in ("headend", "library"):
        state = rollout.played(state, site, None, 7)
    state = rollout.reported(state, "headend", WANTED, "enforced", 8)

    assert rollout.next_step(state, 9) == Ask(1, ("library",), until=17)


def test_a_box_that_does_not_report_in_time_halts():
    """After the limit the rollout halts and says what the box reports instead, and who keeps what it had."""
    state = rollout.played(rollout.playing(begin(), ("centre",), 0), "centre", None, 0)
    state = rollout.reported(state, "centre", "b" * 64, "drift", 5)

    step = rollout.next_step(state, 10)

    assert isinstance(step, Halt)
    assert step.untouched == ("headend", "library", "edge")
    assert step.why == (f"centre: it reports {'b' * 12}, wanted is {'a' * 12} (drift), 10 s after it was provisioned",)


def test_a_failed_playbook_halts_after_its_ring():
    """A box on which the playbook failed halts the rollout, in its words; the ring's other boxes were played too."""
    state = through(begin(), ("centre",), 0)
    state = rollout.playing(state, ("headend", "library"), 1)
    state = rollout.played(state, "headend", "'Adopt the box' failed: no port", 2)
    state = rollout.played(state, "library", None, 2)

    step = rollout.next_step(state, 3)

    assert step == Halt(1, ("headend: 'Adopt the box' failed: no port",), ("edge",))


def test_one_ring_alone():
    """A rollout of one ring touches no other."""
    state = begin(ring=2)

    assert rollout.next_step(state, 0) == Play(2, ("edge",))
    assert rollout.next_step(through(state, ("edge",), 0), 0) == Done()


events = st.lists(
    st.tuples(st.sampled_from(sorted(SITES)), st.sampled_from(["fail", "ok", "wanted", "other", "silent"])), max_size=20
)


@given(events)
def test_no_ring_starts_before_the_ring_before_enforces(happened):
    """Whatever boxes do, a ring is played only when each box of all earlier rings enforces what is wanted."""
    state, now = begin(), 0.0
    for site, what in happened:
        step = rollout.next_step(state, now)
        if isinstance(step, Play):
            earlier = [box for box in state.boxes if box.ring < step.ring]
            assert all(box.state is State.ENFORCED for box in earlier)
            state = rollout.playing(state, step.sites, now)
            for played in step.sites:
                state = rollout.played(state, played, "it failed" if (played, what) == (site, "fail") else None, now)
        elif isinstance(step, Ask) and site in step.sites:
            enforced = {"wanted": WANTED, "other": "c" * 64}.get(what)
            state = rollout.reported(state, site, enforced, "", now)
        now += 1.0
