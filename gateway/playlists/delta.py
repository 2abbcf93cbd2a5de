"""Playlist delta updates (draft-pantos-hls-rfc8216bis section 6.2.5.1): a playlist without the segments that a player has already; pure.

Date ranges are never left out: whoever does that has to say which were removed lately (RECENTLY-REMOVED-DATERANGES), and a box that
has one playlist and not those before it does not know. So no playlist offers it, whatever its packager does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gateway.playlists.blocking import SKIP
from gateway.playlists.ladder import attributes

LONGEST = 1 << 20  # bytes of a playlist that is shortened
LEAST = 6  # target durations that are never skipped, whatever the playlist says (CAN-SKIP-UNTIL, section 4.4.3.8)
VERSION = 9  # of a playlist with EXT-X-SKIP (section 8)
_OFFER = re.compile(r",CAN-SKIP-DATERANGES=[^,\r]*|(?<=:)CAN-SKIP-DATERANGES=[^,\r]*,?")
_NUMBER = re.compile(r"\d{1,12}(\.\d{1,9})?", re.ASCII)
_STANDS = ("#EXT-X-KEY:", "#EXT-X-MAP:")  # hold for all that follows, so that the last of each stays
_GOES = ("#EXTINF:", "#EXT-X-BYTERANGE:", "#EXT-X-PROGRAM-DATE-TIME:", "#EXT-X-GAP", "#EXT-X-BITRATE:", "#EXT-X-PART:")


def asked(query: Mapping[str, str]) -> bool:
    """Return whether a request is content with what is new; ``v2`` (date ranges too), which is not offered, gets the whole playlist."""
    return query.get(SKIP) == "YES"


def offered(data: bytes) -> bytes:
    """Return the playlist ``data`` without the promise that date ranges can be left out; the same bytes where it has none."""
    if b"CAN-SKIP-DATERANGES" not in data or len(data) > LONGEST:
        return data
    lines = data.decode(errors="surrogateescape").split("\n")
    kept = [_OFFER.sub("", line) if line.startswith("#EXT-X-SERVER-CONTROL:") else line for line in lines]
    return "\n".join(kept).encode(errors="surrogateescape")


def shortened(data: bytes) -> bytes:
    """Return the media playlist ``data`` with its old segments replaced by ``EXT-X-SKIP``; the same bytes where nothing can go.

    Segments go only where the playlist says ``CAN-SKIP-UNTIL``, and if they end before that boundary. Date ranges stay.
    """
    if len(data) > LONGEST or not data.startswith(b"#EXTM3U"):
        return data
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError:
        return data
    boundary = _boundary(lines)
    seconds, ends = 0.0, []  # how long its segments are together, and each one's end: its line and its place in time
    duration: float | None = None
    for index, line in enumerate(lines):
        if line.startswith(("#EXT-X-SKIP:", "#EXT-X-ENDLIST", "#EXT-X-STREAM-INF:")):
            return data
        if line.startswith("#EXTINF:"):
            duration = _seconds(line.partition(":")[2].partition(",")[0])
        elif line.strip() and not line.startswith("#"):
            if duration is None:  # no segment, or one whose length cannot be read
                return data
            seconds, duration = seconds + duration, None
            ends.append((index, seconds))
    gone = [index for index, end in ends if end < seconds - boundary] if boundary else []
    if not gone or _leans_on_the_last(lines[gone[-1] + 1 :]):
        return data
    return _written(lines, gone[-1] + 1, len(gone))


def _boundary(lines: list[str]) -> float:
    """Return for how many seconds before its end the playlist is given whole, 0 where nothing may be skipped."""
    target = until = 0.0
    for line in lines:
        if line.startswith("#EXT-X-TARGETDURATION:"):
            target = _seconds(line.partition(":")[2]) or 0.0
        elif line.startswith("#EXT-X-SERVER-CONTROL:"):
            until = _seconds(attributes(line).get("CAN-SKIP-UNTIL", "")) or 0.0
    return max(until, LEAST * target) if until and target else 0.0


def _leans_on_the_last(rest: list[str]) -> bool:
    """Return whether the first segment that stays is a range of a file that begins where the one before it ended."""
    for line in rest:
        if line.strip() and not line.startswith("#"):
            return False
        if line.startswith("#EXT-X-BYTERANGE:") and "@" not in line:
            return True
    return False


def _written(lines: list[str], first: int, count: int) -> bytes:
    kept: list[str] = []
    standing: dict[str, str] = {}
    for line in lines[:first]:
        if line.startswith("#EXT-X-VERSION:"):
            version = _seconds(line.partition(":")[2]) or 0
            kept.append(f"#EXT-X-VERSION:{max(VERSION, int(version))}")
            continue
        name = next((name for name in _STANDS if line.startswith(name)), "")
        if name:
            standing[name] = line
        elif line.startswith("#EXT") and not line.startswith(_GOES) and line.strip() != "#EXT-X-DISCONTINUITY":
            kept.append(line)
    if not any(line.startswith("#EXT-X-VERSION:") for line in kept):
        kept.insert(1, f"#EXT-X-VERSION:{VERSION}")
    skip = f"#EXT-X-SKIP:SKIPPED-SEGMENTS={count}"
    return "\n".join([*kept, skip, *standing.values(), *lines[first:], ""]).encode()


def _seconds(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text.strip()) else None
