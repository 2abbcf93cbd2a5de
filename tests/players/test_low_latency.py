"""Low-latency HLS: parts are signed, cross and are played by phones for minutes, and on through a switched-off origin."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.identity.keys import PrivateKey
from gateway.release.manifest import Live
from provisioning.lab.lowlatency import PART, PLAYLIST, SEGMENT, WINDOW
from tests.players import phones
from tests.players.phones import playing
from tests.players.televisions import PLAYERS
from tests.server.content.conftest import CODE, running, until

pytestmark = [
    pytest.mark.player,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed"),
    pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed"),
]
LONG = 90.0  # seconds that both play
SLACK = 15.0  # seconds that all their stalls may take together


@pytest.fixture(scope="module")
def channel(tmp_path_factory):
    """A running chain with a low-latency channel."""
    with running(tmp_path_factory.mktemp("l")) as chain:
        out, keyfile, key = chain.base / "out", chain.base / "packager.key", PrivateKey.generate()
        out.mkdir()
        key.save(keyfile)
        live = Live(key=str(key.public), segment=SEGMENT, window=WINDOW)
        chain.publish({"poster.json": b"{}"}, entry=f"live/{PLAYLIST}", live=live)
        signer = [str(Path(sys.executable).with_name("headgate")), "release", "live", str(out), "--id", CODE]
        signer += ["--key", str(keyfile), "--to", str(chain.origin.folder), "--json"]
        packager = [sys.executable, "-m", "provisioning.lab.lowlatency", str(out), "--seconds", "300"]
        with (chain.base / "studio.log").open("ab") as log:
            studio = [
                subprocess.Popen(argv, stdout=log, stderr=log, cwd=Path(__file__).parents[2])
                for argv in (packager, signer)
            ]
        try:
            until(lambda: f'"{PLAYLIST}"' in (chain.base / "studio.log").read_text(), "the playlist is signed")
            until(lambda: len(list(out.glob("*.*.m4s"))) > 20, "four segments are there")
            yield chain
        finally:
            for process in studio:
                process.terminate()
                process.wait(20)


def test_two_phones_play_for_minutes_and_on_through_a_switched_off_origin(channel):
    """hls.js and shaka, at the same time, keep up with the channel without an error; parts and held playlists are what they ask for."""
    url = f"http://127.30.0.1:{channel.port}/r/{CODE}/live/{PLAYLIST}"
    with (
        phones.Site() as site,
        playing(site, "hls", url, lowLatencyMode=True) as hls,
        # With nothing in hand shaka would go on as soon as it has any of it, and stall again for each part.
        playing(site, "shaka", url, streaming={"lowLatencyMode": True, "rebufferingGoal": 3 * PART}) as shaka,
    ):
        both = {"hls.js": hls, "shaka": shaka}
        until(lambda: all(phone.told["time"] > 1 or phone.told["errors"] for phone in both.values()), "both play")
        began = {name: phone.told["time"] for name, phone in both.items()}
        until(
            lambda: all(
                phone.told["errors"] or phone.told["time"] > began[name] + LONG for name, phone in both.items()
            ),
            "both play on",
            LONG + SLACK,
        )
        for name, phone in both.items():
            told = phone.told
            assert told["errors"] == [], (name, told)
            assert told["frames"] > LONG * 10, (name, told)  # of 25 a second: two decoders share a small machine
        asked = [
            path for path in channel.origin.asked if path.endswith(".m4s") and path.rsplit("/", 1)[1].count(".") == 2
        ]
        assert len(asked) > LONG  # most of 2.5 a second
        again = [path for path in asked if channel.origin.asked[path] > 1]
        assert len(again) <= len(asked) / 10, again  # a part may be written just between it and its signature

        channel.origin.stop()
        try:
            at = {name: phone.told["time"] for name, phone in both.items()}
            until(lambda: all(phone.told["time"] > at[name] + 0.5 for name, phone in both.items()), "both play on")
        finally:
            channel.origin.start()
        until(
            lambda: all(phone.told["errors"] or phone.told["time"] > at[name] + 8 for name, phone in both.items()),
            "both play on once it is back",
        )
        assert [phone.told["errors"] for phone in both.values()] == [[], []]


def test_a_playlist_is_held_until_it_has_the_part_that_is_asked_for(channel):
    """Each answer names the part, and none came before the studio made it."""
    for _ in range(5):
        text = channel.play(f"live/{PLAYLIST}").body.decode()
        hint = text.split('TYPE=PART,URI="', 1)[1].split('"', 1)[0]
        segment, part, _ = hint.split(".")
        began = time.monotonic()
        held = channel.play(f"live/{PLAYLIST}?_HLS_msn={segment}&_HLS_part={part}").body.decode()
        assert f'URI="{hint}"' in held.split("#EXT-X-PRELOAD-HINT")[0], json.dumps(held)
        assert time.monotonic() - began < 3 * SEGMENT
        assert channel.play(f"live/{hint}").body[4:8] == b"moof"


@pytest.mark.parametrize("player", PLAYERS)
def test_a_television_plays_it_as_any_live_channel(channel, player):
    """Whole segments, as they are made: most pictures of eight seconds, less what a player takes to begin."""
    assert PLAYERS[player](f"http://127.20.0.1:{channel.port}/r/{CODE}/live/{PLAYLIST}", 8) >= 75
