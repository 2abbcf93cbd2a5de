"""A class of screens sees its own ladder, and always something."""

import contextlib

import m3u8
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.runtime.errors import Corrupt
from gateway.playlists.ladder import DASH, HLS, LONGEST, Limits, filtered
from gateway.playlists.screens import screen_of
from gateway.release import presentations

MASTER = b"""#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="rich",NAME="a",URI="rich.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="plain",NAME="a",URI="plain.m3u8"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs",NAME="zh",URI="zh.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=8000000,RESOLUTION=1920x1080,CODECS="hvc1.1,ec-3",AUDIO="rich",SUBTITLES="subs"
1080.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=2000000,RESOLUTION=1280x720,CODECS="avc1.4d401f,mp4a.40.2",AUDIO="plain",SUBTITLES="subs"
720.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=500000,RESOLUTION=640x360,CODECS="avc1.4d401e,mp4a.40.2",AUDIO="plain",SUBTITLES="subs"
360.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=900000,RESOLUTION=1920x1080,URI="1080i.m3u8"
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=90000,RESOLUTION=640x360,URI="360i.m3u8"
"""
MANIFEST = b"""<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT4S"><Period>
<AdaptationSet contentType="video" maxHeight="1080"><SegmentTemplate media="$RepresentationID$-$Number$.m4s" duration="2"/>
<Representation id="high" bandwidth="8000000" height="1080" codecs="hvc1.1"/>
<Representation id="low" bandwidth="500000" height="360" codecs="avc1.4d401e"/></AdaptationSet>
<AdaptationSet contentType="audio"><SegmentTemplate media="$RepresentationID$-$Number$.m4s" duration="2"/>
<Representation id="sound" bandwidth="9000000" codecs="mp4a.40.2"/></AdaptationSet></Period></MPD>"""


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        (Limits(height=720), ["720.m3u8", "360.m3u8"]),
        (Limits(bandwidth=1_000_000), ["360.m3u8"]),
        (Limits(codecs=("avc1", "mp4a")), ["720.m3u8", "360.m3u8"]),
        (Limits(height=100), ["360.m3u8"]),  # nothing is little enough: the lowest stays
        (Limits(height=4000), ["1080.m3u8", "720.m3u8", "360.m3u8"]),
    ],
)
def test_what_is_too_much_is_not_in_the_master_playlist(limits, left):
    assert [each.uri for each in m3u8.loads(filtered(MASTER, HLS, limits).decode()).playlists] == left


def test_sound_and_pictures_go_with_the_renditions_that_use_them():
    shown = m3u8.loads(filtered(MASTER, HLS, Limits(height=720)).decode())
    assert [each.uri for each in shown.media] == ["plain.m3u8", "zh.m3u8"]
    assert [each.uri for each in shown.iframe_playlists] == ["360i.m3u8"]


def test_a_media_playlist_and_what_is_allowed_whole_stay_the_same_bytes():
    media = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n1.ts\n"
    assert filtered(media, HLS, Limits(height=1)) == media
    assert filtered(MASTER, HLS, Limits(height=4000)) is MASTER
    assert filtered(MANIFEST, DASH, Limits(height=4000)) is MANIFEST


def test_an_mpd_loses_pictures_and_no_sound():
    for limits in (Limits(height=720), Limits(bandwidth=1), Limits(codecs=("avc1",))):
        shown = presentations.parse(filtered(MANIFEST, DASH, limits))
        assert [each.name for each in shown.renditions] == ["low", "sound"]
        assert len(shown.references) == 4


def test_what_cannot_be_read_is_not_shown_unfiltered():
    for data, kind in ((b"\xff", HLS), (b"#EXT", HLS), (b"<MPD", DASH), (b" " * (LONGEST + 1), DASH)):
        with pytest.raises(Corrupt):
            filtered(data, kind, Limits(height=720))


@given(st.binary(max_size=400), st.sampled_from([HLS, DASH]))
def test_any_bytes_are_filtered_or_refused(data, kind):
    for head in (b"", b"#EXTM3U\n#EXT-X-STREAM-INF:", b"<MPD>"):
        with contextlib.suppress(Corrupt):
            assert len(filtered(head + data, kind, Limits(1, 1, ("a",)))) <= len(head + data) + 200


def test_televisions_are_big_and_phones_small():
    assert [screen_of(zone) for zone in ("bigscreen", "smallscreen", "culture")] == ["big", "small", ""]
