"""What the registry's log holds, an entry a change: a record, and where its body signed it. Bytes <-> ``Change``."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AwareDatetime, Field, ValidationError

from appliance.runtime.errors import Corrupt
from gateway.release.manifest import Digest, Noun
from gateway.resolver.records import LARGEST_SERIAL, Record, told
from gateway.resolver.statement import MOST

LONGEST = (64 << 10) - 1  # bytes: an entry bundle says lengths in 16 bits
_RECORD = re.compile(rb'^\{"index":\d+,(?:"previous":\d+,)?"record":(\{.*\}),"statement":"', re.DOTALL)
_FIRST = re.compile(rb'^\{"index":\d+,"record":')


class Change(Noun):
    """A record as it is from ``time`` on, number ``index`` (from 0) of what the envelope ``statement`` signs."""

    record: Record
    statement: Digest  # SHA-256 of the envelope
    index: int = Field(ge=0, lt=MOST)
    time: Annotated[AwareDatetime, Field(strict=False)]  # when the registry took it
    previous: int | None = Field(default=None, ge=1, le=LARGEST_SERIAL)  # number (from 1) of this code's change before

    def dump(self) -> bytes:
        """Return the change as canonical JSON."""
        return entry(self.record.dump(), self.statement, self.index, self.time.isoformat(), self.previous)


def entry(record: bytes, statement: str, index: int, time: str, previous: int | None) -> bytes:
    """Return the log's entry for a record's dump; the same bytes as ``Change.dump``."""
    before = b"" if previous is None else b'"previous":%d,' % previous
    return b'{"index":%d,%s"record":%s,"statement":"%s","time":"%s"}' % (
        index,
        before,
        record,
        statement.encode(),
        time.encode(),
    )


def record_in(data: bytes) -> bytes:
    """Return the record's dump in an entry of the log, byte for byte.

    Raises:
        Corrupt: this is no entry.
    """
    found = _RECORD.match(data)
    if not found:
        raise Corrupt("this is no change of the registry's log")
    return found[1]


def is_first(data: bytes) -> bool:
    """Return whether an entry of the log is the first change of its code."""
    return _FIRST.match(data) is not None


def parse_change(data: bytes) -> Change:
    """Return the change in an entry of the log.

    Raises:
        Corrupt: it is none, or not in its canonical form.
    """
    if len(data) > LONGEST:
        raise Corrupt(f"a change has at most {LONGEST} bytes")
    try:
        change = Change.model_validate_json(data)
    except ValidationError as error:
        raise Corrupt(f"this is no change of the registry's log: {told(error)}") from error
    if change.dump() != data:
        raise Corrupt("a change of the registry's log is not in its canonical form")
    return change
