"""What caches between the box and the screen may do with an answer (RFC 9111). Pure."""

from __future__ import annotations

import hashlib
from functools import lru_cache

FRESH = 5  # seconds; a withdrawal must reach every screen within seconds
WRONG = 60  # seconds; a wrong code stays wrong, but what was meant by it may be registered
VARY = "Accept"


@lru_cache(maxsize=1024)
def cache_control(status: int, ttl: int) -> str:
    """Return for how long an answer of ``status`` may be used, and for how long it is better than none.

    An answer is asked for again after seconds, which the ``ETag`` makes cheap; while nobody answers, the record's own time to
    live holds (RFC 5861).
    """
    if status in (200, 301, 302, 304):
        return f"public, max-age={min(ttl, FRESH)}, stale-if-error={ttl}"
    if status in (403, 404, 410):
        return f"public, max-age={FRESH}"
    if status == 400:
        return f"public, max-age={WRONG}"
    return "no-store"


def etag(raw: bytes, *parts: object) -> str:
    """Return a weak validator of what is made of the record ``raw`` and of ``parts``, such as the form and the zone's delivery."""
    digest = hashlib.blake2b(raw, digest_size=12)
    digest.update(str(parts).encode(errors="replace"))
    return f'W/"{digest.hexdigest()}"'


def matches(if_none_match: str, tag: str) -> bool:
    """Return whether the asker has this representation already (RFC 9110 section 13.1.2: weak comparison)."""
    bare = tag.removeprefix("W/")
    return if_none_match.strip() == "*" or any(
        candidate.strip().removeprefix("W/") == bare for candidate in if_none_match[:4096].split(",")
    )
