"""A record: something that must never be lost (usage, audit, event, registration), as it is kept on disk and sent.

The JSON text is strict where databases and other readers would stumble later: no NaN, no lone surrogate, no NUL, bounded depth.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast, get_args

from appliance.runtime.errors import Corrupt

LARGEST = 16 << 10  # bytes of one record
LARGEST_BATCH = 512 << 10  # bytes of a message of records; a box sends at most half of it
MOST_IN_BATCH = 512  # records of one message
DEEPEST = 8  # levels of nesting inside a body
LONGEST_SOURCE = 64  # characters

Kind = Literal["usage", "audit", "event", "registration"]
KINDS: tuple[Kind, ...] = get_args(Kind)
KEYS = frozenset({"id", "kind", "time", "source", "body"})

_SOURCE = re.compile(r"[a-z][a-z0-9-]*(/[a-z0-9][a-z0-9-]*)?")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")  # RFC 3339 section 5.6
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")  # RFC 9562 section 4


@dataclass(frozen=True)
class Record:
    """One record; ``time`` is UTC, ``source`` is the daemon and its zone, such as ``delivery/bigscreen``."""

    id: str
    kind: Kind
    time: datetime
    source: str
    body: Mapping[str, Any]

    @classmethod
    def new(cls, kind: Kind, source: str, body: Mapping[str, Any], now: datetime | None = None) -> Record:
        """Return a record with a fresh id.

        Raises:
            Corrupt: it breaks a rule of records.
        """
        when = (now or datetime.now(UTC)).astimezone(UTC)
        return cls.of({"id": str(uuid.uuid4()), "kind": kind, "time": written(when), "source": source, "body": body})

    @classmethod
    def parse(cls, data: bytes | str) -> Record:
        """Return the record that a JSON text holds.

        Raises:
            Corrupt: any other text.
        """
        if len(data) > LARGEST:
            raise Corrupt(f"a record is longer than {LARGEST} bytes")
        return cls.of(plain_json(data))

    @classmethod
    def of(cls, value: object) -> Record:
        """Return the record that a decoded JSON value holds.

        Raises:
            Corrupt: any other value.
        """
        if not isinstance(value, dict):
            raise Corrupt("a record is a JSON object")
        if value.keys() != KEYS:
            raise Corrupt(f"a record has the keys {', '.join(sorted(KEYS))}, this one {_names(value)}")
        name, kind, time, source, body = (value[key] for key in ("id", "kind", "time", "source", "body"))
        if not isinstance(name, str) or not _ID.fullmatch(name):
            raise Corrupt("a record's id is a UUID in small letters")
        if kind not in KINDS:
            raise Corrupt(f"a record's kind is one of {', '.join(KINDS)}")
        if not isinstance(source, str) or len(source) > LONGEST_SOURCE or not _SOURCE.fullmatch(source):
            raise Corrupt("a record's source is a daemon's name and its zone, such as 'delivery/bigscreen'")
        if not isinstance(body, Mapping):
            raise Corrupt("a record's body is a JSON object")
        _bounded(body, DEEPEST)
        record = cls(name, cast("Kind", kind), read_time(time), source, body)
        if len(record.encode()) > LARGEST:
            raise Corrupt(f"a record is longer than {LARGEST} bytes")
        return record

    def told(self) -> dict[str, Any]:
        """Return the record as a JSON value."""
        return {
            "id": self.id,
            "kind": self.kind,
            "time": written(self.time),
            "source": self.source,
            "body": dict(self.body),
        }

    def encode(self) -> bytes:
        """Return the record as JSON text.

        Raises:
            Corrupt: the body holds what JSON and UTF-8 cannot say.
        """
        return to_json(self.told())


@dataclass(frozen=True)
class Numbered:
    """A record with the sequence number that its spool gave it."""

    seq: int
    record: Record


@dataclass(frozen=True)
class Damaged:
    """One item of a message that is no record; ``id`` is what it calls itself, so that its sender can be answered."""

    id: str | None
    fault: str


def batch(items: Iterable[Numbered]) -> bytes:
    """Return the message that carries ``items`` to the controller."""
    return to_json([{**item.record.told(), "seq": item.seq} for item in items])


def parse_batch(data: bytes) -> list[Numbered | Damaged]:
    """Return what a message of records carries; one damaged item does not hold back its neighbours.

    Raises:
        Corrupt: the message is not a bounded JSON array.
    """
    if len(data) > LARGEST_BATCH:
        raise Corrupt(f"a message of records is longer than {LARGEST_BATCH} bytes")
    items = plain_json(data)
    if not isinstance(items, list) or len(items) > MOST_IN_BATCH:
        raise Corrupt(f"a message of records is a JSON array of at most {MOST_IN_BATCH}")
    return [_item(item) for item in items]


def acknowledgement(ids: Iterable[str]) -> bytes:
    """Return the message that tells a box which records are stored."""
    return to_json({"ids": sorted(ids)})


def parse_acknowledgement(data: bytes) -> frozenset[str]:
    """Return the ids that a controller says it has stored.

    Raises:
        Corrupt: any other message.
    """
    if len(data) > LARGEST_BATCH:
        raise Corrupt(f"an acknowledgement is longer than {LARGEST_BATCH} bytes")
    value = plain_json(data)
    ids = value.get("ids") if isinstance(value, dict) else None
    if not isinstance(ids, list) or not all(isinstance(name, str) and _ID.fullmatch(name) for name in ids):
        raise Corrupt("an acknowledgement is {'ids': [UUID, ...]}")
    return frozenset(ids)


def plain_json(data: bytes | str) -> Any:
    """Return the value of a JSON text (RFC 8259, so without NaN and Infinity).

    Raises:
        Corrupt: it is not JSON in UTF-8.
    """
    try:
        text = data.decode() if isinstance(data, bytes) else data
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Corrupt("this is not JSON in UTF-8") from error


def to_json(value: object) -> bytes:
    """Return ``value`` as compact JSON in UTF-8.

    Raises:
        Corrupt: JSON or UTF-8 cannot say it.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise Corrupt(f"JSON cannot say this: {error}") from error


