"""Which form of an answer is wanted (RFC 9110 section 12.5.1). Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

Form = Literal["player", "json", "linkset", "ld", "html"]
TYPES: dict[str, Form] = {
    "application/json": "json",
    "application/linkset+json": "linkset",
    "application/ld+json": "ld",
    "text/html": "html",
    "application/xhtml+xml": "html",
}
NAMED: dict[str, Form] = {"json": "json", "linkset": "linkset", "ld": "ld", "html": "html", "player": "player"}
LONGEST = 1000  # characters of an Accept header that are looked at


@lru_cache(maxsize=1024)
def wanted(accept: str, name: str | None) -> Form:
    """Return what the asker takes best: ``?format=`` first, then ``Accept``; ``*/*`` and what is not known here is a player."""
    if name in NAMED:
        return NAMED[name]
    best: Form = "player"
    highest = 0.0
    for part in accept[:LONGEST].split(","):
        kind, *parameters = [p.strip().lower() for p in part.split(";")]
        quality = _quality(parameters)
        if quality > highest:
            best, highest = TYPES.get(kind, "player"), quality
    return best


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return max(0.0, min(1.0, float(parameter[2:])))
            except ValueError:
                return 0.0
    return 1.0
