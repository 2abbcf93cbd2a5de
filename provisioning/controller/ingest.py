"""What a message of records means: which rows to store, which ids to acknowledge. Pure; the box is the topic's, never the message's.

The broker lets a box publish only under the name in its certificate, so the topic says who speaks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from appliance.runtime.errors import Corrupt
from appliance.telemetry.records import Damaged, Numbered, Record, parse_batch, read_time, to_json, written
from appliance.telemetry.sparkplug import GROUP, NAMESPACE
from monitoring.overview import EVENTS

_RECORDS = re.compile(r"headgate/v1/([a-z][a-z0-9-]{0,62})/records")
_PROOFS = re.compile(r"headgate/v1/([a-z][a-z0-9-]{0,62})/proofs")
_LISTINGS = re.compile(r"headgate/v1/([a-z][a-z0-9-]{0,62})/listings")
_STATE = re.compile(rf"{NAMESPACE}/{GROUP}/(NBIRTH|NDATA|NDEATH)/([a-z][a-z0-9-]{{0,62}})")

LARGEST_COUNT = 1 << 40  # of one record's bytes: beyond, the record says nothing believable
MOST_REQUESTS = 1 << 32  # of one record
LONGEST_RELEASE, LONGEST_BODY, LONGEST_ZONE, LONGEST_SCREEN = 256, 64, 32, 16  # characters
LONGEST_TOLD = 300
EVENT = "event"  # in the place of a decision


@dataclass(frozen=True)
class Delivery:
    """What one message of records asks for: rows to store and ids to acknowledge once they are stored."""

    box: str
    items: tuple[Numbered, ...] = ()
    damaged: tuple[Damaged, ...] = ()

    @property
    def ids(self) -> frozenset[str]:
        """The ids to acknowledge: stored before or now, or set aside as damaged under the box's own id."""
        return frozenset({i.record.id for i in self.items} | {d.id for d in self.damaged if d.id is not None})


@dataclass(frozen=True)
class Counted:
    """What new usage records add to a release's totals."""

    requests: int = 0
    bytes: int = 0
    hits: int = 0
    misses: int = 0


class Day(NamedTuple):
    """What is added up within a day; ``screen`` is a class of screens."""

    day: str
    body: str
    release: str
    zone: str
    screen: str


class Delivered(NamedTuple):
    """What was delivered: requests, those of them that broke off, bytes, those of them from the store."""

    requests: int = 0
    broken: int = 0
    bytes: int = 0
    hit_bytes: int = 0


@dataclass(frozen=True)
class Audit:
    """An audit record's decision in columns."""

    decision: str
    reason: str
    told: str


@dataclass(frozen=True)
class Prover:
    """A box that tells what became of orders."""

    box: str


@dataclass(frozen=True)
class Lister:
    """A box that brings what bodies signed there for the centre to list."""

    box: str


@dataclass(frozen=True)
class State:
    """A Sparkplug message's sender and kind (NBIRTH, NDATA, NDEATH)."""

    box: str
    kind: str


def sender(topic: str) -> State | Prover | Lister | str:
    """Return who speaks on ``topic``: a State for Sparkplug, a Prover for proofs, a Lister, the box's name for records.

    Raises:
        Corrupt: the topic is none that a box speaks on.
    """
    if found := _RECORDS.fullmatch(topic):
        return found[1]
    if found := _PROOFS.fullmatch(topic):
        return Prover(found[1])
    if found := _LISTINGS.fullmatch(topic):
        return Lister(found[1])
    if found := _STATE.fullmatch(topic):
        return State(found[2], found[1])
    raise Corrupt(f"no box speaks on '{topic[:120]}'")


def delivery(box: str, payload: bytes) -> Delivery:
    """Return what a message of records of ``box`` asks for.

    Raises:
        Corrupt: the message is not a bounded JSON array.
    """
    items: dict[str, Numbered] = {}
    bad: dict[str | None, Damaged] = {}
    for item in parse_batch(payload):
        if isinstance(item, Numbered):
            items.setdefault(item.record.id, item)
        else:
            bad.setdefault(item.id, item)
    return Delivery(box, tuple(items.values()), tuple(one for name, one in bad.items() if name not in items))


def row(box: str, item: Numbered, received: str) -> dict[str, Any]:
    """Return the row of ``records`` for an item."""
    record = item.record
    return {
        "box": box,
        "id": record.id,
        "seq": item.seq,
        "kind": record.kind,
        "time": written(record.time),
        "source": record.source,
        "received": received,
        "body": to_json(dict(record.body)).decode(),
    }


def usage(new: Iterable[Record]) -> dict[str, Counted]:
    """Return what new usage records add, by release; what is not believable counts as a request of no bytes."""
    result: dict[str, Counted] = {}
    for record in new:
        if record.kind != "usage":
            continue
        name = _word(record.body.get("release"), LONGEST_RELEASE)
        # A record without a number of requests tells of one: as delivery told before it counted alike ones together.
        requests = _number(record.body.get("requests", 1), MOST_REQUESTS) or 1
        cache = record.body.get("cache")
        before = result.get(name, Counted())
        result[name] = Counted(
            before.requests + requests,
            before.bytes + _number(record.body.get("bytes"), LARGEST_COUNT),
            before.hits + (requests if cache == "hit" else 0),
            before.misses + (requests if cache == "miss" else 0),
        )
    return result


def usage_days(new: Iterable[Record]) -> dict[Day, Delivered]:
    """Return what new usage records add, by day; as ``usage`` where something is not believable."""
    result: dict[Day, Delivered] = {}
    for record in new:
        if record.kind != "usage":
            continue
        body = record.body
        names = (
            ("body", LONGEST_BODY),
            ("release", LONGEST_RELEASE),
            ("zone", LONGEST_ZONE),
            ("screen", LONGEST_SCREEN),
        )
        key = Day(_day(record), *(_word(body.get(name), longest) for name, longest in names))
        sent = _number(body.get("bytes"), LARGEST_COUNT)
        more = Delivered(
            _number(body.get("requests", 1), MOST_REQUESTS) or 1,
            _number(body.get("broken", 0), MOST_REQUESTS),
            sent,
            sent if body.get("cache") == "hit" else 0,
        )
        result[key] = Delivered(*(a + b for a, b in zip(result.get(key, Delivered()), more, strict=True)))
    return result


def _day(record: Record) -> str:
    """Return the day (UTC) on which the last of what a record tells of ended, but none after the record itself."""
    try:
        last = read_time(record.body.get("last"))
    except Corrupt:
        last = record.time
    return min(last, record.time).date().isoformat()


def _number(value: object, most: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < most else 0


def audit(record: Record) -> Audit | None:
    """Return the columns of an audit record, or of an event that is counted; None for another record."""
    body = record.body
    if record.kind == "event" and body.get("event") in EVENTS:
        return Audit(EVENT, str(body["event"]), _word(body.get("sentence"), LONGEST_TOLD))
    if record.kind != "audit":
        return None
    known = {"decision", "reason", "sentence"}
    rest = ", ".join(
        f"{key}: {value}" for key, value in body.items() if key not in known and isinstance(value, str | int)
    )
    sentence = _word(body.get("sentence"), LONGEST_TOLD) or rest
    return Audit(_word(body.get("decision"), 32), _word(body.get("reason"), 64), sentence[:LONGEST_TOLD])


def _word(value: object, longest: int) -> str:
    return value[:longest] if isinstance(value, str) else ""
