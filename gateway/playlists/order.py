"""Which segment comes after which, as a playlist or an MPD names or counts them; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

from appliance.runtime.errors import Corrupt
from gateway.playlists.ladder import DASH, HLS
from gateway.release import playlists, presentations
from gateway.release.presentations import Counted
from gateway.release.references import resolve

LONGEST = 1 << 20  # bytes of a playlist whose order is known
_FIELD = re.compile(r"\$(Number|Time)(?:%0\d{1,2}d)?\$", re.ASCII)
_HERE = "headgate-number"  # stands for the number while a name is resolved


def following(path: str, data: bytes, kind: str) -> dict[str, str]:
    """Return for each segment that the playlist ``data`` at ``path`` (of the media type ``kind``) names the one that comes after it.

    Nothing is said of what cannot be read or leads elsewhere.
    """
    if len(data) > LONGEST or kind not in (HLS, DASH):
        return {}
    try:
        if kind == DASH:
            runs = presentations.files(data)
        else:
            told = playlists.parse(data)
            runs = (tuple(each.text for each in told.references if each.text not in told.playlists),)
    except Corrupt:
        return {}
    found: dict[str, str] = {}
    for run in runs:
        names: list[str] = []
        for text in run:
            with suppress(ValueError):
                if not names or names[-1] != resolve(path, text):
                    names.append(resolve(path, text))
        found |= {one: other for one, other in pairwise(names) if one != other}
    return found


@dataclass(frozen=True)
class Live:
    """What follows in a live channel, as its MPD lists or counts it."""

    listed: Mapping[str, str]
    counted: tuple[
        tuple[re.Pattern[str], Counted], ...
    ] = ()  # the pattern of a representation's names, and how they are counted

    def after(self, path: str, now: float) -> tuple[str, float] | None:
        """Return what comes after ``path``, and in how many seconds from ``now`` (since 1970) it is whole; None where nothing is known."""
        for pattern, told in self.counted:
            if match := pattern.fullmatch(path):
                by_time = "time" in pattern.groupindex
                index = int(match[1]) // told.step if by_time else int(match[1]) - told.first
                begins = told.begins + (index + 1) * told.step / told.scale
                if begins >= told.ends:
                    return None
                value = int(match[1]) + (told.step if by_time else 1)
                name = path[: match.start(1)] + str(value).zfill(len(match[1])) + path[match.end(1) :]
                return name, max(0.0, begins + told.step / told.scale - now)
        return (self.listed[path], 0.0) if path in self.listed else None


def live(path: str, data: bytes) -> Live:
    """Return what follows in the channel whose MPD ``data`` is at ``path``; nothing where it cannot be read."""
    if len(data) > LONGEST:
        return Live({})
    try:
        told = [(_pattern(path, each), each) for each in presentations.counted(data)]
    except Corrupt:
        return Live({})
    return Live(following(path, data, DASH), tuple((pattern, each) for pattern, each in told if pattern is not None))


def _pattern(path: str, told: Counted) -> re.Pattern[str] | None:
    """Return the pattern of a representation's names, its number or time in the one group; None where there is none, or several."""
    fields = list(_FIELD.finditer(told.media))
    if len(fields) != 1 or "$" in _FIELD.sub("", told.media):
        return None
    try:
        name = resolve(path, _FIELD.sub(_HERE, told.media))
    except ValueError:
        return None
    before, _, after = name.partition(_HERE)
    return re.compile(rf"{re.escape(before)}(?P<{fields[0][1].lower()}>\d{{1,19}}){re.escape(after)}", re.ASCII)
