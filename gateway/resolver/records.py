"""What is known of an identifier: any bytes -> ``Record`` or ``Corrupt``."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from appliance.runtime.errors import Corrupt
from gateway.release.manifest import Moment, Screen, Territory, Word
from gateway.release.paths import fault_in
from gateway.resolver.codes import WrongCode, parse
from gateway.resolver.vocabulary import KINDS

LONGEST_RECORD = 48 << 10  # bytes of a dump: with what the log says of it, it fits an entry of 64 KiB
TTL = 86_400  # seconds for which an answer may be kept, where a record says nothing else
LONGEST_TTL = 30 * 86_400  # seconds
_CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode
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


def _kind(name: str) -> str:
    if name not in KINDS:
        raise ValueError("is no type of link of GB/T 38378 as records write it, such as is-equivalent-to")
    return name


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
    """Where the thing is: a file of a release (playable on the box), or an address; and for which screens that copy is made."""

    release: Annotated[Canonical, AfterValidator(_release)] | None = None
    entry: Annotated[str, AfterValidator(_entry)] | None = None
    url: Annotated[Line, Field(max_length=2048, pattern=r"^https?://[^\s/?#]+(?:[/?#]\S*)?$")] | None = None
    screens: tuple[Screen, ...] = Field((), max_length=2, strict=False)  # empty: all

    @model_validator(mode="after")
    def _one(self) -> Location:
        if (self.url is None) == (self.release is None) or (self.release is None) != (self.entry is None):
            raise ValueError("a location is 'release' and 'entry', or 'url'")
        return self


class Link(Noun):
    """A typed link (关联) from this identifier to another one; types after GB/T 38378-2019, such as ``multimedia``."""

    type: Annotated[str, AfterValidator(_kind)]
    target: Canonical


class Rights(Noun):
    """Where, when and on what it may be told of, as a release's rights; what is empty is not limited."""

    zones: tuple[Word, ...] = Field((), max_length=16, strict=False)
    screens: tuple[Screen, ...] = Field((), max_length=2, strict=False)
    territories: tuple[Territory, ...] = Field((), max_length=100, strict=False)
    since: Moment | None = None  # from then on
    until: Moment | None = None  # not any more from then on

    @model_validator(mode="after")
    def _in_order(self) -> Rights:
        if self.since and self.until and self.since >= self.until:
            raise ValueError("'until' is not after 'since'")
        return self


class Record(Noun):
    """One identifier, as the registry knows it."""

    code: Canonical
    status: Literal["reserved", "registered", "withdrawn", "superseded"] = "registered"
    superseded_by: Canonical | None = None  # the code that took its place
    title: Line = Field(min_length=1, max_length=400)
    body: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")  # the admitted organisation that answers for it
    # Factories: a default that is a list would be copied deeply each time, which takes as long as reading a code.
    locations: list[Location] = Field(default_factory=list, max_length=16)
    links: list[Link] = Field(default_factory=list, max_length=256)
    metadata: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")], Annotated[Line, Field(max_length=400)]] = (
        Field(default_factory=dict, max_length=32)
    )
    rights: Rights | None = None  # None: everywhere
    reason: Line = Field(default="", max_length=400)  # why it was withdrawn
    ttl: int = Field(default=TTL, ge=1, le=LONGEST_TTL)  # seconds for which an answer may be kept

    @model_validator(mode="after")
    def _successor(self) -> Record:
        if (self.superseded_by is not None) != (self.status == "superseded"):
            raise ValueError("'superseded_by' belongs to the status 'superseded', and that one needs it")
        if self.superseded_by == self.code:
            raise ValueError("nothing takes its own place")
        return self

    def dump(self) -> bytes:
        """Return the record as canonical JSON: sorted keys, no blanks, and of what has its default only the status.

        These bytes are what a body signs, what the log holds, and what tables keep.
        """
        said = self.model_dump(mode="json", exclude_defaults=True)
        said["status"] = self.status
        return _CANONICAL(said).encode()


def parse_record(payload: bytes) -> Record:
    """Return the record that ``payload`` holds.

    Raises:
        Corrupt: it is not one.
    """
    if len(payload) > LONGEST_RECORD:
        raise Corrupt(f"a record has at most {LONGEST_RECORD} bytes")
    try:
        return Record.model_validate_json(payload)
    except ValidationError as error:
        raise Corrupt(f"this is no record of an identifier: {told(error)}") from error


def faults(error: ValidationError) -> list[tuple[str, str]]:
    """Return what is wrong as (path such as ``locations.0.entry``, sentence)."""
    found = []
    for details in error.errors(include_url=False, include_input=False, include_context=False):
        message = details["msg"].removeprefix("Value error, ")
        found.append((".".join(str(part) for part in details["loc"]), message))
    return found


def age(made: datetime, now: datetime) -> float:
    """Return the seconds since ``made``, 0 where the clocks disagree."""
    return max(0.0, (now - made).total_seconds())


def told(error: ValidationError) -> str:
    """Return the first faults as one sentence."""
    return "; ".join(f"{path}: {message}" if path else message for path, message in faults(error)[:5])
