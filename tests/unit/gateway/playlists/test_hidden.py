"""What only renditions use that are not shown, in films and in live channels."""

import pytest

from gateway.playlists.hidden import channel, uses
from gateway.playlists.ladder import DASH, HLS, Limits

SMALL = Limits(height=720)
MASTER = b"""#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="fine",NAME="a",URI="fine/a.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="plain",NAME="b",URI="plain/a.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=9000,RESOLUTION=1920x1080,AUDIO="fine"
1080/v.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=800,RESOLUTION=640x360,AUDIO="plain"
360/v.m3u8
"""


def media(*segments):
    return ("#EXTM3U\n#EXT-X-TARGETDURATION:2\n" + "".join(f"#EXTINF:2,\n{each}\n" for each in segments)).encode()


def mpd(kind="static", low=""):
    template = '<SegmentTemplate media="$RepresentationID$/$Number$.m4s" initialization="$RepresentationID$/i.mp4" duration="2"/>'
    return (
        f'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="{kind}" mediaPresentationDuration="PT4S"><Period><AdaptationSet'
        f' contentType="video">{template}<Representation id="1080" bandwidth="9000" height="1080"/>'
        f'<Representation id="360" bandwidth="800" height="360"/></AdaptationSet>{low}</Period></MPD>'
    ).encode()


def test_segments_of_hidden_playlists_are_hidden_but_what_others_use_too():
    files = {
        "index.m3u8": (MASTER, HLS),
        "1080/v.m3u8": (media("1.m4s", "../logo.m4s"), HLS),
        "360/v.m3u8": (media("1.m4s", "../logo.m4s"), HLS),
        "fine/a.m3u8": (media("1.m4s"), HLS),
        "plain/a.m3u8": (media("1.m4s"), HLS),
        "alone.m3u8": (media("alone.m4s"), HLS),
    }
    told = uses(files, SMALL)
    assert told.hidden == {"1080/v.m3u8", "1080/1.m4s", "fine/a.m3u8", "fine/1.m4s"}
    assert {"360/1.m4s", "logo.m4s", "plain/1.m4s", "alone.m4s"} <= told.shown
    assert uses(files, Limits(height=1080)).hidden == set()


def test_an_mpd_hides_its_representations_but_what_a_shown_playlist_uses():
    files = {"index.mpd": (mpd(), DASH), "broken.mpd": (b"<MPD", DASH)}
    assert uses(files, SMALL).hidden == {"1080/i.mp4", "1080/1.m4s", "1080/2.m4s"}
    files["alone.m3u8"] = (media("1080/1.m4s"), HLS)
    assert uses(files, SMALL).hidden == {"1080/i.mp4", "1080/2.m4s"}


@pytest.mark.parametrize(
    ("path", "hidden"),
    [
        ("live/1080/v.m3u8", True),
        ("live/1080/77.m4s", True),  # in a folder of its own
        ("live/fine/77.m4s", True),
        ("live/360/v.m3u8", False),
        ("live/360/77.m4s", False),
        ("live/other/77.m4s", False),
    ],
)
def test_a_live_channel_hides_playlists_and_their_folders(path, hidden):
    assert channel("live/index.m3u8", MASTER, HLS, SMALL).hides(path) is hidden


def test_where_live_renditions_share_a_folder_their_playlists_alone_are_known():
    shared = MASTER.replace(b"1080/", b"1080-").replace(b"360/", b"360-").replace(b"fine/", b"fine-")
    told = channel("live/index.m3u8", shared, HLS, SMALL)
    assert told.hides("live/1080-v.m3u8")
    assert not told.hides("live/77.m4s")


def test_a_live_mpd_tells_by_its_templates():
    told = channel("live/index.mpd", mpd("dynamic"), DASH, SMALL)
    assert told.hides("live/1080/77.m4s")
    assert told.hides("live/1080/i.mp4")
    assert not told.hides("live/360/77.m4s")


def test_a_media_playlist_hides_nothing():
    assert not channel("live/v.m3u8", media("1.m4s"), HLS, SMALL).hides("live/1.m4s")
