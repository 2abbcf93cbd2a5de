"""What a player tells of itself: Common Media Client Data (CTA-5004, -A and -B), in a request's headers or query, or in reports; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import unquote

import http_sf

HEADERS = ("CMCD-Request", "CMCD-Object", "CMCD-Status", "CMCD-Session")
QUERY = "CMCD"
LONGEST = 2000  # characters of all that a player tells with one request
TYPE = "application/cmcd"  # of the body of a report (version 2, event mode)
LONGEST_EVENT = 4000  # characters: an event tells the address of a request too
MOST_EVENTS = 100  # of one report
LONGEST_SESSION = 64  # characters (CTA-5004 section 3)
MOST_NEXT = 4  # addresses that are to come next
LONGEST_TIME = 3_600_000  # milliseconds
LARGEST_RATE = 10_000_000  # kbit/s

# A dictionary of RFC 9651 as players write nearly all: keys with integers, strings without escapes, tokens, or nothing; no parameters.
_KEY = r"[a-z*][a-z0-9_.*-]*+"
_VALUE = r"""-?[0-9]{1,15}+|"[ !#-\[\]-~]*+"|[A-Za-z*][A-Za-z0-9:/!#$%&'*+.^_`|~-]*+"""
_MEMBER = rf"(?:{_KEY})(?:=(?:{_VALUE}))?"
_USUAL = re.compile(rf" *+{_MEMBER}(?:[ \t]*+,[ \t]*+{_MEMBER})* *+")
_EACH = re.compile(rf"({_KEY})(?:=({_VALUE}))?")
_HEARD = frozenset(("bl", "br", "bs", "e", "msd", "mtp", "nor", "sid", "sta", "su"))


class Told(NamedTuple):
    """What a player told; None where it said nothing of it, or nothing that can be."""

    session: str | None = None
    starting: bool = False  # ``su``: it needs this object at once, to start, to seek, or after its buffer ran empty
    starved: bool = False  # ``bs``: its buffer ran empty since the request before
    buffer: float | None = None  # seconds that it holds
    bitrate: int | None = None  # bit/s of the rendition that it asks for
    throughput: int | None = None  # bit/s that it measured
    next: tuple[str, ...] = ()  # ``nor``: what it will ask for next, relative to what it asks for
    start: float | None = None  # seconds from asking to the first picture (version 2: ``msd``)


def parse(headers: Mapping[str, str], query: Mapping[str, str]) -> Told | None:
    """Return what came with a request, by headers or else by the query; None where there is nothing, or nothing that can be read.

    The fields are dictionaries of RFC 9651; version 2 sends some values as inner lists (``br=(800;v 128;a)``): the largest counts.
    """
    text = ",".join([headers[name] for name in HEADERS if name in headers]) or query.get(QUERY, "")
    values = _read(text, LONGEST)
    return None if values is None else _told(values)


def events(body: bytes) -> tuple[list[Told], int]:
    """Return what the events of a report tell, one on each line, and how many lines could not be read.

    An event has a type (``e``). The buffer ran empty where the player's state (``sta``) changes to rebuffering.
    """
    lines = [line.strip() for line in body.decode("ascii", "replace").splitlines() if line.strip()]
    found = []
    for line in lines[:MOST_EVENTS]:
        values = _read(line, LONGEST_EVENT)
        if values is None or not isinstance(kind := values.get("e"), http_sf.Token):
            continue
        state = str(values["sta"]) if isinstance(values.get("sta"), http_sf.Token) else ""
        told = _told(values)._replace(starting=state != "p", starved=state == "r" and str(kind) == "ps", next=())
        found.append(told)
    return found, len(lines) - len(found)


def _read(text: str, longest: int) -> dict[str, Any] | None:
    if not text or len(text) > longest:
        return None
    if _USUAL.fullmatch(text) is not None:
        return {key: _value(written) for key, written in _EACH.findall(text) if key in _HEARD}
    try:
        fields: Any = http_sf.parse(text.encode("ascii"), tltype="dictionary")
    except (ValueError, UnicodeEncodeError):
        return None
    return {key: value[0] for key, value in fields.items()}


def _value(written: str) -> Any:
    """Return the value of a member as ``http_sf`` does, of those that ``_USUAL`` lets pass."""
    if not written:
        return True
    if written[0] == '"':
        return written[1:-1]
    return int(written) if written[0] in "-0123456789" else http_sf.Token(written)


def _told(values: Mapping[str, Any]) -> Told:
    session = values.get("sid")
    return Told(
        session if isinstance(session, str) and 0 < len(session) <= LONGEST_SESSION else None,
        values.get("su") is True,
        values.get("bs") is True,
        _seconds(values.get("bl")),
        _bits(values.get("br")),
        _bits(values.get("mtp")),
        _addresses(values.get("nor")),
        _seconds(values.get("msd")),
    )


def _addresses(value: Any) -> tuple[str, ...]:
    """Return relative addresses: percent-encoded in a string (version 1), or strings in an inner list (version 2)."""
    items = [item[0] for item in value] if isinstance(value, list) else [value]
    return tuple(unquote(item) for item in items[:MOST_NEXT] if isinstance(item, str) and item)


def _bits(value: Any) -> int | None:
    kilobits = _number(value, LARGEST_RATE)
    return None if kilobits is None else int(kilobits * 1000)


def _seconds(value: Any) -> float | None:
    milliseconds = _number(value, LONGEST_TIME)
    return None if milliseconds is None else milliseconds / 1000


def _number(value: Any, largest: int) -> float | None:
    if isinstance(value, list):  # an inner list: items with their parameters
        found = [number for item in value if (number := _number(item[0], largest)) is not None]
        return max(found, default=None)
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 <= value <= largest:
        return None
    return float(value)
