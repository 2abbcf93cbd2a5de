"""What a box's screens had, from the sums that it told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.telemetry.served import Mean, Served, Title
from appliance.telemetry.served_text import write
from monitoring.delivery import PERIODS, Sample, over, sessions, titles, told_by
from monitoring.fleet import Box

NOW = 1_800_000_000.0 - 1_800_000_000.0 % 3600 + 3599  # the last second of an hour: its steps are those of the clock
HOUR = NOW + 1 - 3600


def zone(requests: int = 0, **more: Any) -> Served:
    return Served("bigscreen", "big", requests=requests, **{"started": 1.0, **more})


def sample(at: float, *zones: Served, fetched: int = 0, shared: int = 0) -> Sample:
    return Sample(HOUR + at, fetched, shared, {one.zone: one for one in zones})


def test_what_rose_between_two_tellings_is_of_the_time_between() -> None:
    """Two minutes from 10:00:30 on have a quarter, a half and a quarter of it; nothing is known of the rest."""
    before = zone(100, bytes=1000, hit_bytes=500)
    after = zone(140, bytes=9000, hit_bytes=6500)
    told = over([sample(30, before, fetched=10), sample(150, after, fetched=1010)], NOW, 1)
    assert [step["requests"] for step in told["steps"][:4]] == [10, 20, 10, 0]
    assert [step["seconds"] for step in told["steps"][:4]] == [30, 60, 30, 0]
    assert told["steps"][0]["from"] == HOUR
    whole = told["period"]
    assert (whole["requests"], whole["bytes"], whole["hit_share"], whole["fetched"]) == (40, 8000, 0.75, 1000)
    assert whole["offload"] == 0.875
    assert told["steps"][3]["offload"] is None


def test_followers_of_one_fill_are_misses_and_spare_the_origin() -> None:
    """A thousand screens on one cold object: no byte was a hit, and the origin gave one of a thousand."""
    told = over([sample(0, zone()), sample(60, zone(1000, bytes=1_000_000), fetched=1000)], NOW, 1)
    assert (told["period"]["hit_share"], told["period"]["offload"]) == (0.0, 0.999)


def test_a_daemon_that_started_anew_counts_from_nought() -> None:
    """Told by its start, or by a sum that fell; what it counted since then is not lost, and nothing is negative."""
    first = sample(0, zone(1000, bytes=5000), fetched=900, shared=50)
    for after in (zone(30, bytes=300), zone(1030, bytes=5300, started=2.0)):
        told = over([first, sample(60, after, fetched=20, shared=5)], NOW, 1)["period"]
        assert (told["requests"], told["bytes"]) == (after.requests, after.bytes)
        assert (told["fetched"], told["shared"]) == (20, 5)


def test_quality_is_told_by_class_of_screens() -> None:
    """Averages are of what players told in that time, not of averages."""
    phones = Served("smallscreen", "small", 1.0)
    before = sample(0, zone(begun=5, stalls=1, start=Mean(100.0, 10)), phones)
    after = zone(begun=7, stalls=4, start=Mean(104.0, 14), refusals={"no-token": 3})
    told = over([before, sample(60, after, phones)], NOW, 1)["period"]
    assert told["screens"]["big"] == {"begun": 2, "stalls": 3, "start": 1.0, "buffer": None, "bitrate": None}
    assert told["screens"]["small"]["start"] is None
    assert told["refusals"] == {"no-token": 3}


def test_sessions_are_the_most_at_once_of_a_step() -> None:
    """Of all zones of a class together; not known where nothing was told."""
    lounge = Served("institution", "big", sessions=3)
    told = over([sample(0, zone(sessions=9), lounge), sample(20, zone(sessions=4), lounge)], NOW, 1)
    assert told["steps"][0]["sessions"] == {"big": 12}
    assert told["steps"][1]["sessions"] is None
    assert sessions([zone(sessions=9), lounge, Served("smallscreen", "small", sessions=1)]) == {"big": 12, "small": 1}


def test_a_zone_that_comes_later_is_counted_from_its_first_telling_on() -> None:
    """What it counted before nobody can place; a zone that could not be read for a while loses nothing."""
    came = over([sample(0), sample(60, zone(500)), sample(120, zone(507))], NOW, 1)
    assert came["period"]["requests"] == 7
    back = over([sample(0, zone(500)), sample(60), sample(120, zone(560))], NOW, 1)
    assert [step["requests"] for step in back["steps"][:3]] == [30, 30, 0]


@pytest.mark.parametrize("hours", PERIODS)
@given(st.lists(st.tuples(st.integers(1, 4000), st.integers(0, 10**6)), max_size=20))
def test_nothing_is_lost_or_counted_twice(hours: int, rises: list[tuple[int, int]]) -> None:
    """The steps of a period add up to what the sums rose by within it, however the tellings lie."""
    at, count, samples = 0, 0, [Sample(NOW - hours * 3600 + 1, 0, 0, {"bigscreen": zone(0)})]
    for after, more in rises:
        if samples[0].at + at + after > NOW:
            break
        at, count = at + after, count + more
        samples.append(Sample(samples[0].at + at, 0, 0, {"bigscreen": zone(count)}))
    told = over(samples, NOW, hours)
    assert len(told["steps"]) == hours * 3600 // PERIODS[hours]
    assert sum(step["requests"] for step in told["steps"]) == pytest.approx(count, abs=0.01 * len(told["steps"]))
    assert told["period"]["requests"] == pytest.approx(count, abs=0.01)
    assert told["period"]["seconds"] == pytest.approx(at, abs=0.01)


@given(st.lists(st.tuples(st.floats(-9e4, 9e4), st.integers(0, 1 << 50), st.integers(0, 9)), max_size=9))
def test_whatever_is_told_gives_figures(told: list[tuple[float, int, int]]) -> None:
    """Clocks that jump, sums that fall and zones that come and go: no step has more time than its length, or less than nothing."""
    samples = [sample(at, *([zone(count, begun=kind)] if kind else []), fetched=count) for at, count, kind in told]
    for step in over(samples, NOW, 1)["steps"]:
        assert step["requests"] >= 0
        assert step["fetched"] >= 0


def test_a_box_is_read_from_its_metrics() -> None:
    """What cannot be believed is named like what the box could not read; older software tells nothing."""
    metrics = {
        "delivery/fetched": 10, "delivery/shared": 2, "delivery/unread": "delivery-smallscreen: torn: cut\nfetch: gone",
        "delivery/bigscreen/served": write(zone(7)), "delivery/odd/served": "{", "delivery/bytes": 5,
    }  # fmt: skip
    told = told_by(Box("headend", metrics=metrics))
    assert told is not None
    assert [(one.zone, one.requests) for one in told.zones] == [("bigscreen", 7)]
    assert (told.fetched, told.shared) == (10, 2)
    assert (set(told.unread), told.unread["fetch"]) == ({"delivery-smallscreen", "delivery-odd", "fetch"}, "gone")
    assert told_by(Box("old", metrics={"delivery/bytes": 5})) is None


def test_titles_of_all_zones_are_told_together() -> None:
    """Those with the most sessions first, by the name that their release has."""
    big = zone(titles=(Title("a", 3, 1, Mean(6.0, 3)), Title("b", 1, 0)))
    small = Served("smallscreen", "small", titles=(Title("b", 2, 0),))
    found = titles([big, small], {"a": "刘三姐"})
    assert [(one["release"], one["screen"], one["sessions"], one["title"], one["start"]) for one in found] == [
        ("a", "big", 3, "刘三姐", 2.0),
        ("b", "small", 2, "", None),
        ("b", "big", 1, "", None),
    ]
