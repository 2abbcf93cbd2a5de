"""What a program is told. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from gateway.resolver.answer.outcome import Document, Source
from gateway.resolver.codes import Code

_SAFE = re.compile(r"[0-9A-Za-z:._~-]+").fullmatch  # nothing to be quoted
Links = Sequence[Mapping[str, str]]


def address(code: str) -> str:
    """Return where a canonical code is resolved, relative to the resolver itself."""
    if _SAFE(code):
        return f"/id/{code}"
    return f"/id/{quote(code, safe=':')}"


def visible(links: Links, hidden: Collection[str]) -> list[Mapping[str, str]]:
    """Return the links whose targets may be told of."""
    return [link for link in links if link["target"] not in hidden]


def as_json(code: Code, found: Document, source: Source, now: datetime, hidden: Collection[str]) -> dict[str, Any]:
    """Return all that is known of ``code``; links to what is ``hidden`` here are not told."""
    known = found.known
    told: dict[str, Any] = {
        "code": code.canonical,
        "scheme": code.scheme,
        "display": code.display,
        "status": known.status,
        "title": known.title,
        "body": known.body,
        "playable": found.playable,
        "locations": [
            {**place.said, **({"url": place.url} if place.url else {}), **({} if place.fits else {"fits": False})}
            for place in found.places
        ],
        "links": visible(known.links, hidden),
        "metadata": dict(known.metadata),
        "ttl": known.ttl,
    }
    if known.code != code.canonical:
        told["record"] = known.code  # of the lot or the item, where the serial itself is not registered
    if uri := code.uri:
        told["uri"] = uri
    if known.rights:
        told["rights"] = known.rights
    if known.successor:
        told["superseded_by"] = known.successor
    told["table"] = {
        "registry": source.registry,
        "serial": source.serial,
        "made": source.made.isoformat(),
        "stale": source.stale(now),
    }
    return told
