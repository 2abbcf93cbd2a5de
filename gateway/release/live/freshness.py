"""Is a signed live file of now? Pure: ``now`` and what was seen before go in.

A playlist holds for some seconds, a segment for as long as players may ask for it: what an origin, or whoever stands before it, kept back
cannot be shown later, and what it shows again after something newer at the same path is known for what it is.
"""

from __future__ import annotations

from appliance.runtime.errors import Refused
from gateway.release.live.signing import Claim
from gateway.release.manifest import Live

PLAYLISTS = (".m3u8", ".mpd")
SKEW = 5  # seconds that the packager's clock may be before the box's
SHORTEST = 15  # seconds that a playlist holds at least: a player waits three segments for the next one (RFC 8216 section 6.3.4)


def is_playlist(path: str) -> bool:
    """Return whether ``path`` is what a player asks for again and again."""
    return path.lower().endswith(PLAYLISTS)


def life(live: Live, path: str) -> int:
    """Return for how many seconds ``path`` of a channel holds once it is signed.

    A segment is named for a window, and must still be there for another one and a segment (RFC 8216 section 6.2.2).
    """
    if is_playlist(path):
        return max(SHORTEST, round(4 * live.segment))
    return round((2 * live.window + 2) * live.segment) + SHORTEST


def until(claim: Claim, live: Live, path: str) -> float:
    """Return until when (seconds since 1970) a box takes it for live, whatever long time the packager signed."""
    return min(claim.expires, claim.created + life(live, path))


def check(claim: Claim, live: Live, path: str, now: float, floor: int) -> None:
    """Pass what is of ``now`` (seconds since 1970) and not before ``floor``, the greatest sequence that was seen at this path.

    Raises:
        Refused: it is not (``too-large``, ``clock-differs``, ``stale-playlist``, ``stale-segment``).
    """
    if claim.size > live.largest:
        raise Refused("too-large", f"{claim.size} bytes; the channel's largest file has {live.largest}", 413)
    if claim.created > now + SKEW:
        ahead = claim.created - now
        raise Refused("clock-differs", f"signed {ahead:.0f} seconds ahead of the box's clock", 502)
    kind = "playlist" if is_playlist(path) else "segment"
    if claim.sequence < floor:
        raise _stale(
            kind, f"sequence {claim.sequence} comes after {floor} at the same path: somebody shows an old {kind}"
        )
    if (end := until(claim, live, path)) <= now:
        raise _stale(
            kind, f"it held until {now - end:.0f} seconds ago: the packager stopped, or somebody shows an old {kind}"
        )


def _stale(kind: str, sentence: str) -> Refused:
    if kind == "playlist":
        return Refused("stale-playlist", sentence, 502)
    return Refused("stale-segment", sentence, 502)
