"""Header fields as they came: pairs in their order, names in any case, lists and dates read as RFC 9110 says."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import UTC, datetime

Fields = tuple[tuple[str, str], ...]

# RFC 9110 section 7.6.1, and what only a proxy of ours could have meant.
HOP_BY_HOP = frozenset(
    [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)
_MEMBER = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*"|")+')
_MONTHS = {
    name: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}
_CLOCK = r"(\d\d):(\d\d):(\d\d)"
_FIXED = re.compile(rf"(?:mon|tue|wed|thu|fri|sat|sun), (\d\d) ([a-z]{{3}}) (\d{{4}}) {_CLOCK} gmt", re.ASCII)
_RFC850 = re.compile(rf"(?:mon|tues|wednes|thurs|fri|satur|sun)day, (\d\d)-([a-z]{{3}})-(\d\d) {_CLOCK} gmt", re.ASCII)
_ASCTIME = re.compile(rf"(?:mon|tue|wed|thu|fri|sat|sun) ([a-z]{{3}}) ([ \d]\d) {_CLOCK} (\d{{4}})", re.ASCII)


def values(fields: Iterable[tuple[str, str]], name: str) -> list[str]:
    """Return the value of each line of the field ``name`` (lower case)."""
    return [value for key, value in fields if key.lower() == name]


def first(fields: Iterable[tuple[str, str]], name: str) -> str | None:
    """Return the value of the first line of the field, or None."""
    return next(iter(values(fields, name)), None)


def members(fields: Iterable[tuple[str, str]], name: str) -> list[str]:
    """Return the members of a list over all its lines; a comma inside quotes does not part them (RFC 9110 section 5.6.1)."""
    return [
        member for line in values(fields, name) for found in _MEMBER.findall(line) if (member := found.strip(" \t"))
    ]


def without(fields: Iterable[tuple[str, str]], names: Collection[str]) -> Fields:
    """Return the fields but those of these ``names`` (lower case)."""
    return tuple((name, value) for name, value in fields if name.lower() not in names)


def end_to_end(fields: Iterable[tuple[str, str]]) -> Fields:
    """Return the fields without those that are for the next hop alone (RFC 9110 section 7.6.1)."""
    fields = tuple(fields)
    named = {name.lower() for name in members(fields, "connection")} - {"cache-control"}
    return without(fields, HOP_BY_HOP | named)


def date(text: str | None, now: float) -> float | None:
    """Return a date in any of the three forms of RFC 9110 section 5.6.7 in Unix seconds, or None where it is none.

    A year of two digits that seems more than 50 years ahead of ``now`` is of the century before.
    """
    lower = (text or "").strip(" \t").lower()
    if match := _FIXED.fullmatch(lower):
        day, month, year, *clock = match.groups()
    elif match := _RFC850.fullmatch(lower):
        day, month, short, *clock = match.groups()
        this = datetime.fromtimestamp(now, UTC).year
        full = this // 100 * 100 + int(short)
        year = str(full - 100 if full > this + 50 else full)
    elif match := _ASCTIME.fullmatch(lower):
        month, day, *clock, year = match.groups()
    else:
        return None
    try:
        return datetime(
            int(year), _MONTHS[month], int(day), int(clock[0]), int(clock[1]), int(clock[2]), tzinfo=UTC
        ).timestamp()
    except (KeyError, ValueError):
        return None
