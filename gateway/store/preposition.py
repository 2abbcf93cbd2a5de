"""Fetching ahead by plan: what comes next, and when. Pure: the plan, what is here and the local time go in, one action comes out.

What is in the store is the whole state, so that a plan goes on where it was after days without power or line.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.release.manifest import Release

AGAIN = 900.0  # seconds until a plan that is done is looked at again
SOON = 60.0  # seconds until one is looked at again of which something could not be had


@dataclass(frozen=True)
class Wait:
    """Nothing is fetched for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Fill:
    """This file of this release is fetched next."""

    code: str
    path: str


@dataclass(frozen=True)
class Ahead:
    """A release of the plan and what of it is missing, in the order in which it is fetched."""

    release: Release
    zone: str  # for which zone it is fetched: the first with screens here that may have it
    missing: tuple[str, ...]  # paths

    def without(self, path: str) -> Ahead:
        """Return the same without a path that came, or that cannot be had now."""
        return Ahead(self.release, self.zone, tuple(each for each in self.missing if each != path))


def seconds_until_open(window: str, now: datetime) -> float:
    """Return the seconds until the window (``22:30-06:00``, local time) opens; 0 while it is open."""
    first, last = (_minutes(part) for part in window.split("-"))
    minute = now.hour * 60 + now.minute
    over_midnight = first > last
    if (minute >= first or minute <= last) if over_midnight else first <= minute <= last:
        return 0.0
    opens = now.replace(hour=first // 60, minute=first % 60, second=0, microsecond=0)
    if opens <= now:
        opens += timedelta(days=1)
    return (opens - now).total_seconds()


def next_action(window: str, plan: Iterable[Ahead], now: datetime, *, stuck: bool = False) -> Wait | Fill:
    """Return what to do now: the first file of the plan that is missing, as long as the window is open.

    ``stuck`` says that something of the plan could not be had.
    """
    if (closed := seconds_until_open(window, now)) > 0:
        return Wait(min(closed, AGAIN))
    for ahead in plan:
        if ahead.missing:
            return Fill(ahead.release.code, ahead.missing[0])
    return Wait(SOON if stuck else AGAIN)


def order(release: Release) -> list[str]:
    """Return the files of a release, the entry first, then what is small (playlists, pictures, texts), then the rest by name."""
    small = 1 << 20  # bytes

    def rank(path: str) -> tuple[bool, bool, str]:
        return path != release.entry, release.files[path].size > small, path

    return sorted(release.files, key=rank)


def zone_for(release: Release, zones: Iterable[str]) -> str | None:
    """Return the first of the zones with screens here that the body grants, or None."""
    return next((zone for zone in zones if zone in release.rights.zones), None)


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)
