"""What is kept of live channels: bounded in bytes and time."""

from gateway.exchange.ring import Entry, Ring
from gateway.release.live.signing import Claim


def entry(number, until=100.0, size=10):
    return Entry(Claim(f"{number:064x}", size, number, 1, 2), until, 0.0, "key", "", "centre")


def test_what_ran_out_goes():
    """Path and object."""
    ring = Ring()
    ring.put("c", "1.ts", entry(1, until=100))
    ring.put("c", "2.ts", entry(2, until=200))
    assert ring.expire(100) == [f"{1:064x}"]
    assert ring.get("c", "1.ts") is None
    assert (len(ring), ring.bytes) == (1, 10)


def test_an_object_stays_as_long_as_any_path_needs_it():
    """The same bytes under two names are one object."""
    ring = Ring()
    ring.put("c", "1.ts", entry(1, until=200))
    ring.put("d", "1.ts", entry(1, until=100))
    assert ring.bytes == 10
    assert ring.expire(150) == []


def test_without_room_the_oldest_goes():
    """However many channels there are."""
    ring = Ring(most_bytes=25)
    assert ring.put("c", "1.ts", entry(1)) == ring.put("c", "2.ts", entry(2)) == []
    assert ring.put("c", "3.ts", entry(3)) == [f"{1:064x}"]
    assert ring.put("c", "4.ts", entry(4, size=30)) == [f"{2:064x}", f"{3:064x}"]
    assert ring.bytes == 30


def test_a_channel_that_is_withdrawn_goes():
    """All its files at once, also playlists that were replaced; other channels and what they share with it stay."""
    ring = Ring()
    first, other, newer, both = entry(1), entry(2), entry(3), entry(4)
    ring.put("one", "index.m3u8", first)
    ring.put("one", "index.m3u8", newer)
    ring.put("two", "index.m3u8", other)
    for code in ("one", "two"):
        ring.put(code, "init.mp4", both)
    assert ring.drop("one") == [first.claim.sha256, newer.claim.sha256]
    assert ring.holds(both.claim.sha256)
    assert ring.get("one", "index.m3u8") is None
    assert ring.get("two", "index.m3u8") is other
    assert ring.bytes == other.claim.size + both.claim.size
    assert ring.drop("two") == [other.claim.sha256, both.claim.sha256]
    assert ring.bytes == 0


def test_what_its_playlist_no_longer_names_goes_first():
    """Also where something older is named still; what another channel shows too keeps its place."""
    ring = Ring(most_bytes=35)
    for number in (1, 2, 3):
        ring.put("c", f"{number}.ts", entry(number))
    ring.put("d", "3.ts", entry(3))
    ring.pass_by("c", ["2.ts", "3.ts", "unknown.ts"])
    assert ring.put("c", "4.ts", entry(4)) == [f"{2:064x}"]
    assert ring.put("c", "5.ts", entry(5)) == [f"{1:064x}"]
