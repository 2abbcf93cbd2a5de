"""Each zone's screens see their own ladder: what is too much for them is not in the playlist that they get."""

from __future__ import annotations

import hashlib
from base64 import b64encode

import m3u8
import pytest

from gateway.release import presentations
from tests.unit.gateway.playlists.test_ladder import MANIFEST, MASTER

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
