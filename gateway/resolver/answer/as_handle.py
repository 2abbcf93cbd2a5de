"""Handle-compatible answers: values, response codes and their HTTP statuses, ``10320/loc``. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from xml.sax.saxutils import quoteattr

from gateway.resolver.answer.as_json import address, visible
from gateway.resolver.answer.here import Here
from gateway.resolver.answer.outcome import Document, Gone, Hidden, Moved, NoTable, NotFound, Outcome, Redirect, Source
from gateway.resolver.answer.places import Place
from gateway.resolver.codes import Code

# Handle protocol response codes that a read-only resolver gives.
FOUND, ERROR, NO_HANDLE, INVALID, NO_VALUES, DENIED = 1, 2, 100, 102, 200, 400
STATUS = {FOUND: 200, ERROR: 500, NO_HANDLE: 404, INVALID: 400, NO_VALUES: 200, DENIED: 403}
MOST_ASKED = 32  # types and indices of one request
LOCATIONS = "10320/loc"


@dataclass(frozen=True)
class Answer:
    """The body and the HTTP status of an answer."""

    status: int
    body: dict[str, Any]


def failure(handle: str, code: int, sentence: str, status: int | None = None) -> Answer:
    """Return the answer that ``handle`` has no values, and why."""
    return Answer(status or STATUS[code], {"responseCode": code, "handle": handle, "message": sentence})


def as_handle(
    handle: str,
    code: Code,
    outcome: Outcome,
    source: Source | None,
    here: Here,
    hidden: Collection[str],
    types: Sequence[str] = (),
    indices: Sequence[int] = (),
) -> Answer:
    """Return the values of ``handle`` of the asked ``types`` (one that ends with a dot: and its subtypes) or ``indices``."""
    match outcome:
        case NoTable(sentence):
            return failure(handle, ERROR, sentence)
        case NotFound(_, sentence):
            return failure(handle, NO_HANDLE, sentence)
        case Hidden(_, sentence):
            return failure(handle, DENIED, sentence)
        case Gone(sentence, _):
            return failure(handle, NO_HANDLE, sentence, 410)
        case Redirect() | Moved() | Document():
            pass
    if source is None or not isinstance(outcome, Document):
        raise TypeError("a Handle's values are made of the whole document")
    wanted = [
        value
        for value in _values(code, outcome, source.made, here, hidden)
        if not (types or indices) or value["index"] in indices or any(_is(value["type"], asked) for asked in types)
    ]
    if not wanted:
        return failure(handle, NO_VALUES, "the handle has no value of what was asked for")
    return Answer(200, {"responseCode": FOUND, "handle": handle, "values": wanted})


def _is(kind: str, asked: str) -> bool:
    return kind == asked or (asked.endswith(".") and (kind + ".").startswith(asked))


def _values(code: Code, found: Document, made: datetime, here: Here, hidden: Collection[str]) -> list[dict[str, Any]]:
    known = found.known
    told: list[tuple[int, str, str]] = []
    if found.playable:
        told.append((1, "URL", found.playable))
    if found.places:
        told.append((2, LOCATIONS, locations(found.places, here)))
    told += [
        (3, "DESC", known.title),
        (4, "HEADGATE.CODE", code.canonical),
        (5, "HEADGATE.BODY", known.body),
        (6, "HEADGATE.STATUS", known.status),
    ]
    if known.successor:
        told.append((7, "HEADGATE.SUCCESSOR", known.successor))
    others = [place.url for place in found.places if place.url and place.url != found.playable]
    told += [(number, "URL", url) for number, url in enumerate(others, 11)]
    told += [
        (number, "HEADGATE.LINK", json.dumps({**link, "href": address(link["target"])}, ensure_ascii=False))
        for number, link in enumerate(visible(known.links, hidden), 101)
    ]
    stamp = made.isoformat(timespec="seconds").replace("+00:00", "Z")
    return [
        {
            "index": index,
            "type": kind,
            "data": {"format": "string", "value": value},
            "ttl": known.ttl,
            "timestamp": stamp,
        }
        for index, kind, value in told
    ]


def locations(places: Sequence[Place], here: Here) -> str:
    """Return the value ``10320/loc``: every place with its weight, so that a client of a Handle proxy chooses as we would."""
    lines = []
    for number, place in enumerate(place for place in places if place.url):
        weight = 0 if not place.fits else 1 if number == 0 else 0.5 / number
        screens = f" screens={quoteattr(' '.join(place.said['screens']))}" if place.said.get("screens") else ""
        lines.append(
            f'<location id="{number}" href={quoteattr(str(place.url))} weight="{weight:.3g}"'
            f' zone={quoteattr(here.zone)} distance="{place.distance}"{screens}/>'
        )
    return f'<locations chooseby="locatt,weighted">{"".join(lines)}</locations>'
