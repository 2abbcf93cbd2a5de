"""Is it of now? Old, ahead, replayed, too large: each by name."""

import pytest

from appliance.runtime.errors import Refused
from gateway.release.live import freshness
from gateway.release.live.signing import Claim
from gateway.release.manifest import Live

LIVE = Live(key="ed25519:" + "A" * 43 + "=", segment=2.0, window=6, largest=1000)
NOW = 1_764_354_912.0


def claim(created=NOW, life=600, sequence=None, size=10):
    return Claim("0" * 64, size, sequence or int(created * 1000), int(created), int(created) + life)


@pytest.mark.parametrize(
    ("path", "told", "floor", "reason"),
    [
        ("1.ts", claim(), 0, None),
        ("1.ts", claim(), int(NOW * 1000), None),  # the same again
        ("1.ts", claim(NOW + 4), 0, None),  # clocks are never equal
        ("1.ts", claim(NOW + 6), 0, "clock-differs"),
        ("1.ts", claim(NOW - 42), 0, None),  # two windows, a segment more, and some seconds
        ("1.ts", claim(NOW - 43), 0, "stale-segment"),
        ("1.ts", claim(NOW - 10, life=10), 0, "stale-segment"),  # the packager gave it less
        ("1.ts", claim(NOW - 1), int(NOW * 1000), "stale-segment"),  # after a newer one at the same path
        ("index.m3u8", claim(NOW - 14), 0, None),
        ("index.m3u8", claim(NOW - 15), 0, "stale-playlist"),
        ("LIVE.MPD", claim(NOW - 15), 0, "stale-playlist"),
        ("index.m3u8", claim(NOW - 1), int(NOW * 1000), "stale-playlist"),
        ("1.ts", claim(size=1001), 0, "too-large"),
    ],
)
def test_only_what_is_of_now_passes(path, told, floor, reason):
    """However long a time the packager signed."""
    if reason is None:
        freshness.check(told, LIVE, path, NOW, floor)
        return
    with pytest.raises(Refused) as caught:
        freshness.check(told, LIVE, path, NOW, floor)
    assert caught.value.reason == reason


def test_a_long_segment_gives_a_playlist_longer():
    """Four segments, where that is more than a quarter of a minute."""
    assert freshness.life(LIVE.model_copy(update={"segment": 10.0}), "index.m3u8") == 40
