"""nginx's lines about what it delivers (``log_format`` in ``templates/nginx.conf``), read; pure.

Where a screen can say nothing in it, a line is plain: a letter and its values with a space between, ``b`` for what begins, ``c`` where
delivery said that again, ``e`` for what is over, ``a`` where delivery read a worker's account. Any other is JSON.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

LONGEST = 256 << 10  # bytes of a line: a head of 32 KiB, of which each byte may be written as six
MOST_BYTES = 1 << 50  # of one transfer: more is no figure
MOST_SECONDS = 1e11  # since 1970
MOST_REASON = 40  # characters

WORD = r"[0-9A-Za-z_.-]"
_BEGAN = re.compile(rf"[bc] ({WORD}+) ([0-9a-f.:]+) (\d{{1,5}}) ({WORD}+) ({WORD}*) ({WORD}*)", re.ASCII)
_NUMBER, _SECONDS = r"\d{1,15}", r"\d{1,11}\.\d{3}"
# How it went is the same of many lines, and so is whose it was: both are read once.
_ENDED = re.compile(
    rf"e ({WORD}*) ({_SECONDS}) ({_SECONDS} {_NUMBER} {_NUMBER} (?:OK)?(?:close)? \d{{3}}) \d+ "
    rf"([0-9a-f.:]+ \d{{1,5}} {WORD}* {WORD}* {WORD}* \d{{0,18}}) (?:bytes (\d{{1,18}})-\d{{1,18}}/\d{{1,18}})?".encode(),
    re.ASCII,
)
REMEMBERED = 16_384  # of either
_SMALL, _AT = b"e  ", slice(3, 17)  # how a line without an id begins, and where it says when
_SET = re.compile(rb"\d{10}\.\d{3}")  # of a clock that was set: from 2001 to 2286
_ACCOUNT = re.compile(rb"a (\d{1,4}) (\d{1,15}) (\d{1,15}) (\d{1,15})", re.ASCII)
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


class Account(NamedTuple):
    """Answers in a worker's memory (``accounts``) are to be read here."""

    number: int  # of the account
    begins: int  # of the first answer
    upto: int  # of the one behind the last
    texts: int  # how many bytes of texts were written before


Said = Began | Ended | Turned | Account | None  # None: it is no such line, or says what cannot be


def read_all(texts: Sequence[bytes]) -> list[Said]:
    """Return what lines say, in their order; small answers of one connection that are alike are one, at the place of the first."""
    # Its id is empty: nothing said before or after refers to it, so that it may be told with others.
    places = [place for place, text in enumerate(texts) if text.startswith(_SMALL)]
    rests = [texts[place][_AT.stop :] for place in places]
    last = dict(zip(rests, places, strict=True))
    if len(last) == len(rests):
        return list(map(read, texts))
    first = dict(zip(reversed(rests), reversed(places), strict=True))
    said: dict[int, Said] = {place: read(texts[place]) for place in set(range(len(texts))).difference(places)}
    apart = set[bytes]()  # what says nothing, or when by a clock that was never set
    for rest, count in Counter(rests).items():
        begins, ends = read(texts[first[rest]]), texts[last[rest]][_AT]
        if count > 1 and isinstance(begins, Ended) and _SET.fullmatch(ends):
            at = float(ends)
            begins = begins._replace(requests=count, since=min(begins.at, at), at=at)
        elif count > 1:
            apart.add(rest)
        said[first[rest]] = begins
    said |= {place: read(texts[place]) for place, rest in zip(places, rests, strict=True) if rest in apart}
    return [said[place] for place in sorted(said)]


def read(line: bytes) -> Said:
    """Return what a line says."""
    if len(line) > LONGEST:
        return None
    if line.startswith(b"e "):
        return _ended(line)
    if line.startswith(b"a "):
        return Account(*map(int, account.groups())) if (account := _ACCOUNT.fullmatch(line)) is not None else None
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


def noted(account: Account) -> str:
    """Return the line that says it."""
    return " ".join(("a", *map(str, account)))


def carried(began: Began) -> str:
    """Return the line that says it again."""
    return " ".join(("c", *began[:2], str(began.port), *began[3:6]))


def _ended(line: bytes) -> Ended | None:
    if (found := _ENDED.fullmatch(line)) is None:
        return None
    name, at, how, whose, first = found.groups()
    screen, port, meter, subject, marks, length = _whose(whose)
    if not _is_port(port):
        return None
    seconds, sent, body, done, closed, status = _how(how)
    return Ended(
        name.decode(),
        screen,
        port,
        status,
        sent,
        body,
        seconds,
        float(at),
        done,
        meter,
        subject,
        marks,
        first=int(first or 0),
        length=length,
        closed=closed,
    )


@lru_cache(maxsize=REMEMBERED)
def _how(text: bytes) -> tuple[float, int, int, bool, bool, int]:
    """Return seconds, bytes sent, bytes of content, whether it is complete, whether the connection was closed then, and the status."""
    seconds, sent, body, done, status = text.decode().split(" ")
    return float(seconds), max(int(sent), int(body)), int(body), done.startswith("OK"), done == "OKclose", int(status)


@lru_cache(maxsize=REMEMBERED)
def _whose(text: bytes) -> tuple[str, int, str, str, str, int | None]:
    """Return address and port of the screen, what is counted, the subject, the marks, and the bytes of content that were to come."""
    screen, port, meter, subject, marks, length = text.decode().split(" ")
    return screen, int(port), meter, subject, marks, int(length) if length else None


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