def written(time: datetime) -> str:
    """Return ``time`` (UTC) by RFC 3339."""
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


def read_time(text: object) -> datetime:
    """Return the UTC time of a text by RFC 3339.

    Raises:
        Corrupt: it is none.
    """
    if not isinstance(text, str) or not _TIME.fullmatch(text) or not text.isascii():
        raise Corrupt("a time is written as in 2026-11-22T08:30:00Z (RFC 3339)")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Corrupt(f"there is no such time: {error}") from error


def _item(value: object) -> Numbered | Damaged:
    if not isinstance(value, dict):
        return Damaged(None, "a record is a JSON object")
    name = value.get("id")
    known = name if isinstance(name, str) and _ID.fullmatch(name) else None
    seq = value.pop("seq", None)
    if not isinstance(seq, int) or isinstance(seq, bool) or not 0 < seq < 1 << 63:
        return Damaged(known, "a record sent has a sequence number from 1")
    try:
        return Numbered(seq, Record.of(value))
    except Corrupt as error:
        return Damaged(known, str(error))


def _bounded(value: object, levels: int) -> None:
    if isinstance(value, str):
        if "\0" in value or not _encodable(value):
            raise Corrupt("a record holds a character that databases do not take (NUL, lone surrogate)")
    elif isinstance(value, Mapping | list | tuple):
        if not levels:
            raise Corrupt(f"a record's body is nested deeper than {DEEPEST} levels")
        for item in [*value.keys(), *value.values()] if isinstance(value, Mapping) else value:
            _bounded(item, levels - 1)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _names(value: Mapping[Any, Any]) -> str:
    return ", ".join(sorted(str(key)[:20] for key in list(value)[:8])) or "none"


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
