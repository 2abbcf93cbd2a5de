"""nginx's lines about what it delivers (``log_format`` in ``templates/nginx.conf``), read; pure."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NamedTuple

LONGEST = 256 << 10  # bytes of a line: a head of 32 KiB, of which each byte may be written as six
MOST_BYTES = 1 << 50  # of one transfer: more is no figure
MOST_SECONDS = 1e11  # since 1970
_RANGE = re.compile(r"bytes (\d{1,18})-", re.ASCII)  # Content-Range
MOST_REASON = 40  # characters


class Began(NamedTuple):
    """A transfer is about to begin: its object is not opened yet."""

    id: str  # nginx's $request_id
    screen: str  # address
    port: int
    meter: str  # as ``opaque`` made it
    subject: str  # pseudonym of a token's subject
    marks: str  # of the permit
    text: str  # the line
    carried: bool = False  # said again by delivery, so that it is not forgotten with what is old


class Ended(NamedTuple):
    """A request is over, complete or broken off."""

    id: str
    screen: str
    port: int
    status: int
    sent: int  # bytes that the kernel took, head and content
    body: int  # bytes of content among them
    done: bool
    seconds: float
    at: float  # seconds since 1970 at which it was over
    meter: str  # empty: not counted
    subject: str
    marks: str
    passed: bool  # delivery answered, by way of nginx
    http2: bool  # others share its connection
    head: bool  # HEAD: the head alone was asked for, so that nothing counts
    first: int  # where in the object its content begins
    length: int | None  # bytes of content that were to come
    query: str
    cmcd: tuple[str, ...]  # the fields in which a player tells of itself


class Turned(NamedTuple):
    """A request that nginx refused by itself."""

    reason: str


def read(line: bytes) -> Began | Ended | Turned | None:
    """Return what a line says; None where it is no such line, or says what cannot be."""
    if len(line) > LONGEST:
        return None
    # What a screen sent stands in it as it came, in whatever encoding; nginx escapes the rest.
    # Of a request that its screen left before anything was answered it writes the status 000, which is no JSON.
    text = line.decode(errors="replace").replace('"status":000', '"status":0', 1)
    try:
        told = json.loads(text)
        if "refused" in told:
            return Turned(_text(told["refused"])[:MOST_REASON])
        return _began(told, text) if "began" in told else _ended(told)
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return None


def _began(told: dict[str, Any], text: str) -> Began:
    return Began(
        _text(told["began"]),
        _text(told["screen"]),
        _port(told["port"]),
        _text(told["meter"]),
        _text(told.get("subject", "")),
        _text(told.get("marks", "")),
        text,
        "carried" in told,
    )


def carried(began: Began) -> str:
    """Return the line that says it again."""
    return began.text if began.carried else '{"carried":1,' + began.text.removeprefix("{")


def _ended(told: dict[str, Any]) -> Ended:
    sent, body = _number(told["sent"], MOST_BYTES), _number(told["body"], MOST_BYTES)
    length = _text(told.get("length", ""))
    return Ended(
        _text(told["ended"]),
        _text(told["screen"]),
        _port(told["port"]),
        _number(told["status"], 999),
        max(sent, body),
        body,
        told["done"] == "OK" and not (told.get("passed") is True and _is_short(told, length, body)),
        _seconds(told["seconds"]),
        _seconds(told["at"]),
        _text(told["meter"]),
        _text(told.get("subject", "")),
        _text(told.get("marks", "")),
        told.get("passed") is True,
        told.get("http2", "") != "",
        told.get("head") == 1,
        int(found[1]) if (found := _RANGE.match(_text(told.get("range", "")))) else 0,
        int(length) if length.isdecimal() else None,
        _text(told.get("query", "")),
        tuple(map(_text, told.get("cmcd", ()))),
    )


def _is_short(told: dict[str, Any], length: str, body: int) -> bool:
    """Return whether less came than the answer said: what nginx passes on it calls complete also where delivery broke it off."""
    return bool(told["meter"]) and told["status"] not in (204, 304) and length.isdecimal() and body < int(length)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _port(value: object) -> int:
    port = int(_text(value))
    if not 0 < port < 65536:
        raise ValueError(port)
    return port


def _number(value: object, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(value)
    return value


def _seconds(value: object) -> float:
    if type(value) not in (int, float):
        raise TypeError(value)
    seconds = float(value)  # type: ignore[arg-type]
    if not math.isfinite(seconds) or not 0 <= seconds <= MOST_SECONDS:
        raise ValueError(value)
    return seconds
