"""What is known of an identifier, and the whole table as the registry signs it: any bytes -> ``Snapshot`` or ``Corrupt``."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from appliance.runtime.errors import Corrupt
from gateway.release.paths import fault_in
from gateway.resolver.codes import WrongCode, parse

KIND = "application/vnd.headgate.identifiers+json"  # payload type of the envelope
LARGEST = 48 << 20  # bytes of a snapshot; in base64 it fits an envelope of 64 MiB
MOST_RECORDS = 200_000
LARGEST_SERIAL = 2**53 - 1  # what every JSON reader keeps exactly


def _canonical(text: str) -> str:
    try:
        code = parse(text)
    except WrongCode as error:
        raise ValueError(str(error)) from error
    if code.canonical != text:
        raise ValueError(f"is written '{code.canonical}'")
    return text


def _release(text: str) -> str:
    if not text.startswith("isli:"):
        raise ValueError("a release goes by its ISLI code")
    return text


def _entry(text: str) -> str:
    if fault := fault_in(text):
        raise ValueError(f"is no path of a file inside a release: {fault}")
    return text


def _line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds control characters")
    return text


Canonical = Annotated[str, AfterValidator(_canonical)]
Line = Annotated[str, AfterValidator(_line)]


class Noun(BaseModel):
    """Base of what the registry signs: frozen, strict, unknown keys are faults."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Location(Noun):
    """Where the thing is: a file of a release (playable on the box), or an address."""

    release: Annotated[Canonical, AfterValidator(_release)] | None = None
    entry: Annotated[str, AfterValidator(_entry)] | None = None
    url: Annotated[Line, Field(max_length=2048, pattern=r"^https?://[^\s/?#]+(?:[/?#]\S*)?$")] | None = None

    @model_validator(mode="after")
    def _one(self) -> Location:
        if (self.url is None) == (self.release is None) or (self.release is None) != (self.entry is None):
            raise ValueError("a location is 'release' and 'entry', or 'url'")
        return self


class Link(Noun):
    """A typed link (关联) from this identifier to another one; types after GB/T 38378-2019, such as ``multimedia``."""

    type: str = Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")
    target: Canonical


class Record(Noun):
    """One identifier, as the registry knows it."""

    code: Canonical
    status: Literal["registered", "withdrawn", "reserved"] = "registered"
    title: Line = Field(min_length=1, max_length=400)
    body: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")  # the admitted organisation that answers for it
    locations: list[Location] = Field(default=[], max_length=16)
    links: list[Link] = Field(default=[], max_length=64)
    metadata: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")], Annotated[Line, Field(max_length=400)]] = (
        Field(default={}, max_length=32)
    )
    reason: Line = Field(default="", max_length=400)  # why it was withdrawn

    def dump(self) -> bytes:
        """Return the record as JSON, the same bytes for the same record."""
        told = self.model_dump(mode="json", exclude_none=True)
        return json.dumps(told, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


class Snapshot(Noun):
    """The whole table at one time; ``serial`` only grows."""

    registry: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")
    serial: int = Field(ge=1, le=LARGEST_SERIAL)
    made: AwareDatetime
    records: list[Record] = Field(max_length=MOST_RECORDS)

    @model_validator(mode="after")
    def _each_once(self) -> Snapshot:
        seen: set[str] = set()
        for record in self.records:
            if record.code in seen:
                raise ValueError(f"{record.code} is there twice")
            seen.add(record.code)
        return self

    def dump(self) -> bytes:
        """Return the snapshot as JSON, its records in the order of their codes."""
        records = b",".join(record.dump() for record in sorted(self.records, key=lambda r: r.code))
        head = json.dumps({"registry": self.registry, "serial": self.serial, "made": self.made.isoformat()}).encode()
        return head[:-1] + b', "records": [' + records + b"]}"


def parse_snapshot(payload: bytes) -> Snapshot:
    """Return the table that ``payload`` holds.

    Raises:
        Corrupt: it is not one; the message names the first faults.
    """
    if len(payload) > LARGEST:
        raise Corrupt(f"the table of identifiers is longer than {LARGEST} bytes")
    try:
        return Snapshot.model_validate_json(payload)
    except ValidationError as error:
        raise Corrupt(f"this is no table of identifiers: {_told(error)}") from error


def parse_record(payload: bytes) -> Record:
    """Return the record that ``payload`` holds.

    Raises:
        Corrupt: it is not one.
    """
    try:
        return Record.model_validate_json(payload)
    except ValidationError as error:
        raise Corrupt(f"this is no record of an identifier: {_told(error)}") from error


def faults(error: ValidationError) -> list[tuple[str, str]]:
    """Return what is wrong as (path such as ``locations.0.entry``, sentence)."""
    found = []
    for details in error.errors(include_url=False, include_input=False, include_context=False):
        message = details["msg"].removeprefix("Value error, ")
        found.append((".".join(str(part) for part in details["loc"]), message))
    return found


def digest(payload: bytes) -> str:
    """Return the SHA-256 of a snapshot's bytes, in hex."""
    return hashlib.sha256(payload).hexdigest()


def age(made: datetime, now: datetime) -> float:
    """Return the seconds since ``made``, 0 where the clocks disagree."""
    return max(0.0, (now - made).total_seconds())


def _told(error: ValidationError) -> str:
    return "; ".join(f"{path}: {message}" if path else message for path, message in faults(error)[:5])
