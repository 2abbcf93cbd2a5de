"""The figures of one zone as the text of a Sparkplug metric, and back: what a box tells its controller every few seconds."""

from __future__ import annotations

import math
import re
from typing import Any

from appliance.runtime.errors import Corrupt
from appliance.telemetry.records import plain_json, to_json
from appliance.telemetry.served import LARGEST, REASONS, TITLES, Mean, Served, Title
from appliance.telemetry.sparkplug import LONGEST_TEXT

NUMBERS = ("requests", "bytes", "hit_bytes", "broken_off", "withdrawn", "sessions", "begun", "stalls")
MEANS = ("start", "buffer", "bitrate")
LONGEST = 128  # characters of a reason or of a release's code

_ZONE = re.compile(r"[a-z][a-z0-9-]{0,31}")


def write(zone: Served, *, titles: bool = True) -> str:
    """Return the text; titles and then reasons are left out from the end until it fits a metric."""
    told: dict[str, Any] = {
        "screen": zone.screen,
        "started": int(zone.started),
        **{name: getattr(zone, name) for name in NUMBERS},
        **{name: _pair(getattr(zone, name)) for name in MEANS},
        "refusals": {reason[:LONGEST]: count for reason, count in zone.refusals.items()},
        "titles": [
            [one.release[:LONGEST], one.sessions, one.stalls, _pair(one.start), _pair(one.bitrate)]
            for one in (zone.titles if titles else ())
        ],
    }
    while len(text := to_json(told).decode()) > LONGEST_TEXT:
        if told["titles"]:
            told["titles"].pop()
        else:
            told["refusals"].popitem()
    return text


def read(zone: str, text: str) -> Served:
    """Return the figures that ``text`` tells of ``zone``.

    Raises:
        Corrupt: it is no such text.
    """
    told = plain_json(text.encode(errors="replace")) if len(text) <= LONGEST_TEXT else None
    if not isinstance(told, dict) or not _ZONE.fullmatch(zone):
        raise Corrupt("the figures of a zone are a JSON object")
    refusals, titles = told.get("refusals", {}), told.get("titles", [])
    if not isinstance(refusals, dict) or len(refusals) > REASONS or not all(map(_word, refusals)):
        raise Corrupt("the figures of a zone have no proper 'refusals'")
    if not isinstance(titles, list) or len(titles) > TITLES:
        raise Corrupt("the figures of a zone have no proper 'titles'")
    figures: dict[str, Any] = {name: _number(told.get(name, 0)) for name in NUMBERS}
    figures |= {name: _mean(told.get(name, [0, 0])) for name in MEANS}
    return Served(
        zone=zone,
        screen=told["screen"] if told.get("screen") in ("big", "small") else "",
        started=float(_number(told.get("started", 0))),
        **figures,
        refusals={reason: _number(count) for reason, count in refusals.items()},
        titles=tuple(map(_title, titles)),
    )


def _title(told: object) -> Title:
    match told:
        case [str() as release, sessions, stalls, start, bitrate] if _word(release):
            return Title(release, _number(sessions), _number(stalls), _mean(start), _mean(bitrate))
    raise Corrupt("a title of a zone's figures is not as boxes tell it")


def _word(text: str) -> bool:
    return 0 < len(text) <= LONGEST and text.isprintable()


def _pair(mean: Mean) -> list[float]:
    return [round(mean.total, 3), mean.count]


def _mean(told: object) -> Mean:
    match told:
        case [int() | float() as total, count] if not isinstance(total, bool) and math.isfinite(total):
            if 0 <= total <= LARGEST:
                return Mean(float(total), _number(count))
    raise Corrupt("a mean of a zone's figures is a sum and a number")


def _number(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST:
        return value
    raise Corrupt("a figure of a zone is no number that can be believed")
