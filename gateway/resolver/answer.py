"""(code, record, table, who asks, now) -> what to answer; pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

from gateway.resolver.codes import Code, parse
from gateway.resolver.records import Location, Record, age
from gateway.resolver.table import Info

STALE_AFTER = 24 * 3600.0  # seconds; the registry makes its table anew every few hours even if nothing changed
Wanted = Literal["player", "json", "html"]


@dataclass(frozen=True)
class Redirect:
    """Go and play it there."""

    location: str
    stale: bool


@dataclass(frozen=True)
class Document:
    """All that is known, for a program or (as a page) for a person."""

    body: dict[str, Any]
    stale: bool


@dataclass(frozen=True)
class Gone:
    """It was withdrawn."""

    sentence: str
    title: str
    stale: bool


@dataclass(frozen=True)
class NotFound:
    """The table does not know it, or may not tell yet."""

    reason: str  # unknown-code or reserved
    sentence: str
    stale: bool


@dataclass(frozen=True)
class NoTable:
    """The box never received a table of identifiers."""


Outcome = Redirect | Document | Gone | NotFound | NoTable


def wanted(accept: str, form: str | None) -> Wanted:
    """Return what the asker takes best: ``?format=`` first, then ``Accept`` (RFC 9110 section 12.5.1); ``*/*`` is a player."""
    if form in ("json", "html"):
        return "json" if form == "json" else "html"
    best: Wanted = "player"
    highest = 0.0
    for part in accept[:1000].split(","):
        kind, *parameters = [p.strip().lower() for p in part.split(";")]
        name: Wanted = {"application/json": "json", "text/html": "html"}.get(kind, "player")  # type: ignore[assignment]
        quality = _quality(parameters)
        if quality > highest:
            best, highest = name, quality
    return best


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return max(0.0, min(1.0, float(parameter[2:])))
            except ValueError:
                return 0.0
    return 1.0


def answer(
    code: Code, record: Record | None, info: Info | None, delivery: str | None, asks: Wanted, now: datetime
) -> Outcome:
    """Return the answer for ``code``, whose ``record`` the table described by ``info`` holds.

    ``delivery`` is the address of the zone's delivery (``http://10.20.0.11``), None in a zone that has none: then nothing is
    playable here, and a player is told what is known instead of being sent away.
    """
    if info is None:
        return NoTable()
    stale = age(info.made, now) > STALE_AFTER
    if record is None:
        return NotFound("unknown-code", f"{code} is not registered", stale)
    if record.status == "withdrawn":
        told = f": {record.reason}" if record.reason else ""
        return Gone(f"{code} was withdrawn{told}", record.title, stale)
    if record.status == "reserved":
        return NotFound("reserved", f"{code} is reserved and not published yet", stale)
    addresses = [_address(location, delivery) for location in record.locations]
    playable = next((address for address in addresses if address), None)
    if asks == "player" and playable:
        return Redirect(playable, stale)
    locations = [
        {**location.model_dump(exclude_none=True), **({"url": address} if address else {})}
        for location, address in zip(record.locations, addresses, strict=True)
    ]
    return Document(
        {
            "code": code.canonical,
            "scheme": code.scheme,
            "status": record.status,
            "title": record.title,
            "body": record.body,
            "playable": playable,
            "locations": locations,
            "links": [link.model_dump() for link in record.links],
            "metadata": dict(record.metadata),
            "table": {
                "registry": info.registry,
                "serial": info.serial,
                "made": info.made.isoformat(),
                "stale": stale,
            },
        },
        stale,
    )


def _address(location: Location, delivery: str | None) -> str | None:
    """Return where ``location`` is reached from this zone, or None."""
    if location.url is not None:
        return location.url
    if delivery is None or location.release is None or location.entry is None:
        return None
    return f"{delivery}/r/{parse(location.release).text}/{quote(location.entry, safe='/')}"
