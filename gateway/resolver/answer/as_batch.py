"""One line of JSON for each code of a batch; what is plain is told with the table's own bytes. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
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

_NO_KEY = b"?"  # of what cannot be one: it is not in the table
Many = Callable[[Sequence[bytes]], Sequence[bytes | None]]
Count = Counter[tuple[str, str]]  # (scheme, outcome) -> answers


def parse_batch(body: bytes, kind: str) -> list[str]:
    """Return the codes of a JSON array (or ``{"codes": [...]}``), or of lines.

    Raises:
        ValueError: it is neither, or too many.
    """
    if kind == "application/json":
        told = json.loads(body)
        told = told.get("codes") if isinstance(told, dict) else told
        if not isinstance(told, list) or not all(isinstance(one, str) for one in told):
            raise ValueError("a batch is a JSON array of codes, or lines")
        listed: list[str] = told
    else:
        listed = [line for line in body.decode(errors="replace").splitlines() if line.strip()]
    if len(listed) > MOST:
        raise ValueError(f"a batch has at most {MOST} codes, here are {len(listed)}")
    return listed


def lines(
    asked: Sequence[str], many: Many, source: Source | None, here: Here, now: datetime, counted: Count
) -> Iterator[bytes]:
    """Yield a line for each of the ``asked``, in their order.

    What is asked in its canonical form, as programs do, is looked up as it is: a key of the table needs no parsing.
    """
    keys = [text.encode(errors="surrogatepass") for text in asked]
    whole = min(map(len, keys), default=1) > 0 and max(map(len, keys), default=0) <= LONGEST
    found = list(many(keys if whole else [key if 0 < len(key) <= LONGEST else _NO_KEY for key in keys]))
    spelt = {number: _parsed(asked[number]) for number, raw in enumerate(found) if raw is None}
    again = [
        (number, str(code)) for number, code in spelt.items() if isinstance(code, Code) and str(code) != asked[number]
    ]
    for (number, _), raw in zip(again, many([code.encode() for _, code in again]), strict=True):
        found[number] = raw
    prefix = b',"playable":"' + here.delivery.encode() + b"/r/" if here.delivery is not None else None
    schemes: list[str] = []
    for number, (text, key, raw) in enumerate(zip(asked, keys, found, strict=True)):
        quick = one_copy(raw) if raw is not None and number not in spelt else None
        if quick is not None and b'"' not in key and b"\\" not in key:
            path, record = quick
            playable = b'%b%b"' % (prefix, path) if prefix else b""
            schemes.append(text.partition(":")[0])
            # Links are asked for by /id/CODE/links, which leaves out what may not be seen here.
            yield b'{"asked":"%b"%b,"record":%b}\n' % (key, playable, record)
        else:
            yield _slow(text, spelt.get(number), raw, source, here, now, counted)
    for scheme, count in Counter(schemes).items():
        counted[scheme, "document"] += count


def damaged(asked: Sequence[str], error: Corrupt, counted: Count) -> bytes:
    """Return the lines of codes that a damaged table cannot tell of."""
    counted["none", "corrupt"] += len(asked)
    return b"".join(_line({"asked": text, "reason": "corrupt", "error": str(error)}) for text in asked)


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


def _parsed(text: str) -> Code | WrongCode:
    try:
        return parse(text)
    except WrongCode as error:
        return error


def _line(told: object) -> bytes:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode(errors="replace") + b"\n"
