"""Where a low-latency playlist stands, and what may be waited for."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.runtime.errors import Refused
from gateway.playlists.blocking import LATEST, SOONEST, Standing, Wanted, pause, standing, wanted

PLAYLIST = b"""#EXTM3U
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5
#EXT-X-PART-INF:PART-TARGET=0.5
#EXT-X-MEDIA-SEQUENCE:10
#EXTINF:2,
s10.m4s
#EXT-X-PART:DURATION=0.5,URI="p11.0.m4s"
#EXTINF:2,
s11.m4s
#EXT-X-PART:DURATION=0.5,URI="p12.0.m4s"
#EXT-X-PART:DURATION=0.5,URI="p12.1.m4s"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p12.2.m4s"
"""


def test_a_playlist_stands_at_its_last_segment_and_the_parts_after_it():
    assert standing(PLAYLIST) == Standing(11, 2, True, 2.0, 0.5, False, "p12.2.m4s")
    assert standing(b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n") is None
    assert standing(b"<MPD/>") is None


@pytest.mark.parametrize(
    ("asked", "there"),
    [
        (Wanted(11), True),
        (Wanted(11, 7), True),
        (Wanted(12, 1), True),
        (Wanted(12, 2), False),
        (Wanted(12), False),  # the whole of it
        (Wanted(13, 0), False),
    ],
)
def test_what_is_there_is_not_waited_for(asked, there):
    assert standing(PLAYLIST).has(asked) is there
    standing(PLAYLIST).check(asked)
    assert standing(PLAYLIST + b"#EXT-X-ENDLIST\n").has(asked)


@pytest.mark.parametrize("asked", [Wanted(14), Wanted(12, 8), Wanted(1000, 0)])
def test_what_is_too_far_ahead_is_refused(asked):
    with pytest.raises(Refused) as refused:
        standing(PLAYLIST).check(asked)
    assert refused.value.status == 400


@pytest.mark.parametrize("query", [{"_HLS_msn": "x"}, {"_HLS_msn": "-1"}, {"_HLS_part": "1"}, {"_HLS_msn": "9" * 16}])
def test_directives_that_cannot_be_are_refused(query):
    with pytest.raises(Refused) as refused:
        wanted(query)
    assert refused.value.status == 400


def test_directives_are_read():
    assert wanted({"_HLS_msn": "12", "_HLS_part": "3", "other": "x"}) == Wanted(12, 3)
    assert wanted({"_HLS_skip": "YES"}) is None


@given(st.binary(max_size=300), st.dictionaries(st.sampled_from(["_HLS_msn", "_HLS_part"]), st.text(max_size=5)))
def test_any_bytes_stand_somewhere_or_nowhere(data, query):
    for head in (b"", b"#EXTM3U\n#EXT-X-PART:", b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:"):
        stands = standing(head + data)
        with contextlib.suppress(Refused):
            asked = wanted(query)
            if stands is not None and asked is not None:
                stands.check(asked)


@pytest.mark.parametrize(
    ("pace", "left", "seconds"),
    [
        (0.4, 0.4, 0.3),  # first a quarter before it is due
        (0.4, 0.1, 0.025),
        (0.4, -0.1, 0.025),
        (0.4, -0.3, 0.1),  # it is late: four times in its time
        (0.4, 0.11, SOONEST),
        (0.01, 0.0, SOONEST),
        (60.0, 60.0, LATEST),
        (60.0, -100.0, LATEST),
    ],
)
def test_looks_come_thick_when_something_is_due(pace, left, seconds):
    assert pause(pace, left) == pytest.approx(seconds)
