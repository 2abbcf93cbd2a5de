"""nginx's lines about what it delivers (``log_format`` in ``templates/nginx.conf``), read; pure.

Where a screen can say nothing in it, a line is plain: a letter and its values with a space between, ``b`` for what begins, ``c`` where
delivery said that again, ``e`` for what is over. Any other is JSON.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

LONGEST = 256 << 10  # bytes of a line: a head of 32 KiB, of which each byte may be written as six
MOST_BYTES = 1 << 50  # of one transfer: more is no figure
MOST_SECONDS = 1e11  # since 1970
MOST_REASON = 40  # characters

_WORD = r"[0-9A-Za-z_.-]"
_BEGAN = re.compile(rf"[bc] ({_WORD}+) ([0-9a-f.:]+) (\d{{1,5}}) ({_WORD}+) ({_WORD}*) ({_WORD}*)", re.ASCII)
_NUMBER, _SECONDS = r"(\d{1,15})", r"(\d{1,11}\.\d{3})"
_ENDED = re.compile(
    rf"e ({_WORD}*) {_SECONDS} {_SECONDS} {_NUMBER} {_NUMBER} (OK)?(close)? (\d{{3}}) \d+ ([0-9a-f.:]+) (\d{{1,5}}) "
    rf"({_WORD}*) ({_WORD}*) ({_WORD}*) (\d{{0,18}}) (?:bytes (\d{{1,18}})-\d{{1,18}}/\d{{1,18}})?".encode(),
    re.ASCII,
)
_SMALL, _AT = b"e  ", slice(3, 17)  # how a line without an id begins, and where it says when (from 2001 to 2286)
_RANGE = re.compile(r"bytes (\d{1,18})-", re.ASCII)  # Content-Range


class Began(NamedTuple):
    """A transfer is about to begin: its object is not opened yet."""

    id: str  # nginx's $request_id
    screen: str  # address
    port: int
    meter: str  # as ``opaque`` made it
    subject: str  # pseudonym of a token's subject
    marks: str  # of the permit
    carried: bool = False  # said again by delivery, so that it is not forgotten with what is old


class Ended(NamedTuple):
    """A request is over, complete or broken off; or several of one connection that are alike."""

    id: str  # empty: it was not told when it began
    screen: str
    port: int
    status: int
    sent: int  # bytes that the kernel took, head and content, of each
    body: int  # bytes of content among them
    seconds: float  # of each
    at: float  # when the last one was over, in seconds since 1970
    done: bool
    meter: str  # empty: not counted
    subject: str
    marks: str
    passed: bool = False  # delivery answered, by way of nginx
    http2: bool = False  # others share its connection
    head: bool = False  # HEAD: the head alone was asked for, so that nothing counts
    first: int = 0  # where in the object its content begins
    length: int | None = None  # bytes of content that were to come
    closed: bool = False  # nginx closed the connection then: behind its bytes goes a FIN, which TCP counts as one more
    query: str = ""
    cmcd: tuple[str, ...] = ()  # the fields in which a player tells of itself
    requests: int = 1  # so many
    since: float = 0.0  # when the first one was over, or the last one where the clock was set back meanwhile; 0 of one


class Turned(NamedTuple):
    """A request that nginx refused by itself."""

    reason: str


Said = Began | Ended | Turned | None  # None: it is no such line, or says what cannot be


def read_all(texts: Iterable[bytes]) -> list[Said]:
    """Return what lines say, in their order; small answers of one connection that are alike are one, at the place of the first."""
    said, alike = list[Said](), dict[bytes, _Alike]()
    for text in texts:
        # Its id is empty: nothing said before or after refers to it, so that it may be told with others.
        if not text.startswith(_SMALL):
            said.append(read(text))
            continue
        rest = text[_AT.stop :]
        if (known := alike.get(rest)) is not None:
            known.count += 1
            known.last = text
            continue
        if rest.startswith(b" ") and b" " not in text[_AT]:  # else the clock was never set: it is 1970
            alike[rest] = _Alike(len(said))
        said.append(read(text))
    for one in (one for one in alike.values() if one.count > 1):
        first, last = said[one.place], read(one.last)
        if isinstance(first, Ended) and isinstance(last, Ended):
            said[one.place] = first._replace(requests=one.count, since=min(first.at, last.at), at=last.at)
    return said


class _Alike:
    """Lines that differ in nothing but when."""

    __slots__ = ("count", "last", "place")

    def __init__(self, place: int) -> None:
        self.place, self.count, self.last = place, 1, b""


def read(line: bytes) -> Said:
    """Return what a line says."""
    if len(line) > LONGEST:
        return None
    if line.startswith(b"e "):
        return _ended(line)
    # What a screen sent stands in it as it came, in whatever encoding; nginx escapes the rest.
    text = line.decode(errors="replace")
    if (found := _BEGAN.fullmatch(text)) is not None:
        name, screen, port, meter, subject, marks = found.groups()
        return Began(name, screen, int(port), meter, subject, marks, text[0] == "c") if _is_port(int(port)) else None
    try:
        # Of a request that its screen left before anything was answered it writes the status 000, which is no JSON.
        told = json.loads(text.replace('"status":000', '"status":0', 1))
        return Turned(_text(told["refused"])[:MOST_REASON]) if "refused" in told else _told(told)
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return None


def carried(began: Began) -> str:
    """Return the line that says it again."""
    return " ".join(("c", *began[:2], str(began.port), *began[3:6]))


def _ended(line: bytes) -> Ended | None:
    if (found := _ENDED.fullmatch(line)) is None:
        return None
    texts = [one.decode() if one else "" for one in found.groups()]
    name, at, seconds, sent, body, done, then, status, screen, port, meter, subject, marks, length, first = texts
    if not _is_port(int(port)):
        return None
    return Ended(
        name,
        screen,
        int(port),
        int(status),
        max(int(sent), int(body)),
        int(body),
        float(seconds),
        float(at),
        done == "OK",
        meter,
        subject,
        marks,
        first=int(first or 0),
        length=int(length) if length else None,
        closed=bool(done and then),
    )


def _told(told: dict[str, Any]) -> Ended:
    sent, body = _number(told["sent"], MOST_BYTES), _number(told["body"], MOST_BYTES)
    length, through = _text(told.get("length", "")), told["done"] == "OK"
    short = told.get("passed") is True and _is_short(told, length, body)
    return Ended(
        _text(told["ended"]),
        _text(told["screen"]),
        _port(told["port"]),
        _number(told["status"], 999),
        max(sent, body),
        body,
        _seconds(told["seconds"]),
        _seconds(told["at"]),
        through and not short,
        _text(told["meter"]),
        _text(told.get("subject", "")),
        _text(told.get("marks", "")),
        told.get("passed") is True,
        told.get("http2", "") != "",
        told.get("head") == 1,
        int(found[1]) if (found := _RANGE.match(_text(told.get("range", "")))) else 0,
        int(length) if length.isdecimal() else None,
        through and (short or told.get("then") == "close"),
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


def _is_port(port: int) -> bool:
    return 0 < port < 65536


def _port(value: object) -> int:
    port = int(_text(value))
    if not _is_port(port):
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
