"""The next segment is here before a screen asks for it."""

from __future__ import annotations

import pytest

from tests.server.content import media
from tests.server.content.conftest import CODE
from tests.server.content.test_live_crosses import studio
from tests.unit.gateway.playlists.test_order import channel

__all__ = ["studio"]
pytestmark = pytest.mark.server
PLAYLIST = (
    b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
    + b"".join(b"#EXTINF:2,\n%d.m4s\n" % n for n in range(6))
    + b"#EXT-X-ENDLIST\n"
)


def counted(chain, outcome):
    """Return how many segments the television's zone says that it fetched ahead, used or wasted."""
    shown = chain.run / "metrics" / "delivery-bigscreen" / "delivery-bigscreen.prom"
    lines = shown.read_text().splitlines() if shown.is_file() else []
    start = f'headgate_delivery_ahead_total{{outcome="{outcome}",zone="bigscreen"}} '
    return sum(float(line.removeprefix(start)) for line in lines if line.startswith(start))


def test_the_next_segment_is_fetched_ahead_and_counted(chain, until):
    """In the playlist's order, or as the player tells (CMCD ``nor``)."""
    segments = {f"{n}.m4s": media.segment(bytes([n]) * 5000) for n in range(6)}
    release = chain.publish({"index.m3u8": PLAYLIST, **segments})

    def here(name):
        return release.files[name].sha256 in chain.stored()

    assert chain.play("index.m3u8").status == 200
    assert chain.play("0.m4s").body == segments["0.m4s"]
    until(lambda: here("1.m4s") and counted(chain, "fetched") == 1, "the next one is in the store")
    assert not here("2.m4s")
    assert "hit" in chain.play("1.m4s").headers["Cache-Status"]
    assert chain.play("3.m4s", headers={"CMCD-Request": 'nor="5.m4s"'}).status == 200
    until(lambda: here("5.m4s"), "what the player told of is in the store")
    until(lambda: counted(chain, "used") == 1, "it is counted as used")


def test_the_next_segment_of_live_dash_is_fetched_ahead(chain, studio, until):
    """Of the representation that a screen asks for alone; what the MPD did not list yet, once it does."""
    room = studio("index.mpd", segment=20.0)
    segments = {f"a/{n * 2000}.m4s": media.segment(bytes([n]) * 5000) for n in range(4)}
    for path, data in (segments | {path.replace("a/", "b/"): data for path, data in segments.items()}).items():
        room.put(path, data)

    def listed(last, sequence):
        inner = f'<SegmentTimeline><S t="0" d="2000" r="{last}"/></SegmentTimeline>'
        room.put("index.mpd", channel('media="$RepresentationID$/$Time$.m4s"', inner=inner), sequence=sequence)

    def asked(name):
        return chain.origin.asked[f"/releases/{CODE}/live/{name}"]

    listed(1, 1)
    assert chain.play("live/index.mpd").status == chain.play("live/a/0.m4s").status == 200
    until(lambda: asked("a/2000.m4s") and counted(chain, "fetched") == 1, "the next one is fetched")
    assert chain.play("live/a/2000.m4s").body == segments["a/2000.m4s"]
    assert "hit" in chain.play("live/a/2000.m4s").headers["Cache-Status"]
    assert not asked("a/4000.m4s")  # not listed yet
    listed(2, 2)
    until(lambda: chain.play("live/index.mpd").status == 200 and asked("a/4000.m4s"), "the new one is fetched")
    assert asked("a/2000.m4s") == 1
    assert not asked("b/2000.m4s")
    until(lambda: counted(chain, "used") == 1, "it is counted as used")
