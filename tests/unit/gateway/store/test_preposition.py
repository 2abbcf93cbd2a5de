"""What is fetched ahead, and when: the window is local time, the order is the player's, and what is here is the only state."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.release.manifest import File, Release, Rights
from gateway.store.preposition import AGAIN, SOON, Ahead, Fill, Wait, next_action, order, seconds_until_open, zone_for

CHINA = timezone(timedelta(hours=8))
MIB = 1 << 20


def at(text):
    return datetime.fromisoformat(f"2026-10-01T{text}").replace(tzinfo=CHINA)


def release(code, sizes, zones=("bigscreen",)):
    files = {
        path: File(sha256=f"{number:064x}", size=size, type="video/mp2t")
        for number, (path, size) in enumerate(sizes.items())
    }
    return Release(
        identifier=f"isli:{code}", version=1, body="library", title="刘三姐", rights=Rights(zones=zones), entry="master.m3u8",
        files=files,
    )  # fmt: skip


FILM = release("999999-100000000000001-4", {"1.ts": 2 * MIB, "2.ts": 2 * MIB, "cover.jpg": 9000, "master.m3u8": 500})


@pytest.mark.parametrize(
    ("window", "now", "seconds"),
    [
        ("00:00-23:59", "23:59:59", 0),
        ("01:00-05:00", "00:59:30", 30),
        ("01:00-05:00", "01:00:00", 0),
        ("01:00-05:00", "05:00:59", 0),
        ("01:00-05:00", "05:01:00", 20 * 3600 - 60),
        ("22:30-06:00", "22:29:00", 60),
        ("22:30-06:00", "23:00:00", 0),
        ("22:30-06:00", "00:00:00", 0),
        ("22:30-06:00", "06:00:30", 0),
        ("22:30-06:00", "12:30:00", 10 * 3600),
    ],
)
def test_window_is_local_time(window, now, seconds):
    """Also over midnight, and with its last minute."""
    assert seconds_until_open(window, at(now)) == seconds


@given(
    first=st.times(),
    last=st.times(),
    now=st.datetimes(
        timezones=st.just(CHINA),
        max_value=datetime(2100, 1, 1),  # noqa: DTZ001 (hypothesis adds the zone)
    ),
)
def test_after_the_wait_it_is_open(first, last, now):
    """Whatever the window, whoever waits as told finds it open."""
    window = f"{first:%H:%M}-{last:%H:%M}"
    assert seconds_until_open(window, now + timedelta(seconds=seconds_until_open(window, now))) == 0


def test_entry_and_small_files_come_first():
    """What a player opens first, then playlists and pictures, then the film in its order."""
    assert order(FILM) == ["master.m3u8", "cover.jpg", "1.ts", "2.ts"]


def test_plan_goes_on_where_it_is():
    """The next missing file of the first release that misses one; when nothing is missing, it rests."""
    other = release("999999-100000000000002-3", {"master.m3u8": 10})
    plan = [Ahead(FILM, "bigscreen", ("1.ts", "2.ts")), Ahead(other, "bigscreen", ("master.m3u8",))]
    now = at("02:00")
    assert next_action("01:00-05:00", plan, now) == Fill(FILM.code, "1.ts")
    plan[0] = plan[0].without("1.ts").without("2.ts")
    assert next_action("01:00-05:00", plan, now) == Fill(other.code, "master.m3u8")
    assert next_action("01:00-05:00", [plan[0]], now) == Wait(AGAIN)


def test_nothing_is_fetched_by_day():
    """Outside its window the line belongs to others, and the clock is looked at again before long: it may be set."""
    assert next_action("01:00-05:00", [Ahead(FILM, "bigscreen", ("1.ts",))], at("12:00")) == Wait(AGAIN)
    assert next_action("01:00-05:00", [Ahead(FILM, "bigscreen", ("1.ts",))], at("00:59:50")) == Wait(10)


def test_zone_is_one_that_the_body_grants():
    """A release for phones alone is fetched for phones, or not at all."""
    phones = release("999999-100000000000001-4", {"master.m3u8": 1}, zones=("smallscreen",))
    assert zone_for(phones, ["bigscreen", "smallscreen"]) == "smallscreen"
    assert zone_for(phones, ["bigscreen"]) is None


def test_a_plan_that_is_stuck_is_looked_at_again_soon():
    """What nobody had a minute ago may have been published since; a closed window is waited for all the same."""
    assert next_action("01:00-05:00", [], at("02:00"), stuck=True) == Wait(SOON)
    assert next_action("01:00-05:00", [], at("02:00")) == Wait(AGAIN)
    assert next_action("01:00-05:00", [], at("12:00"), stuck=True) == Wait(AGAIN)
