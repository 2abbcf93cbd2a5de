"""Which segment comes after which."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.playlists.ladder import DASH, HLS
from gateway.playlists.order import following
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


def test_a_master_playlist_has_no_order():
    assert following("index.m3u8", MASTER, HLS) == {}


@given(st.binary(max_size=300), st.sampled_from([HLS, DASH, "text/plain"]))
def test_any_bytes_have_some_order_or_none(data, kind):
    for head in (b"", b"#EXTM3U\n#EXTINF:2,\n"):
        assert all(isinstance(name, str) for name in following("a/b", head + data, kind))
