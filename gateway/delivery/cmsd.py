"""What the box tells a player with an answer: Common Media Server Data (CTA-5006), as fields of RFC 9651; pure.

``CMSD-Static`` says what the object is, the same for everybody; ``CMSD-Dynamic`` says how this box and the line to this player are now.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from gateway.release.live.freshness import is_playlist

STATIC, DYNAMIC = "CMSD-Static", "CMSD-Dynamic"
LARGEST_RATE = 10_000_000  # kbit/s: what a loopback or a measurement of one burst would say beyond that helps no player
LONGEST_TIME = 60_000  # milliseconds
STEP = 100  # kbit/s that an estimate is rounded down to: it is no more exact than that
_HIDDEN = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")  # what a string of RFC 9651 may not hold unescaped
_TYPES = {"audio/": "a", "text/vtt": "c", "video/mp2t": "av", "application/ttml+xml": "tt"}
_FORMATS = {".m3u8": "h", ".mpd": "d"}


class Link(NamedTuple):
    """What the kernel knows of one connection: round trip (seconds), and the rate that it delivered at (bits a second; 0: unknown)."""

    rtt: float
    rate: float


def static(path: str, kind: str, entry: str, *, live: bool, seconds: float = 0.0) -> str:
    """Return ``CMSD-Static`` of the file at ``path`` of the media type ``kind``, in a release that a player opens at ``entry``.

    ``seconds`` is how long a segment is, 0 where nobody said so.
    """
    what = _what(path, kind)
    told = [f"ot={what}"] if what else []
    if seconds and what not in ("m", "i"):
        told.append(f"d={round(seconds * 1000)}")
    told += [f"sf={form}" for ending, form in _FORMATS.items() if entry.lower().endswith(ending)]
    return ",".join([*told, f"st={'l' if live else 'v'}"])


def dynamic(
    box: str, *, most: int = 0, duress: bool = False, link: Link | None = None, delay: float | None = None
) -> str:
    """Return ``CMSD-Dynamic`` of the box named ``box``, or nothing where there is nothing to say.

    ``most`` is the highest bitrate (bits a second) that a player should choose, 0 for any; ``delay`` the seconds that the answer took.
    """
    told = [";du"] if duress else []
    if link is not None:
        if rate := min(LARGEST_RATE, int(link.rate / 1000) // STEP * STEP):
            told.append(f";etp={rate}")
        told.append(f";rtt={_milliseconds(link.rtt)}")
    if most:
        told.append(f";mb={min(LARGEST_RATE, max(1, most // 1000))}")
    said = f"{_name(box)}{''.join(told)}" if told else ""
    return said if delay is None else delayed(said, box, delay)


def delayed(said: str, box: str, delay: float) -> str:
    """Return what ``dynamic`` said of the box without a ``delay`` as it is with one, in seconds, which is known last."""
    return f"{said or _name(box)};rd={_milliseconds(delay)}"


def _name(box: str) -> str:
    return f'"{_HIDDEN.sub("", box)}"'


def _milliseconds(seconds: float) -> int:
    return min(LONGEST_TIME, math.ceil(max(0.0, seconds) * 1000))


def _what(path: str, kind: str) -> str:
    """Return the object type (``ot``) as far as its name and media type tell it."""
    if is_playlist(path):
        return "m"
    if path.rpartition("/")[2].lower().startswith("init"):
        return "i"
    return next((what for start, what in _TYPES.items() if kind.startswith(start)), "")
