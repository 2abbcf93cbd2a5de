"""What becomes of a request: used, used while asked for anew, asked for (and how), or refused (RFC 9111 section 4), pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.caching import fields as headers
from gateway.caching import freshness, ranges, validation, variants
from gateway.caching.directives import TARGETED, cache_control, of_response
from gateway.caching.fields import Fields
from gateway.caching.stored import Asked, Stored
from gateway.serving.choose import Part, Parts, Whole


@dataclass(frozen=True)
class Use:
    """Answer with what is stored; ``refresh`` where it is asked for anew meanwhile (RFC 5861 section 3)."""

    stored: Stored
    refresh: bool = False


@dataclass(frozen=True)
class Ask:
    """Ask the origin: ``why`` in the words of RFC 9211, with ``stored`` to be validated, completed, or used if the origin is away."""

    why: str
    stored: Stored | None = None


@dataclass(frozen=True)
class Nothing:
    """Answer 504: only what is stored was wanted (``only-if-cached``)."""


Decision = Use | Ask | Nothing


def decide(asked: Asked, found: Sequence[Stored], now: float, targets: Sequence[str] = TARGETED) -> Decision:
    """Return what a GET or HEAD comes to, of the responses ``found`` under its key."""
    request = cache_control(asked.fields)
    fitting = [stored for stored in found if variants.matches(stored, asked)]
    if not fitting:
        return _without("vary-miss" if found else "uri-miss", None, "only-if-cached" in request)
    stored = max(fitting, key=lambda one: (one.received, one.requested))
    if not _covers(asked, stored):
        return _without("partial", stored, "only-if-cached" in request)
    directives = of_response(stored.fields, targets)
    insists = "no-cache" in request or "no-store" in request or (not request.given and _pragma(asked))
    if directives.whole("no-cache") or insists:
        return _without("request" if insists else "stale", stored, "only-if-cached" in request)
    age, lifetime = freshness.age(stored, now), freshness.lifetime(stored, targets)
    if (oldest := request.seconds("max-age")) is not None and age > oldest and "max-stale" not in request:
        return _without("request", stored, "only-if-cached" in request)
    stale = age - lifetime
    if stored.soft:
        stale = max(stale, 0.0)
    if stale < 0:
        if stale + (request.seconds("min-fresh") or 0) <= 0:
            return Use(stored)
        return _without("request", stored, "only-if-cached" in request)
    if not freshness.stale_forbidden(directives):
        tolerated = request.given.get("max-stale") is None or stale <= (request.seconds("max-stale") or 0)
        if "max-stale" in request and tolerated:
            return Use(stored)
        if (window := directives.seconds("stale-while-revalidate")) is not None and stale <= window:
            return Use(stored, refresh=True)
    return _without("stale", stored, "only-if-cached" in request)


def helps(stored: Stored, asked: Asked, now: float, answered: int | None, targets: Sequence[str] = TARGETED) -> bool:
    """Return whether a stale response is better than the origin's error ``answered`` (None: it is away; RFC 5861 section 4)."""
    directives, request = of_response(stored.fields, targets), cache_control(asked.fields)
    if stored.status >= 500 or freshness.stale_forbidden(directives) or not _covers(asked, stored):
        return False
    if (
        "no-cache" in request
        or "no-store" in request
        or (answered is not None and answered not in (500, 502, 503, 504))
    ):
        return False
    stale = freshness.age(stored, now) - freshness.lifetime(stored, targets)
    told = [one.seconds("stale-if-error") for one in (directives, request) if "stale-if-error" in one]
    return stale <= (max(seconds or 0 for seconds in told) if told else freshness.ON_ERROR)


def forwarded(asked: Asked, ask: Ask) -> Fields:
    """Return the fields that the origin is asked with."""
    given = headers.end_to_end(asked.fields)
    stored = ask.stored
    if stored is None:
        return given
    if ask.why == "partial":
        whole = ranges.rest(stored) if not headers.values(asked.fields, "range") else None
        if whole is None:
            return given
        tag = validation.strong(stored.fields)
        return given + (("Range", whole),) + ((("If-Range", tag),) if tag else ())
    if not stored.complete:
        return given
    own = validation.conditions(stored)
    if not own:
        return given
    return headers.without(given, validation.CONDITIONS | {"range"}) + own


def _covers(asked: Asked, stored: Stored) -> bool:
    """Return whether what is stored has the bytes that are asked for."""
    if stored.complete or (stored.size is None and stored.status != 206):
        return True
    match ranges.wanted(asked, stored):
        case Part() as part:
            return ranges.here(stored, part)
        case Parts(parts):
            return all(ranges.here(stored, part) for part in parts)
        case Whole():
            return False
        case _:
            return True  # what cannot be satisfied is answered from the complete length alone


def _without(why: str, stored: Stored | None, only_stored: bool) -> Decision:
    return Nothing() if only_stored else Ask(why, stored)


def _pragma(asked: Asked) -> bool:
    return "no-cache" in [one.lower() for one in headers.members(asked.fields, "pragma")]
