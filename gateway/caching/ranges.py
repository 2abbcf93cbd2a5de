"""Partial content: spans that are here, what of them answers a range, and what is to be asked for (RFC 9111 sections 3.3, 3.4), pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from gateway.caching import fields as headers
from gateway.caching.stored import Asked, Span, Stored
from gateway.caching.validation import strong
from gateway.serving.choose import NotModified, Part, Parts, Unsatisfiable, Whole, choose

MOST_SPANS = 64  # of one response; more are not kept
_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})", re.ASCII)


def told(fields: Sequence[tuple[str, str]]) -> tuple[Span, int] | None:
    """Return what a 206 says it holds, and the complete length; None where it does not say, or says what cannot be."""
    match = _CONTENT_RANGE.fullmatch((headers.first(fields, "content-range") or "").strip())
    if match is None:
        return None
    start, last, size = map(int, match.groups())
    return ((start, last + 1), size) if start <= last < size else None


def joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return the same bytes as spans that ascend and do not touch."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        elif start < end:
            found.append((start, end))
    return tuple(found)


def missing(stored: Stored) -> tuple[Span, ...]:
    """Return what is not here of a stored response whose complete length is known."""
    at, found = 0, []
    for start, end in (*stored.spans, (stored.size or 0, stored.size or 0)):
        if at < start:
            found.append((at, start))
        at = end
    return tuple(found)


def wanted(asked: Asked, stored: Stored) -> Whole | Part | Parts | Unsatisfiable:
    """Return what of a stored response the request asks for; Whole where its range is to be ignored."""
    if stored.size is None or stored.status not in (200, 206):
        return Whole()
    tag = strong(stored.fields)
    given = {name: value for name, value in asked.fields if name.lower() == "range"}
    if not given or asked.method != "GET":
        return Whole()
    condition = headers.first(asked.fields, "if-range")
    if condition is not None and condition.strip() not in (tag, _date_of(stored)):
        return Whole()
    choice = choose({"Range": next(iter(given.values()))}, asked.method, stored.size, "")
    return Whole() if isinstance(choice, NotModified) else choice


def here(stored: Stored, part: Part) -> bool:
    """Return whether all of a part is here."""
    return any(start <= part.first and part.last < end for start, end in stored.spans)


def combinable(stored: Stored, fields: Sequence[tuple[str, str]]) -> bool:
    """Return whether a 206 is of the same representation as what is stored: by a strong validator alone (section 3.4)."""
    tag, what = strong(stored.fields), told(fields)
    return tag is not None and tag == strong(fields) and what is not None and what[1] == stored.size


def rest(stored: Stored) -> str | None:
    """Return the ``Range`` that would make a stored part whole, or None where it takes more than one."""
    gaps = missing(stored)
    if stored.complete or stored.size is None or len(gaps) != 1:
        return None
    start, end = gaps[0]
    return f"bytes={start}-" if end == stored.size else f"bytes={start}-{end - 1}"


def _date_of(stored: Stored) -> str | None:
    """Return Last-Modified where it is a strong validator: some time before the response was made (RFC 9110 section 8.8.2.2)."""
    changed = headers.first(stored.fields, "last-modified")
    when, made = (
        headers.date(changed, stored.received),
        headers.date(headers.first(stored.fields, "date"), stored.received),
    )
    return changed if when is not None and made is not None and when + 1 <= made else None
