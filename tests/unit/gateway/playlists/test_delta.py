"""A playlist without the segments that a player has: only what may go goes, and what is left means the same."""

import m3u8
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.playlists.blocking import standing
from gateway.playlists.delta import asked, offered, shortened

HEAD = (
    "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12\n"
    '#EXT-X-PART-INF:PART-TARGET=0.5\n#EXT-X-MEDIA-SEQUENCE:40\n#EXT-X-MAP:URI="init.mp4"\n'
)
TAIL = '#EXT-X-PART:DURATION=0.5,URI="p50.0.m4s"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p50.1.m4s"\n'


def playlist(head=HEAD, segments=10, before="", tail=TAIL):
    return (head + "".join(f"{before}#EXTINF:2,\ns{40 + n}.m4s\n" for n in range(segments)) + tail).encode()


def test_what_ends_before_the_boundary_is_skipped_and_the_rest_is_as_it_was():
    whole, short = playlist(), shortened(playlist())
    told = m3u8.loads(short.decode())
    assert b"#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n" in short  # 20 s of segments: three end more than 12 s before the end
    assert [each.uri for each in told.segments][:7] == [f"s{n}.m4s" for n in range(43, 50)]
    assert told.segments[0].init_section.uri == "init.mp4"  # shaka looks for it behind what was skipped
    assert (told.version, told.media_sequence) == (9, 40)
    assert short.endswith(TAIL.encode())
    assert standing(short) == standing(whole)


@pytest.mark.parametrize(
    "data",
    [
        playlist(HEAD.replace(",CAN-SKIP-UNTIL=12", "")),
        playlist(HEAD.replace("=12", "=many")),
        playlist(segments=6),
        playlist(tail="#EXT-X-ENDLIST\n"),
        playlist(HEAD + "#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n"),
        playlist(before="#EXT-X-BYTERANGE:100\n"),
        playlist().replace(b"#EXTINF:2,\ns41", b"#EXTINF:two,\ns41"),
        b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n",
        b"#EXTM3U\n\xff\n",
        b"<MPD/>",
        b"",
    ],
)
def test_what_cannot_be_shortened_stays_as_it_is(data):
    assert shortened(data) == data


def test_six_target_durations_always_stay():
    """A packager that promises less than the standard asks does not make players fall behind."""
    assert b"SKIPPED-SEGMENTS=3\n" in shortened(playlist(HEAD.replace("=12", "=2")))


def test_what_holds_on_and_what_is_no_segments_stays():
    """The last map and key before the boundary, and date ranges; not what belonged to the segments that go."""
    data = playlist(
        HEAD.replace("#EXT-X-VERSION:6\n", ""),
        before='#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI="other.mp4"\n#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00Z\n',
    ).replace(b"s41.m4s\n", b's41.m4s\n#EXT-X-DATERANGE:ID="a",START-DATE="2026-01-01T00:00:00Z"\n')
    head = shortened(data).decode().partition("s43.m4s")[0]
    assert head.count("#EXT-X-DATERANGE") == head.count("#EXT-X-VERSION:9") == head.count("#EXTINF") == 1
    assert head.count("#EXT-X-DISCONTINUITY\n") == head.count("#EXT-X-PROGRAM-DATE-TIME") == 1  # s43's own
    assert "init.mp4" not in head
    assert head.index("#EXT-X-SKIP") < head.index("other.mp4")


@given(
    st.lists(st.sampled_from([*HEAD.splitlines(), *TAIL.splitlines(), "#EXTINF:2,", "a.m4s", "#EXT-X-BYTERANGE:1@0"]))
)
def test_whatever_comes_stands_where_it_stood(lines):
    data = "\n".join(["#EXTM3U", *lines, ""]).encode()
    assert standing(shortened(data)) == standing(data)


def test_who_asks_for_it():
    assert asked({"_HLS_skip": "YES"})
    assert not asked({"_HLS_skip": "v2"})  # nobody offered to leave date ranges out
    assert not asked({"_HLS_skip": "NO"})
    assert not asked({})


@pytest.mark.parametrize(
    ("told", "left"),
    [
        ("CAN-SKIP-UNTIL=12,CAN-SKIP-DATERANGES=YES", "CAN-SKIP-UNTIL=12"),
        ("CAN-SKIP-DATERANGES=YES,CAN-SKIP-UNTIL=12", "CAN-SKIP-UNTIL=12"),
        ("CAN-SKIP-UNTIL=12,CAN-SKIP-DATERANGES=YES,CAN-BLOCK-RELOAD=YES", "CAN-SKIP-UNTIL=12,CAN-BLOCK-RELOAD=YES"),
        ("CAN-SKIP-UNTIL=12", "CAN-SKIP-UNTIL=12"),
    ],
)
def test_no_playlist_offers_to_leave_date_ranges_out(told, left):
    """The rest of it is as it was, to the byte."""
    names = "#CAN-SKIP-DATERANGES=YES, says a comment\n\xff\r\n".encode("latin-1")
    whole = f"#EXTM3U\n#EXT-X-SERVER-CONTROL:{told}\n".encode() + names
    assert offered(whole) == f"#EXTM3U\n#EXT-X-SERVER-CONTROL:{left}\n".encode() + names
