"""Low-latency HLS (draft-pantos-hls-rfc8216bis): where a playlist stands, and whether it has what a player waits for; pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from appliance.runtime.errors import Refused
from gateway.playlists.ladder import attributes

MSN, PART, SKIP = "_HLS_msn", "_HLS_part", "_HLS_skip"
HELD = 3  # target durations for which a request is held at most (section 6.2.5.2)
BEYOND = 2  # media sequence numbers after the last one that may be waited for (the same section)
SOONEST, LATEST = 0.025, 1.0  # seconds between two looks for what is waited for
_NUMBER = re.compile(r"\d{1,15}", re.ASCII)


@dataclass(frozen=True)
class Wanted:
    """What a player waits for: a media sequence number, and a part of that segment or the whole of it."""

    msn: int
    part: int | None = None


@dataclass(frozen=True)
class Standing:
    """How far a media playlist has come; of parts only where it has some."""

    msn: int  # the last whole segment's, or one less than the first's
    parts: int = 0  # of the segment after that
    blocks: bool = False  # CAN-BLOCK-RELOAD
    target: float = 0.0  # seconds
    part_target: float = 0.0  # seconds, 0: it has no parts
    ended: bool = False
    hint: str = ""  # the address of the part that comes next

    def has(self, wanted: Wanted) -> bool:
        """Return whether the playlist has what is waited for, or will never have more."""
        if self.ended or wanted.msn <= self.msn:
            return True
        return wanted.part is not None and wanted.msn == self.msn + 1 and wanted.part < self.parts

    def check(self, wanted: Wanted) -> None:
        """Refuse what lies too far ahead to be waited for.

        Raises:
            Refused: more than two segments, or more parts than the advance part limit, beyond the last (``bad-request``).
        """
        if self.has(wanted):
            return
        limit = math.ceil(3 / self.part_target) if 0 < self.part_target < 1 else 3
        far = wanted.msn > self.msn + BEYOND
        if wanted.part is not None and wanted.msn == self.msn + 1:
            far = wanted.part > self.parts - 1 + limit
        if far:
            raise Refused("bad-request", f"the playlist stands at {self.msn}: {wanted.msn} is too far ahead", 400)


def wanted(query: Mapping[str, str]) -> Wanted | None:
    """Return what a request waits for, or None where it does not.

    Raises:
        Refused: a directive is no number, or a part is asked for without its segment (``bad-request``).
    """
    for name in (MSN, PART):
        if name in query and not _NUMBER.fullmatch(query[name]):
            raise Refused("bad-request", f"{name} is a decimal integer", 400)
    if MSN not in query:
        if PART in query:
            raise Refused("bad-request", f"{PART} needs {MSN}", 400)
        return None
    return Wanted(int(query[MSN]), int(query[PART]) if PART in query else None)


def standing(data: bytes) -> Standing | None:
    """Return where the media playlist ``data`` stands; None where it is none."""
    if not data.startswith(b"#EXTM3U"):
        return None
    first = segments = parts = 0
    target = part_target = 0.0
    blocks = ended = media = False
    hint = ""
    for line in data.decode("utf-8", "replace").splitlines():
        if line.startswith("#EXTINF:"):
            segments, parts, media = segments + 1, 0, True
        elif line.startswith("#EXT-X-PART:"):
            parts, media = parts + 1, True
        elif line.startswith("#EXT-X-MEDIA-SEQUENCE:"):
            first = int(_number(line.partition(":")[2]))
        elif line.startswith("#EXT-X-TARGETDURATION:"):
            target, media = _number(line.partition(":")[2]), True
        elif line.startswith("#EXT-X-PART-INF:"):
            part_target = _number(attributes(line).get("PART-TARGET", ""))
        elif line.startswith("#EXT-X-SERVER-CONTROL:"):
            blocks = attributes(line).get("CAN-BLOCK-RELOAD") == "YES"
        elif line.startswith("#EXT-X-SKIP:"):
            segments += int(_number(attributes(line).get("SKIPPED-SEGMENTS", "")))
        elif line.startswith("#EXT-X-PRELOAD-HINT:"):
            told = attributes(line)
            hint = told.get("URI", "") if told.get("TYPE") == "PART" else hint
        elif line.startswith("#EXT-X-ENDLIST"):
            ended = True
    if not media:
        return None
    return Standing(first + segments - 1, parts, blocks, target, part_target, ended, hint)


def pause(pace: float, left: float) -> float:
    """Return the seconds until the next look for what comes every ``pace`` seconds and is due in ``left`` of them.

    Four looks or so each time, most of them where it is due: each tells sooner than the same number evenly spread.
    """
    quarter = pace / 4
    if left > quarter:
        return min(max(left - quarter, SOONEST), LATEST)
    return min(max(pace / 16 if left > -2 * quarter else quarter, SOONEST), LATEST)


def _number(text: str) -> float:
    return float(text) if re.fullmatch(r"\d{1,12}(\.\d{1,9})?", text.strip(), re.ASCII) else 0.0
