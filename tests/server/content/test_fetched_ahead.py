"""The next segment is here before a screen asks for it."""

from __future__ import annotations

import pytest

from tests.server.content import media

pytestmark = pytest.mark.server
PLAYLIST = (
    b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
    + b"".join(b"#EXTINF:2,\n%d.m4s\n" % n for n in range(6))
    + b"#EXT-X-ENDLIST\n"
)


def test_the_next_segment_is_fetched_ahead_and_counted(chain, until):
    """In the playlist's order, or as the player tells (CMCD ``nor``)."""
    segments = {f"{n}.m4s": media.segment(bytes([n]) * 5000) for n in range(6)}
    release = chain.publish({"index.m3u8": PLAYLIST, **segments})

    def here(name):
        return release.files[name].sha256 in chain.stored()

    assert chain.play("index.m3u8").status == 200
    assert chain.play("0.m4s").body == segments["0.m4s"]
    until(lambda: here("1.m4s"), "the next one is in the store")
    assert not here("2.m4s")
    assert "hit" in chain.play("1.m4s").headers["Cache-Status"]
    assert chain.play("3.m4s", headers={"CMCD-Request": 'nor="5.m4s"'}).status == 200
    until(lambda: here("5.m4s"), "what the player told of is in the store")
    shown = chain.run / "metrics" / "delivery-bigscreen" / "delivery-bigscreen.prom"
    used = 'headgate_delivery_ahead_total{outcome="used",zone="bigscreen"} 1.0'
    until(lambda: shown.is_file() and used in shown.read_text(), "it is counted as used")
