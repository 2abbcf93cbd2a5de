"""Live DASH as ffmpeg writes it, played by phones: segments that the MPD counts, and segments that it lists."""

from __future__ import annotations

import shutil

import pytest

from tests.players import phones
from tests.players.phones import playing
from tests.server.content.conftest import CODE, running, until
from tests.server.content.test_fetched_ahead import counted
from tests.server.content.test_live_crosses import DASH, Studio

pytestmark = [
    pytest.mark.player,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed"),
    pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed"),
]
LONG = 15.0  # seconds that each plays
PATIENCE = 60.0


@pytest.mark.parametrize(("player", "listed"), [("dash", "1"), ("shaka", "0")], ids=["SegmentTimeline", "Number"])
def test_a_phone_plays_live_dash(tmp_path_factory, player, listed):
    """It goes on without an error; what an MPD lists is here before it is asked for, what it counts both ask for as it comes."""
    with running(tmp_path_factory.mktemp("l")) as chain, phones.Site() as site:
        room = Studio(chain, "live.mpd", segment=2.0)
        try:
            room.film(
                *DASH[:2],
                "-use_timeline",
                listed,
                "-seg_duration",
                "2",
                *DASH[4:],
                str(room.out / "live.mpd"),
                seconds=300,
            )
            room.sign()
            until(lambda: len(room.signed("m4s")) > 6, "segments are signed")
            url = f"http://127.20.0.1:{chain.port}/r/{CODE}/live/live.mpd"
            with playing(site, player, url) as phone:
                until(lambda: phone.told["time"] > 0 or phone.told["errors"], "it plays", PATIENCE)
                began = phone.told["time"]
                until(lambda: phone.reached(began + LONG), "it plays on", PATIENCE)
                assert phone.told["errors"] == []
            if listed == "1":
                until(lambda: counted(chain, "used") >= 3, "segments were here before they were asked for")
        finally:
            room.close()
