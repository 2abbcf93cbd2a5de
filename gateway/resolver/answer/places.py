"""Which of a record's locations is the nearest playable copy for a zone and a screen. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from gateway.resolver.answer.here import Here
from gateway.resolver.answer.known import Known

ON_THE_BOX, IN_THE_ZONE, ELSEWHERE = range(3)


@dataclass(frozen=True)
class Place:
    """One location, as it is reached from here; ``url`` is None where it is not."""

    url: str | None
    distance: int
    fits: bool  # made for this screen, or for all
    said: Mapping[str, Any]


def places(known: Known, here: Here, screen: str | None = None) -> list[Place]:
    """Return the record's locations, nearest first: made for the screen; on the box, in the zone, elsewhere; as listed."""
    screen = screen or here.screen
    found = [_place(location, here, screen) for location in known.locations]
    if len(found) > 1:
        found.sort(key=lambda place: (place.url is None, not place.fits, place.distance))
    return found


def playable(found: list[Place]) -> str | None:
    """Return the address of the nearest copy that the screen plays, or None."""
    return found[0].url if found and found[0].fits else None


def _place(location: Mapping[str, Any], here: Here, screen: str | None) -> Place:
    made_for = location.get("screens")
    fits = not made_for or screen is None or screen in made_for
    if url := location.get("url"):
        return Place(url, IN_THE_ZONE if here.near(url) else ELSEWHERE, fits, location)
    if here.delivery is None:
        return Place(None, ELSEWHERE, fits, location)
    release = str(location["release"]).removeprefix("isli:")
    return Place(f"{here.delivery}/r/{release}/{quote(location['entry'], safe='/')}", ON_THE_BOX, fits, location)
