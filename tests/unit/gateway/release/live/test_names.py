"""What playlists name, and what they may not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.runtime.errors import Corrupt
from gateway.release.live import names

MEDIA = b'#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI="init.mp4"\n#EXTINF:2,\n1.m4s\n#EXTINF:2,\na/2.m4s?x=1\n'
MASTER = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=100\nv0/index.m3u8\n"
MPD = b"""<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="dynamic"><Period><AdaptationSet>
<Representation id="0"><SegmentTemplate initialization="init-$RepresentationID$.m4s" media="c-$RepresentationID$-$Number%05d$.m4s"/>
</Representation></AdaptationSet></Period></MPD>"""


def test_hls_names_segments_initialisations_and_renditions():
    """Relative to the playlist, without their queries."""
    assert names.read("v/index.m3u8", MEDIA).paths == {"v/init.mp4", "v/1.m4s", "v/a/2.m4s"}
    assert names.read("master.m3u8", MASTER).paths == {"v0/index.m3u8"}
    assert not names.read("index.m3u8", MEDIA).ended
    assert names.read("index.m3u8", MEDIA + b"#EXT-X-ENDLIST\n").ended


def test_dash_names_by_template():
    """Numbers are counted, everything else is as it stands."""
    named = names.read("d/live.mpd", MPD)
    assert named.paths == {"d/init-0.m4s"}
    assert named.names("d/c-0-00017.m4s")
    assert not any(map(named.names, ("c-0-00017.m4s", "d/c-1-00017.m4s", "d/c-0-x.m4s", "d/c-0-1.m4s.bak")))
    assert not named.ended
    assert names.read("live.mpd", MPD.replace(b"dynamic", b"static")).ended


@pytest.mark.parametrize(
    "uri",
    ["../x.ts", "/x.ts", "http://other/x.ts", "//other/x.ts", ".x.ts", "a/../../x.ts", "%2e%2e/x.ts", "release.json"],
)
def test_nothing_outside_the_channel_is_named(uri):
    """A playlist is no way to another folder or host."""
    with pytest.raises(Corrupt):
        names.read("index.m3u8", b"#EXTM3U\n#EXTINF:1,\n" + uri.encode() + b"\n")


@pytest.mark.parametrize("data", [b"", b"hello", b"#EXTM3U\n#EXTINF:2,\n1.t", MPD[:-4], b"<x/>", b"\xff"])
def test_what_is_not_whole_is_not_taken(data):
    """A playlist that is being written is looked at again."""
    with pytest.raises(Corrupt):
        names.read("live.mpd" if data.startswith(b"<") else "index.m3u8", data)


def test_the_newest_segment_is_the_last_one():
    """Only playlists of segments have one."""
    assert names.newest("v/index.m3u8", MEDIA) == ("v/a/2.m4s",)
    assert names.newest("master.m3u8", MASTER) == ()
    assert names.newest("live.mpd", MPD) == ()


@given(
    st.sampled_from(["index.m3u8", "live.mpd"]),
    st.sampled_from([b"", b"#EXTM3U\n", MEDIA, MPD]),
    st.binary(max_size=200),
)
def test_any_bytes_are_names_or_a_refusal(path, head, data):
    """Nobody makes the reader fail in another way."""
    for text in (head + data, head + data + b"\n"):
        try:
            assert isinstance(names.read(path, text), names.Named)
        except Corrupt:
            continue


def test_parts_of_low_latency_playlists_are_named():
    """Those of the segment that is being written too, but not the one that is only hinted at."""
    playlist = b"""#EXTM3U
#EXT-X-TARGETDURATION:1
#EXT-X-PART-INF:PART-TARGET=0.5
#EXT-X-PART:DURATION=0.5,URI="p1.0.m4s",INDEPENDENT=YES
#EXTINF:1,
s1.m4s
#EXT-X-PART:DURATION=0.5,URI="p2.0.m4s"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p2.1.m4s"
"""
    assert names.read("v/index.m3u8", playlist).paths == {"v/s1.m4s", "v/p1.0.m4s", "v/p2.0.m4s"}
    assert names.newest("v/index.m3u8", playlist) == ("v/s1.m4s", "v/p2.0.m4s")
