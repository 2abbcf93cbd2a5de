"""How old a response is, for how long it is fresh, and whether it may be kept at all (RFC 9111 sections 3 and 4.2), pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gateway.caching import fields as headers
from gateway.caching.directives import LONGEST, TARGETED, Directives, cache_control, of_response
from gateway.caching.stored import Asked, Stored

HEURISTIC = 0.1  # of the time since the last change (section 4.2.2)
HEURISTIC_MOST = 86400.0  # seconds
ON_ERROR = 86400.0  # seconds for which a stale response helps out while the origin is away (section 4.2.4), nothing forbidding it

# RFC 9110 section 15.1; 206 is heuristically fresh as the part that it is.
HEURISTICALLY = frozenset({200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501})
UNDERSTOOD = HEURISTICALLY | {201, 202, 302, 303, 307, 400, 401, 403, 406, 409, 411, 412, 413, 415, 417, 421, 422, 426,
                              451, 500, 502, 503, 504}  # fmt: skip
_DELTA = re.compile(r"\d+", re.ASCII)


def age(stored: Stored, now: float) -> float:
    """Return the seconds since the origin made or confirmed the response (section 4.2.3)."""
    dated = headers.date(headers.first(stored.fields, "date"), now)
    apparent = max(0.0, stored.received - dated) if dated is not None else 0.0
    corrected = told_age(stored.fields) + max(0.0, stored.received - stored.requested)
    return max(apparent, corrected) + max(0.0, now - stored.received)


def told_age(fields: Sequence[tuple[str, str]]) -> int:
    """Return ``Age``: of a list the first member; 0 where that is no number (section 5.1)."""
    member = (headers.first(fields, "age") or "").split(",")[0].strip(" \t")
    return min(int(member[:20]), LONGEST) if _DELTA.fullmatch(member) else 0


def explicit(fields: Sequence[tuple[str, str]], directives: Directives, received: float) -> float | None:
    """Return the freshness lifetime that the origin told in seconds, or None (section 4.2.1)."""
    for name in ("s-maxage", "max-age"):
        if (seconds := directives.seconds(name)) is not None:
            return float(seconds)
    expires = headers.values(fields, "expires")
    if not expires or directives.targeted:  # RFC 9213 section 2.1: Expires says nothing beside a targeted field
        return None
    until = headers.date(expires[0], received)
    if until is None:
        return 0.0  # section 5.3: an invalid date is one in the past
    dated = headers.date(headers.first(fields, "date"), received)
    return until - (dated if dated is not None else received)


def lifetime(stored: Stored, targets: Sequence[str] = TARGETED) -> float:
    """Return for how many seconds of age the response is fresh."""
    directives = of_response(stored.fields, targets)
    told = explicit(stored.fields, directives, stored.received)
    if told is not None:
        return told
    if stored.status not in HEURISTICALLY and "public" not in directives:
        return 0.0
    if headers.values(stored.fields, "set-cookie") or headers.values(stored.fields, "pragma"):
        return 0.0  # nobody said that this may be kept: what looks personal is asked for again
    changed = headers.date(headers.first(stored.fields, "last-modified"), stored.received)
    dated = headers.date(headers.first(stored.fields, "date"), stored.received) or stored.received
    return max(0.0, min((dated - changed) * HEURISTIC, HEURISTIC_MOST)) if changed is not None else 0.0


def storable(
    asked: Asked, status: int, fields: Sequence[tuple[str, str]], received: float, targets: Sequence[str] = TARGETED
) -> bool:
    """Return whether a shared cache may keep a final response, and whether keeping it could ever be of use (section 3)."""
    directives = of_response(fields, targets)
    if "no-store" in cache_control(asked.fields):
        return False
    understood = status in UNDERSTOOD
    if "must-understand" in directives and not understood:
        return False
    if "no-store" in directives and not ("must-understand" in directives and understood):  # section 5.2.2.3
        return False
    if directives.whole("private") or status in (206, 304) or status < 200:
        return False  # what part a 206 is is judged apart
    if "*" in headers.members(fields, "vary"):
        return False
    told = explicit(fields, directives, received)
    if headers.values(asked.fields, "authorization") and not any(
        name in directives for name in ("public", "must-revalidate", "s-maxage")
    ):
        return False  # section 3.5
    if asked.method == "POST":  # RFC 9110 section 9.3.3
        return told is not None and told > 0
    if told is not None:
        return told > 0 or has_validator(fields) or status < 400
    return (status in HEURISTICALLY or "public" in directives) and has_validator(fields)


def has_validator(fields: Sequence[tuple[str, str]]) -> bool:
    """Return whether the response can be asked for conditionally."""
    return bool(headers.values(fields, "etag") or headers.values(fields, "last-modified"))


def stale_forbidden(directives: Directives) -> bool:
    """Return whether the response must not be used stale, even while the origin is away (section 4.2.4)."""
    return any(name in directives for name in ("must-revalidate", "proxy-revalidate", "s-maxage")) or directives.whole(
        "no-cache"
    )
