"""What a box's screens had over the last hours: the counters that it told, minute by minute -> steps of equal length; pure.

A box tells sums since its daemons started. What two tellings differ by is spread over the time between them, so that nothing is lost
while a box is away; a daemon that started anew counts from nought.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from appliance.runtime.errors import Corrupt
from appliance.telemetry import served_text
from appliance.telemetry.served import BoxServed, Served, offload
from monitoring.fleet import Box

PERIODS: Mapping[int, int] = {1: 60, 6: 300, 24: 900}  # hours that are shown -> seconds of a step
SCREENS = ("big", "small", "")  # classes
SUMS = ("requests", "bytes", "hit_bytes", "broken_off", "withdrawn")
MEANS = ("start", "buffer", "bitrate")

Key = tuple[str, str]  # what was counted, and of which class of screens or for which reason
Gains = dict[Key, float]


@dataclass(frozen=True)
class Sample:
    """What a box told at one time (seconds since 1970)."""

    at: float
    fetched: int = 0
    shared: int = 0
    zones: Mapping[str, Served] = field(default_factory=dict)


def told_by(box: Box) -> BoxServed | None:
    """Return what a box told last, None where its software does not tell it; what cannot be believed is among ``unread``."""
    if "delivery/fetched" not in box.metrics:
        return None
    zones, unread = [], {}
    for name, text in sorted(box.metrics.items()):
        parts = name.split("/")
        if len(parts) == 3 and (parts[0], parts[2]) == ("delivery", "served") and isinstance(text, str):
            try:
                zones.append(served_text.read(parts[1], text))
            except Corrupt as error:
                unread[f"delivery-{parts[1][:32]}"] = str(error)
    for line in box.text("delivery/unread").splitlines():
        unit, _, why = line.partition(": ")
        unread[unit] = why
    return BoxServed(tuple(zones), box.number("delivery/fetched"), box.number("delivery/shared"), unread=unread)


def over(samples: Sequence[Sample], now: float, hours: int) -> dict[str, Any]:
    """Return the ``steps`` of the last ``hours`` (of PERIODS), oldest first, and their ``period`` as a whole, as JSON values."""
    length = PERIODS[hours]
    end = (now // length + 1) * length
    first = end - hours * 3600
    gains: list[Gains] = [{} for _ in range(hours * 3600 // length)]
    covered = [0.0] * len(gains)  # seconds of which something is known
    known: dict[str, tuple[float, Served]] = {}
    for sample in samples[:1]:
        known = {name: (sample.at, zone) for name, zone in sample.zones.items()}
    for before, after in pairwise(samples):
        for step, share in _shares(first, length, len(gains), before.at, after.at):
            covered[step] += share * (after.at - before.at)
            for name in ("fetched", "shared"):
                _add(gains[step], {(name, ""): share * _more(getattr(before, name), getattr(after, name))})
        for name, zone in after.zones.items():
            since, was = known.get(name, (before.at, None))
            known[name] = (after.at, zone)
            gained = _gained(was, zone)
            for step, share in _shares(first, length, len(gains), since, after.at):
                _add(gains[step], {key: share * value for key, value in gained.items()})
    running: list[dict[str, int]] = [{} for _ in gains]
    for sample in samples:
        step = int((sample.at - first) // length)
        if 0 <= step < len(running):
            for screen, number in sessions(sample.zones.values()).items():
                running[step][screen] = max(running[step].get(screen, 0), number)
    whole: Gains = {}
    for gain in gains:
        _add(whole, gain)
    steps = [
        {"from": int(first + at * length), "sessions": running[at] or None, **_figures(gain, covered[at])}
        for at, gain in enumerate(gains)
    ]
    return {"hours": hours, "step": length, "steps": steps, "period": _figures(whole, sum(covered))}


def sessions(zones: Iterable[Served]) -> dict[str, int]:
    """Return the players of the last minute by class of screens, of the classes that these zones have."""
    found: dict[str, int] = {}
    for zone in zones:
        found[zone.screen] = found.get(zone.screen, 0) + zone.sessions
    return found


def titles(zones: Iterable[Served], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the titles of all zones, those with the most sessions first; ``names`` by the releases' codes."""
    found = [
        {"zone": zone.zone, "screen": zone.screen, "title": names.get(one.release, ""), **one.told()}
        for zone in zones
        for one in zone.titles
    ]
    return sorted(found, key=lambda one: (-one["sessions"], one["release"], one["zone"]))


def _figures(gain: Gains, seconds: float) -> dict[str, Any]:
    def number(name: str, kind: str = "") -> float:
        return round(gain.get((name, kind), 0.0), 2)

    def mean(name: str, screen: str) -> float | None:
        count = gain.get((f"{name}/count", screen), 0.0)
        return round(gain[f"{name}/sum", screen] / count, 3) if count > 0 else None

    sent, hits = number("bytes"), number("hit_bytes")
    return {
        "seconds": round(seconds, 2),
        **{name: number(name) for name in (*SUMS, "fetched", "shared")},
        "hit_share": round(hits / sent, 4) if sent > 0 else None,
        "offload": offload(number("fetched"), sent + number("shared")) if seconds > 0 else None,
        "screens": {
            screen: {
                "begun": number("begun", screen),
                "stalls": number("stalls", screen),
                **{name: mean(name, screen) for name in MEANS},
            }
            for screen in SCREENS
            if any(kind == screen for name, kind in gain if name == "begun")
        },
        "refusals": dict(
            sorted(
                ((kind, round(value, 2)) for (name, kind), value in gain.items() if name == "refusals" and value > 0),
                key=lambda item: (-item[1], item[0]),
            )
        ),
    }


def _counters(zone: Served) -> Gains:
    return {
        **{(name, ""): float(getattr(zone, name)) for name in SUMS},
        **{(name, zone.screen): float(getattr(zone, name)) for name in ("begun", "stalls")},
        **{(f"{name}/sum", zone.screen): getattr(zone, name).total for name in MEANS},
        **{(f"{name}/count", zone.screen): float(getattr(zone, name).count) for name in MEANS},
        **{("refusals", reason): float(count) for reason, count in zone.refusals.items()},
    }


def _gained(before: Served | None, after: Served) -> Gains:
    """Return what a zone's counters rose by; without a telling before, nothing is known but that they begin."""
    if before is None:
        return dict.fromkeys(_counters(after), 0.0)
    was, now = _counters(before), _counters(after)
    anew = before.started != after.started or any(now.get(key, 0.0) < was[key] for key in was if key[0] != "refusals")
    return now if anew else {key: max(0.0, value - was.get(key, 0.0)) for key, value in now.items()}


def _more(before: float, after: float) -> float:
    return after - before if after >= before else after


def _shares(first: float, length: float, count: int, since: float, until: float) -> Iterable[tuple[int, float]]:
    """Yield the steps that the time from ``since`` to ``until`` touches, each with its share of that time."""
    if until <= since:
        return
    step = max(0, int((since - first) // length))
    while step < count and (begins := first + step * length) < until:
        share = (min(until, begins + length) - max(since, begins)) / (until - since)
        if share > 0:
            yield step, share
        step += 1


def _add(to: Gains, more: Mapping[Key, float]) -> None:
    for key, value in more.items():
        to[key] = to.get(key, 0.0) + value
