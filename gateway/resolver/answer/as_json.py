"""What a program is told. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from gateway.resolver.answer.known import TTL
from gateway.resolver.answer.outcome import Document, Source
from gateway.resolver.answer.raw import with_address
from gateway.resolver.codes import SCHEMES, Code

# What a record's dump leaves out where it is as usual.
_DEFAULTS = (
    (b',"links":[', b',"links":[]'),
    (b',"metadata":{', b',"metadata":{}'),
    (b',"ttl":', b',"ttl":%d' % TTL),
)
_SAFE = re.compile(r"[0-9A-Za-z:._~-]+").fullmatch  # nothing to be quoted
_QUOTED = json.encoder.encode_basestring  # a text as JSON
Links = Sequence[Mapping[str, str]]


def address(code: str) -> str:
    """Return where a canonical code is resolved, relative to the resolver itself."""
    if _SAFE(code):
        return f"/id/{code}"
    return f"/id/{quote(code, safe=':')}"


def about(source: Source, now: datetime) -> dict[str, Any]:
    """Return what is told of who said it."""
    return {
        "registry": source.registry,
        "serial": source.serial,
        "made": source.made.isoformat(),
        "stale": source.stale(now),
    }


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
    told["table"] = about(source, now)
    return told


def spliced(code: str, raw: bytes, path: bytes, delivery: str, table: bytes) -> bytes:
    """Return what ``as_json`` tells, made of the record's own bytes: of a plain record with one copy ``path`` on the box.

    ``code`` is canonical, ``table`` what the answer says of the source; no link leads to what is hidden.
    """
    scheme, _, text = code.partition(":")
    known = SCHEMES[scheme]
    address = f"{delivery}/r/{path.decode()}".encode()
    uri = known.uri(text)
    told = f'{{"scheme":"{scheme}","display":{_QUOTED(known.show(text))}' + (f',"uri":{_QUOTED(uri)}' if uri else "")
    parts = [
        told.encode(),
        b',"playable":"',
        address,
        b'",',
        with_address(raw, address),
    ]
    parts += [default for key, default in _DEFAULTS if key not in raw]
    return b"".join((*parts, b',"table":', table, b"}"))
