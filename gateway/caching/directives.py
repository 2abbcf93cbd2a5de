"""Cache directives: ``Cache-Control`` (RFC 9111 section 5.2) and fields aimed at caches like this one (RFC 9213)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import http_sf

from gateway.caching import fields as headers

TARGETED = ("cdn-cache-control",)  # the targeted fields that are heeded, the first one of them that a response has
LONGEST = 2**31 - 1  # seconds; section 1.2.2: more counts as this
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SECONDS = re.compile(r"\d+", re.ASCII)


@dataclass(frozen=True)
class Directives:
    """Directives by name in lower case: the first of each counts (section 4.2.1); ``targeted`` where they came by RFC 9213."""

    given: Mapping[str, str | None]
    targeted: bool = False

    def __contains__(self, name: str) -> bool:
        return name in self.given

    def seconds(self, name: str) -> int | None:
        """Return a number of seconds, or None where there is none; what is no number counts as 0, which is stale (section 4.2.1)."""
        if name not in self.given:
            return None
        value = self.given[name] or ""
        return min(int(value[:20]), LONGEST) if _SECONDS.fullmatch(value) else 0

    def names(self, name: str) -> frozenset[str]:
        """Return the field names that a qualified ``no-cache`` or ``private`` is about; none where it is about everything."""
        return frozenset(one.strip().lower() for one in (self.given.get(name) or "").split(",") if one.strip())

    def whole(self, name: str) -> bool:
        """Return whether ``no-cache`` or ``private`` is there and about the whole response."""
        return name in self.given and not self.names(name)


def cache_control(fields: Iterable[tuple[str, str]]) -> Directives:
    """Return the directives of ``Cache-Control``, over all its lines."""
    found: dict[str, str | None] = {}
    for member in headers.members(fields, "cache-control"):
        name, equals, value = member.partition("=")
        if _TOKEN.fullmatch(name):
            found.setdefault(name.lower(), _unquoted(value) if equals else None)
    return Directives(found)


def of_response(fields: Sequence[tuple[str, str]], targets: Sequence[str] = TARGETED) -> Directives:
    """Return what a response tells this cache: by the first targeted field that is valid and not empty, else by Cache-Control."""
    for target in targets:
        lines = headers.values(fields, target)
        if lines and (targeted := _structured(", ".join(lines))):
            return Directives(targeted, targeted=True)
    return cache_control(fields)


def _structured(text: str) -> dict[str, str | None] | None:
    """Return the members of a dictionary (RFC 9651); None where it is none: RFC 9213 section 2.1 ignores such a field."""
    try:
        parsed = http_sf.parse(text.encode("ascii"), tltype="dictionary")
    except ValueError:
        return None
    found: dict[str, str | None] = {}
    if not isinstance(parsed, dict):
        return None
    for name, member in parsed.items():
        value = member[0] if isinstance(member, tuple) else member
        match value:
            case True:
                found[str(name)] = None
            case int() if value is not False and value >= 0:
                found[str(name)] = str(value)
            case _:  # a directive of the wrong type is ignored
                continue
    return found


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value
