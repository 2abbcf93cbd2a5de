"""What part of an object a request asks for: conditions and ranges of RFC 9110, pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass

LONGEST = 1000  # characters of a header that is looked at
MOST = 16  # ranges of one request
_RANGE = re.compile(r"\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII)
_TAG = re.compile(r'(?:W/)?("[^"]*")')


@dataclass(frozen=True)
class Whole:
    """Send everything (200)."""


@dataclass(frozen=True)
class Part:
    """Send the bytes from ``first`` to ``last``, both included (206)."""

    first: int
    last: int


@dataclass(frozen=True)
class Parts:
    """Send these, in this order (206, ``multipart/byteranges``)."""

    parts: tuple[Part, ...]


@dataclass(frozen=True)
class NotModified:
    """The screen has it already (304)."""


@dataclass(frozen=True)
class Unsatisfiable:
    """The object has no such bytes (416)."""


Choice = Whole | Part | Parts | NotModified | Unsatisfiable


def choose(headers: Mapping[str, str], method: str, size: int, etag: str) -> Choice:
    """Return what a request with ``headers`` is answered with, of an object of ``size`` bytes whose entity tag is ``etag``.

    Several ranges come as several parts if they ascend and do not touch; else, and where there are too many, the whole comes, as
    RFC 9110 section 14.2 allows.
    """
    none_match = headers.get("If-None-Match", "")
    if none_match and len(none_match) <= LONGEST and (none_match.strip() == "*" or etag in _TAG.findall(none_match)):
        return NotModified()
    wanted = headers.get("Range", "")
    if not wanted or method != "GET" or len(wanted) > LONGEST:  # section 14.2: a range of anything but a GET is ignored
        return Whole()
    if_range = headers.get("If-Range", etag)
    if if_range.strip() != etag:  # section 13.1.5: a strong comparison; we give no dates to compare
        return Whole()
    unit, _, ranges = wanted.partition("=")
    found = [_part(one, size) for one in ranges.split(",", MOST)]
    if unit != "bytes" or len(found) > MOST or any(isinstance(one, Whole) for one in found):
        return Whole()
    parts = [one for one in found if isinstance(one, Part)]
    if len(parts) < 2:
        return parts[0] if parts else Unsatisfiable()
    ascending = all(before.last + 1 < after.first for before, after in itertools.pairwise(parts))
    return Parts(tuple(parts)) if ascending else Whole()


def _part(text: str, size: int) -> Part | Whole | Unsatisfiable:
    """Return the bytes of one range; Whole where it is none, so that it is as if it were not there (section 14.1.1)."""
    match = _RANGE.fullmatch(text)
    if match is None or match.group(1) == match.group(2) == "":
        return Whole()
    first, last = match.groups()
    if not first:  # the last so many bytes
        length = int(last)
        return Part(max(0, size - length), size - 1) if length and size else Unsatisfiable()
    start, end = int(first), int(last) if last else size - 1
    if last and end < start:
        return Whole()
    return Unsatisfiable() if start >= size else Part(start, min(end, size - 1))
