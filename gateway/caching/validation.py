"""Validators: conditions of requests answered from the cache, conditions sent to origins, and what a 304 changes, pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from gateway.caching import fields as headers
from gateway.caching.fields import Fields
from gateway.caching.stored import Asked, Stored

CONDITIONS = frozenset({"if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"})
# RFC 9111 section 3.2: what describes the stored bytes stays as it was stored.
KEPT = frozenset({"content-length", "content-encoding", "content-range"})
_TAG = re.compile(r'(?:W/)?"[^"]*"|[^\s,"]+')


def strong(fields: Sequence[tuple[str, str]]) -> str | None:
    """Return a strong entity tag, or None."""
    tag = (headers.first(fields, "etag") or "").strip()
    return tag if len(tag) >= 2 and tag[0] == tag[-1] == '"' else None


def not_modified(asked: Asked, stored: Stored, now: float) -> bool:
    """Return whether the request's own conditions say that it has this already (RFC 9111 section 4.3.2)."""
    wanted = headers.values(asked.fields, "if-none-match")
    if wanted:  # RFC 9110 section 13.1.3: it goes before If-Modified-Since
        tags = [_weak(tag) for line in wanted for tag in _TAG.findall(line)]
        tag = headers.first(stored.fields, "etag")
        return "*" in tags or (tag is not None and _weak(tag.strip()) in tags)
    since = headers.date(headers.first(asked.fields, "if-modified-since"), now)
    if since is None:
        return False
    changed = headers.date(headers.first(stored.fields, "last-modified"), now)
    if changed is None:
        changed = headers.date(headers.first(stored.fields, "date"), now)
    return (changed if changed is not None else stored.received) <= since


def conditions(stored: Stored) -> Fields:
    """Return the conditions by which an origin is asked whether the stored response still stands (section 4.3.1)."""
    found = []
    if tag := headers.first(stored.fields, "etag"):
        found.append(("If-None-Match", tag))
    if changed := headers.first(stored.fields, "last-modified"):
        found.append(("If-Modified-Since", changed))
    return tuple(found)


def confirms(stored: Stored, fields: Sequence[tuple[str, str]]) -> bool:
    """Return whether a 304 with ``fields`` is about this stored response (section 4.3.4)."""
    tag, told = headers.first(stored.fields, "etag"), headers.first(fields, "etag")
    return told is None or tag is None or _weak(tag) == _weak(told) or strong(fields) is None


def updated(stored: Stored, fields: Sequence[tuple[str, str]], requested: float, received: float) -> Stored:
    """Return the stored response with what a 304, or a 200 to HEAD, says anew (section 3.2)."""
    new = headers.without(headers.end_to_end(fields), KEPT)
    names = {name.lower() for name, _ in new} | {"age"}
    return replace(
        stored,
        fields=headers.without(stored.fields, names) + new,
        requested=requested,
        received=received,
        soft=False,
    )


def _weak(tag: str) -> str:
    return tag.removeprefix("W/")
