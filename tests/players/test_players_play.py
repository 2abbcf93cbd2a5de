"""Televisions and phones as they are sold play from the box: films in HLS and DASH to their end, and live, without a stall."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from tests.players import films, phones
from tests.players.phones import playing
from tests.players.televisions import PLAYERS
from tests.server.content.conftest import CODE, running, until

pytestmark = [
    pytest.mark.player,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed"),
    pytest.mark.skipif(not shutil.which("cvlc"), reason="vlc is not installed"),
    pytest.mark.skipif(not shutil.which("gst-launch-1.0"), reason="gstreamer is not installed"),
]
SECONDS = 12
PATIENCE = 90.0  # seconds until a browser on a busy machine has played that
ENTRIES = {"HLS": "master.m3u8", "DASH": "film.mpd"}


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    """A running chain with a film in HLS and DASH."""
    files = films.encode(tmp_path_factory.mktemp("film"), SECONDS)
    with running(tmp_path_factory.mktemp("p")) as chain:
        chain.publish(files)
        yield chain


@pytest.fixture(scope="module")
def site():
    with phones.Site() as site:
        yield site


def address(chain, entry, zone):
    return f"http://{'127.20.0.1' if zone == 'bigscreen' else '127.30.0.1'}:{chain.port}/r/{CODE}/{entry}"


def figure(chain, zone, name, **labels):
    """Return a metric that delivery told last, 0 where it told none."""
    told = {"zone": zone, "screen": "big" if zone == "bigscreen" else "small", **labels}
    path = chain.run / "metrics" / f"delivery-{zone}" / f"delivery-{zone}.prom"
    for line in path.read_text().splitlines() if path.exists() else ():
        found = re.fullmatch(rf"headgate_delivery_{name}\{{(.*)\}} (\S+)", line)
        if found and dict(re.findall(r'(\w+)="([^"]*)"', found[1])) == told:
            return float(found[2])
    return 0.0


@pytest.mark.parametrize("form", ENTRIES)
@pytest.mark.parametrize("player", PLAYERS)
def test_a_television_plays_a_film_to_its_end(box, player, form):
    """Every picture of it is decoded, or all but the last few, which some players drop."""
    assert PLAYERS[player](address(box, ENTRIES[form], "bigscreen")) >= SECONDS * films.RATE * 0.95


@pytest.mark.parametrize(("player", "form"), [("hls", "HLS"), ("shaka", "HLS"), ("shaka", "DASH"), ("dash", "DASH")])
def test_a_phone_plays_a_film_to_its_end(box, site, player, form):
    """From a page of another address: without a stall, without an error, with decoded pictures."""
    with playing(site, player, address(box, ENTRIES[form], "smallscreen")) as phone:
        until(lambda: phone.told["ended"] or phone.told["errors"], f"{player} plays to the end", PATIENCE)
        told = phone.told
    assert told["errors"] == []
    assert told["time"] >= SECONDS - 0.5
    assert told["frames"] >= SECONDS * films.RATE * 0.8
    assert told["stalls"] == 0, told


# In version 2 hls.js is in haste until it plays: it may not have all of the film by then.
SHORT = {"maxBufferLength": 4, "maxMaxBufferLength": 4}  # seconds
CMCD = {
    "hls.js, version 1, query": ("hls", "HLS", {"cmcd": {"sessionId": "SID", "contentId": "film"}}),
    "hls.js, version 1, headers": ("hls", "HLS", {"cmcd": {"sessionId": "SID", "contentId": "a", "useHeaders": True}}),
    "hls.js, version 2, query": ("hls", "HLS", {"cmcd": {"sessionId": "SID", "contentId": "film", "version": 2}, **SHORT}),
    "shaka, version 1, query": ("shaka", "DASH", {"cmcd": {"enabled": True, "sessionId": "SID", "contentId": "film"}}),
    "shaka, version 1, headers": ("shaka", "DASH", {"cmcd": {"enabled": True, "sessionId": "SID", "contentId": "a", "useHeaders": True}}),
    "dash.js, version 1, query": ("dash", "DASH", {"cmcd": {"enabled": True, "sid": "SID", "cid": "film", "mode": "query"}}),
    "dash.js, version 1, headers": ("dash", "DASH", {"cmcd": {"enabled": True, "sid": "SID", "cid": "film", "mode": "headers"}}),
}  # fmt: skip


@pytest.mark.parametrize("way", CMCD)
def test_what_a_phone_tells_arrives_by_class_of_screen_and_title(box, site, way):
    """Sessions, start-up, buffer and bitrate; and however many ways it is told, the origin is asked once for each object."""
    player, form, options = CMCD[way]
    options = json.loads(json.dumps(options).replace("SID", f"session {way}"))
    names = ("sessions_begun_total", "start_seconds_count", "buffer_seconds_count", "bitrate_bits_count")
    titles = ("title_sessions_total", "title_start_seconds_count_total", "title_bitrate_bits_count_total")

    def figures():
        zone = [figure(box, "smallscreen", name) for name in names]
        return zone + [figure(box, "smallscreen", name, release=CODE) for name in titles]

    before = figures()
    with playing(site, player, address(box, ENTRIES[form], "smallscreen"), **options) as phone:
        until(lambda: phone.reached(4) and phone.told["time"], f"{player} plays", PATIENCE)
        assert phone.told["errors"] == []
        until(lambda: all(now > then for now, then in zip(figures(), before, strict=True)), f"what {way} tells arrives")
    assert figure(box, "smallscreen", "cmcd_unread_total") == 0
    asked = {path: count for path, count in box.origin.asked.items() if path.endswith(".m4s") and count > 1}
    assert asked == {}


def test_events_that_a_phone_reports_arrive(box, site):
    """hls.js posts them (CMCD version 2) from a page of another address: every one can be read, and a session starts by them."""
    cmcd = {"version": 2, "sessionId": "reports", "contentId": "film", "includeKeys": ["sid"]}
    target = {
        "url": address(box, "", "smallscreen").replace("/r/", "/cmcd/").rstrip("/"),
        "events": ["ps", "t"],
        "interval": 1,
    }
    names = ("cmcd_events_total", "sessions_begun_total", "start_seconds_count")
    before = [figure(box, "smallscreen", name) for name in names]
    with playing(
        site, "hls", address(box, "master.m3u8", "smallscreen"), cmcd={**cmcd, "eventTargets": [target]}
    ) as phone:
        until(lambda: phone.reached(2), "hls.js plays", PATIENCE)
        assert phone.told["errors"] == []
        until(
            lambda: all(figure(box, "smallscreen", name) > was for name, was in zip(names, before, strict=True)),
            "its events, its session and its start are counted",
        )
    assert figure(box, "smallscreen", "cmcd_unread_total") == 0


def test_dash_js_obeys_the_bitrate_that_the_box_suggests(box, site):
    """Told of a line that carries the small rendition alone, it leaves the large one that it chose before."""
    ample, narrow = last_height(box, site), 0
    told = box.policy.read_text()
    box.write_policy(lambda text: text + "lines: {smallscreen: 500000}\n")
    box.reload("exchange", "delivery-smallscreen")
    try:
        until(
            lambda: "mb=450" in box.play("chunk-stream1-00001.m4s", zone="smallscreen").headers.get("CMSD-Dynamic", ""),
            "the box suggests a bitrate",
        )
        narrow = last_height(box, site)
    finally:
        box.policy.write_text(told)
        box.reload("exchange", "delivery-smallscreen")
    assert (ample, narrow) == (360, 180)


def last_height(box, site):
    """Return the height of the pictures of dash.js after most of the film; it fetches no more than a few seconds ahead."""
    obey = {
        "cmsd": {"enabled": True, "abr": {"applyMb": True}},
        # What comes within milliseconds is no cache of the browser: it is a box on the same machine, and is to be measured.
        "cacheLoadThresholds": {"video": 0, "audio": 0},
        "abr": {"initialBitrate": {"video": 700}, "throughput": {"useResourceTimingApi": False}},
        "buffer": {"bufferTimeDefault": 4, "bufferTimeAtTopQuality": 4, "bufferTimeAtTopQualityLongForm": 4},
    }
    with playing(site, "dash", address(box, "film.mpd", "smallscreen"), **obey) as phone:
        until(lambda: phone.reached(SECONDS - 3), "dash.js plays most of it", PATIENCE)
        assert phone.told["errors"] == []
        return phone.told["heights"][-1]
