"""Which segment comes after which."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.playlists.ladder import DASH, HLS
from gateway.playlists.order import Live, following, live
from tests.unit.gateway.playlists.test_ladder import MANIFEST, MASTER

MEDIA = b'#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI="init.mp4"\n' + b"".join(
    b"#EXTINF:2,\n%d.m4s\n" % number for number in (1, 2, 3)
)


def test_segments_of_a_media_playlist_come_one_after_the_other():
    assert following("v/index.m3u8", MEDIA, HLS) == {
        "v/init.mp4": "v/1.m4s",
        "v/1.m4s": "v/2.m4s",
        "v/2.m4s": "v/3.m4s",
    }


def test_segments_of_a_representation_come_one_after_the_other():
    order = following("index.mpd", MANIFEST, DASH)
    assert order["high-1.m4s"] == "high-2.m4s"
    assert order["sound-1.m4s"] == "sound-2.m4s"
    assert "high-2.m4s" not in order  # what comes next in the text is another representation's


def test_a_master_playlist_has_no_order():
    assert following("index.m3u8", MASTER, HLS) == {}


@given(st.binary(max_size=300), st.sampled_from([HLS, DASH, "text/plain"]))
def test_any_bytes_have_some_order_or_none(data, kind):
    for head in (b"", b"#EXTM3U\n#EXTINF:2,\n"):
        assert all(isinstance(name, str) for name in following("a/b", head + data, kind))


def channel(template, *, told='availabilityStartTime="1970-01-01T00:16:40Z"', period='start="PT0S"', inner=""):
    """Return a live MPD that begins 1000 seconds after 1970, with two representations."""
    return (
        f'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="dynamic" {told}><Period {period}><AdaptationSet contentType="video">'
        f'<SegmentTemplate {template} timescale="1000">{inner}</SegmentTemplate><Representation id="a" bandwidth="1"/>'
        '<Representation id="b" bandwidth="2"/></AdaptationSet></Period></MPD>'
    ).encode()


@pytest.mark.parametrize(
    ("media", "before", "after"),
    [
        ("$RepresentationID$/$Number$.m4s", "live/a/9.m4s", "live/a/10.m4s"),
        ("$RepresentationID$-$Number%05d$.m4s", "live/b-00099.m4s", "live/b-00100.m4s"),
        ("$Bandwidth$/$Time$.m4s", "live/2/18000.m4s", "live/2/20000.m4s"),
    ],
)
def test_what_is_counted_follows_once_it_is_whole(media, before, after):
    """A segment is whole at its end: the tenth of two seconds, counted from 1, 20 seconds after the beginning."""
    told = live("live/index.mpd", channel(f'media="{media}" duration="2000"'))
    assert told.after(before, 0.0)[0] == after
    if "Number$" in media:
        assert told.after("live/a/9.m4s", 1018.5) == ("live/a/10.m4s", 1.5)
        assert told.after("live/a/9.m4s", 1030.0) == ("live/a/10.m4s", 0.0)
    assert told.after("live/other.m4s", 0.0) is None


def test_nothing_follows_the_last_of_a_period():
    told = live("i.mpd", channel('media="$Number$.m4s" duration="2000"', period='start="PT10S" duration="PT4S"'))
    assert told.after("1.m4s", 0.0) == ("2.m4s", 1014.0)
    assert told.after("2.m4s", 0.0) is None


def test_what_is_listed_follows_as_it_is_listed():
    inner = '<SegmentTimeline><S t="4000" d="2000" r="2"/></SegmentTimeline>'
    told = live("i.mpd", channel('media="$RepresentationID$-$Time$.m4s"', inner=inner))
    assert told.after("a-4000.m4s", 0.0) == ("a-6000.m4s", 0.0)
    assert told.after("a-8000.m4s", 0.0) is None
    assert told.counted == ()


@pytest.mark.parametrize(
    "data",
    [
        channel('media="$Number$.m4s" duration="2000"', told=""),
        channel('media="$Number$.m4s" duration="2000"', told='availabilityStartTime="soon"'),
        channel('media="$Number$-$Number$.m4s" duration="2000"'),
        channel('media="../$Number$.m4s" duration="2000"'),
        channel('media="http://other.example/$Number$.m4s" duration="2000"'),
        channel('duration="2000"'),
        b"<MPD",
    ],
)
def test_what_cannot_be_counted_is_not(data):
    assert live("i.mpd", data) == Live({})


@given(st.binary(max_size=300))
def test_any_bytes_are_some_channel_or_none(data):
    assert live("a/b.mpd", data).after("a/1.m4s", 0.0) is None
