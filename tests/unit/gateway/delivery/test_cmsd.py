"""What a box tells players, as they read it (CTA-5006), and its bounds."""

import http_sf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.cmsd import LARGEST_RATE, LONGEST_TIME, Link, delayed, dynamic, static


@pytest.mark.parametrize(
    ("path", "kind", "entry", "live", "told"),
    [
        ("master.m3u8", "application/vnd.apple.mpegurl", "master.m3u8", False, "ot=m,sf=h,st=v"),
        ("film.mpd", "application/dash+xml", "film.mpd", False, "ot=m,sf=d,st=v"),
        ("720p/init.mp4", "video/mp4", "master.m3u8", False, "ot=i,sf=h,st=v"),
        ("720p/1.m4s", "video/iso.segment", "master.m3u8", False, "sf=h,st=v"),
        ("sound/1.m4a", "audio/mp4", "film.mpd", False, "ot=a,sf=d,st=v"),
        ("live/1.ts", "video/mp2t", "live/index.m3u8", True, "ot=av,d=2000,sf=h,st=l"),
        ("live/index.m3u8", "application/vnd.apple.mpegurl", "live/index.m3u8", True, "ot=m,sf=h,st=l"),
        ("poster.jpg", "image/jpeg", "poster.jpg", False, "st=v"),
    ],
)
def test_static_says_what_is_known_and_no_more(path, kind, entry, live, told):
    """Object type, duration, format and whether it is live."""
    assert static(path, kind, entry, live=live, seconds=2.0 if live else 0.0) == told


def test_dynamic_says_how_the_line_is():
    """With the box's name; rates in kbit/s, times in milliseconds, both as the specification has them."""
    told = dynamic("nanning-1", most=2_500_000, duress=True, link=Link(0.0042, 9_876_543), delay=0.0301)
    assert told == '"nanning-1";du;etp=9800;rtt=5;mb=2500;rd=31'


def test_a_box_with_nothing_to_say_says_nothing():
    """No line, no connection, no delay; and of a connection that delivered nothing yet no throughput."""
    assert dynamic("box") == ""
    assert dynamic("box", link=Link(0.001, 0)) == '"box";rtt=1'
    assert dynamic("box", delay=0.01) == '"box";rd=10'


def test_how_long_an_answer_took_is_added_when_it_is_known():
    """To what was said before, as if it had been said with it."""
    said = dynamic("nanning-1", most=2_500_000, link=Link(0.0042, 9_876_543))
    assert delayed(said, "nanning-1", 0.0301) == '"nanning-1";etp=9800;rtt=5;mb=2500;rd=31'
    assert delayed(dynamic("nanning-1"), "nanning-1", 0.0301) == '"nanning-1";rd=31'


@given(
    st.text(),
    st.integers(0, 10**15),
    st.booleans(),
    st.floats(0, 1e9),
    st.floats(0, 1e18),
    st.one_of(st.none(), st.floats(-1, 1e9)),
)
def test_every_word_is_a_field_of_rfc_9651_within_its_bounds(box, most, duress, rtt, rate, delay):
    """Whatever a site is called and a kernel says."""
    told = dynamic(box, most=most, duress=duress, link=Link(rtt, rate), delay=delay)
    ((_, values),) = http_sf.parse(told.encode("ascii"), tltype="list")
    assert values.get("etp", 0) <= LARGEST_RATE
    assert values.get("mb", 0) <= LARGEST_RATE
    assert 0 <= values["rtt"] <= LONGEST_TIME
    assert 0 <= values.get("rd", 0) <= LONGEST_TIME
