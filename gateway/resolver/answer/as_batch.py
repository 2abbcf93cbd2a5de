"""One line of JSON for each code of a batch; what is plain is told with the table's own bytes. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime

from appliance.runtime.errors import Corrupt
from gateway.resolver.answer.here import Here
from gateway.resolver.answer.known import known
from gateway.resolver.answer.outcome import Document, Gone, Hidden, NotFound, Source, outcome
from gateway.resolver.answer.places import places, playable
from gateway.resolver.answer.raw import one_copy
from gateway.resolver.codes import LONGEST, Code, WrongCode, parse

MOST = 10_000  # codes of one batch
LARGEST = 4 << 20  # bytes of its body
CHUNK = 250  # codes that are answered before others have their turn: about a millisecond

_QUOTE, _BACKSLASH = b'"\\'
_NO_KEY = b"?"  # of what cannot be one: it is not in the table
Many = Callable[[Sequence[bytes]], Sequence[bytes | None]]
Count = Counter[tuple[str, str]]  # (scheme, outcome) -> answers


def parse_batch(body: bytes, kind: str) -> list[bytes]:
    """Return the codes of a JSON array (or ``{"codes": [...]}``), or of lines, as UTF-8 in which a lone surrogate may be.

    Raises:
        ValueError: it is neither, or too many.
    """
    if kind == "application/json":
        told = json.loads(body)
        told = told.get("codes") if isinstance(told, dict) else told
        if not isinstance(told, list) or not all(isinstance(one, str) for one in told):
            raise ValueError("a batch is a JSON array of codes, or lines")
        listed = [one.encode(errors="surrogatepass") for one in told]
    else:
        # In one piece: no line holds a line feed, nor is one of them empty.
        listed = "\n".join(filter(str.strip, body.decode(errors="replace").splitlines())).encode().splitlines()
    if len(listed) > MOST:
        raise ValueError(f"a batch has at most {MOST} codes, here are {len(listed)}")
    return listed


def lines(
    asked: Sequence[bytes], many: Many, source: Source | None, here: Here, now: datetime, counted: Count
) -> bytes:
    """Return a line for each of the ``asked`` (``parse_batch``), in their order.

    What is asked in its canonical form, as programs do, is looked up as it is: a key of the table needs no parsing.
    """
    found = many([key if 0 < len(key) <= LONGEST else _NO_KEY for key in asked])
    spelt = {key: _parsed(_text(key)) for key, raw in zip(asked, found, strict=True) if raw is None}
    again = {key: code for key, one in spelt.items() if isinstance(one, Code) and (code := str(one).encode()) != key}
    meant = dict(zip(again, many(list(again.values())), strict=True))
    playable = b'","playable":"%b/r/' % here.delivery.encode() if here.delivery is not None else None
    told: list[bytes] = []
    quick: list[bytes] = []
    for key, raw in zip(asked, found, strict=True):
        copy = one_copy(raw) if raw is not None and _QUOTE not in key and _BACKSLASH not in key else None
        if copy is None:
            record = raw if raw is not None else meant.get(key)
            told.append(_slow(_text(key), spelt.get(key), record, source, here, now, counted))
            continue
        quick.append(key)
        entry, release, before, behind = copy
        # Links are asked for by /id/CODE/links, which leaves out what may not be seen here.
        if playable is None:
            told += (b'{"asked":"', key, b'","record":', before, behind, b"}\n")
        else:
            told += (b'{"asked":"', key, playable, release, b"/", entry, b'","record":', before, behind, b"}\n")
    for scheme, count in Counter([key.partition(b":")[0] for key in quick]).items():
        counted[scheme.decode(), "document"] += count
    return b"".join(told)


def damaged(asked: Sequence[bytes], error: Corrupt, counted: Count) -> bytes:
    """Return the lines of codes that a damaged table cannot tell of."""
    counted["none", "corrupt"] += len(asked)
    return b"".join(_line({"asked": _text(key), "reason": "corrupt", "error": str(error)}) for key in asked)


def _slow(
    text: str,
    code: Code | WrongCode | None,
    raw: bytes | None,
    source: Source | None,
    here: Here,
    now: datetime,
    counted: Count,
) -> bytes:
    code = _parsed(text) if code is None else code
    told: dict[str, object] = {"asked": text}
    if isinstance(code, WrongCode):
        counted["none", code.reason] += 1
        return _line({**told, "reason": code.reason, "error": str(code)})
    if code.canonical != text:
        told["code"] = code.canonical
    try:
        found = outcome(code, None if raw is None else known(raw), source, here, "json", now)
    except Corrupt as error:
        counted[code.scheme, "corrupt"] += 1
        return _line({**told, "reason": "corrupt", "error": str(error)})
    match found:
        case Document():
            counted[code.scheme, "document"] += 1
            if nearest := playable(places(found.known, here)):
                told["playable"] = nearest
            return _line({**told, "record": {key: value for key, value in found.known.said.items() if key != "links"}})
        case Hidden(reason, sentence) | NotFound(reason, sentence):
            counted[code.scheme, reason] += 1
            return _line({**told, "reason": reason, "error": sentence})
        case Gone(sentence, _):
            counted[code.scheme, "withdrawn"] += 1
            return _line({**told, "reason": "withdrawn", "error": sentence})
        case _:
            counted[code.scheme, "no-table"] += 1
            return _line({**told, "reason": "no-table", "error": "this box has received no table of identifiers yet"})


def _text(key: bytes) -> str:
    return key.decode(errors="surrogatepass")


def _parsed(text: str) -> Code | WrongCode:
    try:
        return parse(text)
    except WrongCode as error:
        return error


def _line(told: object) -> bytes:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode(errors="replace") + b"\n"
