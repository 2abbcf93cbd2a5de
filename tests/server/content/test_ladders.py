"""Each zone's screens see their own ladder: what is too much for them is not in the playlist that they get."""

from __future__ import annotations

import hashlib
from base64 import b64encode

import m3u8
import pytest

from gateway.release import presentations
from tests.server.content import media
from tests.server.content.conftest import BOTH_WAYS
from tests.server.content.test_live_crosses import reason, studio
from tests.unit.gateway.playlists.test_ladder import MANIFEST, MASTER

__all__ = ["studio"]
pytestmark = pytest.mark.server
LIMITS = "never:\n"
LADDERS = "ladders:\n  smallscreen: {height: 720}\nnever:\n"


def test_big_screens_see_all_renditions_and_small_ones_theirs(chain, until):
    chain.publish({"index.m3u8": MASTER, "index.mpd": MANIFEST})
    chain.write_policy(lambda text: text.replace(LIMITS, LADDERS))
    chain.reload("exchange", "delivery-bigscreen", "delivery-smallscreen")
    until(lambda: chain.play("index.m3u8", zone="smallscreen").body != MASTER, "phones have a ladder")
    assert chain.play("index.m3u8").body == MASTER
    assert chain.play("index.mpd").body == MANIFEST
    for _ in range(2):
        small = chain.play("index.m3u8", zone="smallscreen")
        assert [each.uri for each in m3u8.loads(small.body.decode()).playlists] == ["720.m3u8", "360.m3u8"]
        digest = hashlib.sha256(small.body)
        assert small.headers["ETag"] == f'"{digest.hexdigest()}"'
        assert small.headers["Repr-Digest"] == f"sha-256=:{b64encode(digest.digest()).decode()}:"
    again = chain.play("index.m3u8", zone="smallscreen", headers={"If-None-Match": small.headers["ETag"]})
    assert again.status == 304
    shown = presentations.parse(chain.play("index.mpd", zone="smallscreen").body)
    assert [each.name for each in shown.renditions] == ["low", "sound"]


def narrow(chain, until, path):
    """Give phones a ladder, and wait until they see it in the master playlist at ``path``."""
    before = chain.play(path, zone="smallscreen").body
    chain.write_policy(lambda text: text.replace(LIMITS, LADDERS))
    chain.reload("exchange", "delivery-bigscreen", "delivery-smallscreen")
    until(lambda: chain.play(path, zone="smallscreen").body not in (before, b""), "phones have a ladder")


def listing(*names):
    return (
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n" + "".join(f"#EXTINF:2,\n{each}\n" for each in names) + "#EXT-X-ENDLIST\n"
    ).encode()


@BOTH_WAYS
def test_who_asks_for_a_rendition_outside_the_ladder_is_refused(chain, until):
    """Its playlist and its segments, not what others use too; the other zone's screens get all of it."""
    segments = {
        name: media.segment(name.encode())
        for name in ("h1.m4s", "h2.m4s", "l1.m4s", "both.m4s", "high-1.m4s", "low-1.m4s")
    }
    files = {"1080.m3u8": listing("h1.m4s", "both.m4s", "h2.m4s"), "360.m3u8": listing("l1.m4s", "both.m4s")}
    chain.publish({"index.m3u8": MASTER, "index.mpd": MANIFEST, **files, **segments, "poster.json": b"{}"})
    narrow(chain, until, "index.m3u8")
    for path in ("1080.m3u8", "h1.m4s", "h2.m4s", "high-1.m4s"):
        assert reason(chain.play(path, zone="smallscreen")) == (403, "not-in-ladder"), path
        assert chain.play(path).status == 200, path
    for path in ("360.m3u8", "l1.m4s", "both.m4s", "low-1.m4s", "poster.json"):
        for _ in range(2):  # the second time it may be answered at once
            assert chain.play(path, zone="smallscreen").status == 200, path


def test_a_live_rendition_outside_the_ladder_is_refused(chain, studio, until):
    master = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=9000,RESOLUTION=1920x1080\n1080/v.m3u8\n"
    master += b"#EXT-X-STREAM-INF:BANDWIDTH=800,RESOLUTION=640x360\n360/v.m3u8\n"
    room = studio(segment=20.0)
    for path in ("1080/1.m4s", "360/1.m4s"):
        room.put(path, media.segment(path.encode()))
    for path in ("1080/v.m3u8", "360/v.m3u8"):
        room.put(path, listing("1.m4s").replace(b"#EXT-X-ENDLIST\n", b""))
    room.put("index.m3u8", master)
    narrow(chain, until, "live/index.m3u8")
    for path in ("live/1080/v.m3u8", "live/1080/1.m4s"):
        assert reason(chain.play(path, zone="smallscreen")) == (403, "not-in-ladder"), path
        assert chain.play(path).status == 200, path
    for path in ("live/360/v.m3u8", "live/360/1.m4s"):
        assert chain.play(path, zone="smallscreen").status == 200, path
