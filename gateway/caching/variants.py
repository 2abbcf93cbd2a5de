"""Which of several stored responses answers a request: ``Vary`` (RFC 9111 section 4.1), pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from gateway.caching import fields as headers
from gateway.caching.stored import Asked, Stored

_LISTS = frozenset({"accept", "accept-charset", "accept-encoding", "accept-language"})  # whose members have weights
_WEIGHT = re.compile(r";\s*q=([01](?:\.\d{0,3})?)\s*$", re.ASCII)


def selecting(response: Iterable[tuple[str, str]], request: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return the request's fields that the response's ``Vary`` names, normalised and in order of their names."""
    names = sorted({name.lower() for name in headers.members(response, "vary")})
    return tuple((name, normalised(request, name)) for name in names)


def normalised(request: Sequence[tuple[str, str]], name: str) -> str:
    """Return a field's value over all its lines, so that what means the same is the same; what is not there is not what is empty."""
    if not headers.values(request, name):
        return "\0"
    found = headers.members(request, name)
    if name not in _LISTS:
        return ",".join(found)
    return ",".join(f"{tag};q={weight:g}" for tag, weight in weighted(found))


def weighted(found: Iterable[str]) -> list[tuple[str, float]]:
    """Return members in lower case, without spaces, with their weights: the preferred first, equal ones by name."""
    parsed = []
    for member in found:
        match = _WEIGHT.search(member)
        text = member[: match.start()] if match else member
        parsed.append((re.sub(r"\s+", "", text).lower(), float(match.group(1)) if match else 1.0))
    return sorted(parsed, key=lambda one: (-one[1], one[0]))


def matches(stored: Stored, asked: Asked) -> bool:
    """Return whether the stored response answers this request as far as ``Vary`` goes."""
    return all(value == normalised(asked.fields, name) or _speaks(stored, asked, name) for name, value in stored.vary)


def _speaks(stored: Stored, asked: Asked, name: str) -> bool:
    """Return whether the stored response is in the one language that the request prefers to all others."""
    if name != "accept-language":
        return False
    language = [tag.lower() for tag in headers.members(stored.fields, "content-language")]
    wanted = weighted(headers.members(asked.fields, name))
    if len(language) != 1 or not wanted or wanted[0][1] <= 0:
        return False
    alone = len(wanted) == 1 or wanted[1][1] < wanted[0][1]
    return alone and wanted[0][0] == language[0]
