"""Bytes <-> ``Release``: what a body says about one version of its content."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from appliance.runtime.errors import Corrupt
from gateway.release import paths
from gateway.resolver import codes

LONGEST = 16 << 20  # bytes of a manifest: some 100 000 files and digests
MOST_FILES = 100_000
LARGEST_FILE = 1 << 40  # bytes
# Bytes; a file that is larger than its chunks has a digest for each of them, so that it crosses while it comes (``chunks.py``).
SMALLEST_CHUNK, LARGEST_CHUNK = 64 << 10, 4 << 20
PIECE = LARGEST_CHUNK  # bytes that are judged or copied at once at most: whole chunks, whatever their size
NEWEST = (1 << 53) - 1  # the largest integer that every JSON reader keeps exact (RFC 8259 section 6)

Screen = Literal["big", "small"]
Act = Literal["share", "associate", "reconstruct"]
APPLICATION = "application"  # the label of a release whose pages run scripts
Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Territory = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{1,5}$")]  # leading digits of a GB/T 2260 code
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
DIGEST = 32  # bytes of a SHA-256
MediaType = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,60}(; charset=utf-8)?$", max_length=100)
]

_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)


def _moment(value: object) -> object:
    if not isinstance(value, str | datetime):
        raise ValueError("a time is a text such as 2026-10-01T00:00:00+08:00")  # noqa: TRY004 (pydantic turns this one into a fault)
    return value


Moment = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_moment)]  # RFC 3339, with its zone


def _packed(value: object) -> object:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) and _HEX.fullmatch(one) for one in value):
        raise ValueError("chunks are digests: 64 digits from 0 to f each")
    return bytes.fromhex("".join(value))


def _spelled(packed: bytes) -> list[str]:
    return [packed[at : at + DIGEST].hex() for at in range(0, len(packed), DIGEST)]


# A list of digests in JSON; in memory one string of bytes, since a film has tens of thousands of them.
Digests = Annotated[bytes, BeforeValidator(_packed), PlainSerializer(_spelled)]


def canonical(text: str) -> str:
    """Return ``text`` if it is the canonical spelling of an ISLI code.

    Raises:
        ValueError: it is not.
    """
    try:
        code = codes.parse(text)
    except codes.WrongCode as error:
        raise ValueError(str(error)) from error
    if code.scheme != "isli" or code.canonical != text:
        raise ValueError(f"a release goes by the canonical spelling of an ISLI code, here {code.canonical}")
    return text


class Noun(BaseModel):
    """Base of what is signed: frozen, exact, and no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Content(Noun):
    """What bytes are: of this digest, size and type."""

    sha256: Digest
    size: int = Field(ge=0, le=LARGEST_FILE)  # bytes
    type: MediaType


class File(Content):
    """One file of a release."""

    chunk: int = Field(LARGEST_CHUNK, ge=SMALLEST_CHUNK, le=LARGEST_CHUNK)  # bytes of each chunk but the last
    chunks: Digests = b""  # SHA-256 of each, where there is more than one

    @model_validator(mode="after")
    def _chunked(self) -> File:
        if self.chunk & (self.chunk - 1):
            raise ValueError("the bytes of a chunk are a power of two")
        if len(self.chunks) != DIGEST * (-(-self.size // self.chunk) if self.size > self.chunk else 0):
            raise ValueError(
                f"a file of {self.size} bytes has a digest for each {self.chunk} bytes, if it is larger than that"
            )
        return self

    def digest_at(self, first: int) -> bytes:
        """Return the SHA-256 of the chunk that begins at the byte ``first``, or none where only the whole has one."""
        at = first // self.chunk * DIGEST
        return self.chunks[at : at + DIGEST]

    def signs(self, first: int, data: bytes) -> bool:
        """Return whether ``data``, from the chunk that begins at ``first`` on, is what the chunks' digests sign."""
        parts = (memoryview(data)[at : at + self.chunk] for at in range(0, len(data), self.chunk))
        digests = b"".join(hashlib.sha256(part).digest() for part in parts)
        at = first // self.chunk * DIGEST
        return self.chunks[at : at + len(digests)] == digests


class Rights(Noun):
    """Where, when and on what the content may be shown; what is empty is not limited."""

    zones: tuple[Word, ...] = Field(min_length=1, max_length=16, strict=False)
    screens: tuple[Screen, ...] = Field((), max_length=2, strict=False)
    territories: tuple[Territory, ...] = Field(
        (), max_length=100, strict=False
    )  # leading digits of GB/T 2260 codes: 45 is all of Guangxi
    since: Moment | None = None  # from then on
    until: Moment | None = None  # not any more from then on
    bodies: tuple[Word, ...] = Field((), max_length=100, strict=False)  # whose boxes may take it in

    @model_validator(mode="after")
    def _in_order(self) -> Rights:
        if self.since and self.until and self.since >= self.until:
            raise ValueError("'until' is not after 'since'")
        return self


class Source(Noun):
    """Somebody's release that this one makes use of, and the grant of its body."""

    release: str = Field(max_length=codes.LONGEST)  # canonical
    body: Word
    act: Act
    grant: str = Field("", max_length=8192)  # a DSSE envelope, as JSON (grants.py); of one's own material there is none

    @field_validator("release")
    @classmethod
    def _canonical(cls, text: str) -> str:
        return canonical(text)


class Live(Noun):
    """A channel: its segments arrive as they are made, each signed by the packager."""

    key: Annotated[str, StringConstraints(pattern=r"^ed25519:[A-Za-z0-9+/]{43}=$")]  # the packager's
    segment: float = Field(gt=0, le=60)  # seconds
    window: int = Field(ge=1, le=10_000)  # segments that a playlist names at once
    largest: int = Field(64 << 20, ge=1, le=1 << 30)  # bytes of one segment


class Release(Noun):
    """One version of one body's content: what it is, where it may go, and the digest of every file."""

    identifier: str = Field(max_length=codes.LONGEST)  # canonical, such as isli:999999-100000000000001-4
    version: int = Field(ge=1, le=NEWEST)
    body: Word
    title: str = Field(min_length=1, max_length=300)
    description: str = Field("", max_length=10_000)
    labels: tuple[Word, ...] = Field((), max_length=32, strict=False)
    rights: Rights
    entry: str  # the path that a player opens
    files: dict[str, File] = Field(max_length=MOST_FILES)
    sources: tuple[Source, ...] = Field((), max_length=256, strict=False)
    live: Live | None = None

    @property
    def code(self) -> str:
        """The part after ``isli:``, by which the release goes in URLs and at origins."""
        return self.identifier.partition(":")[2]

    @field_validator("identifier")
    @classmethod
    def _canonical(cls, text: str) -> str:
        return canonical(text)

    @model_validator(mode="after")
    def _names(self) -> Release:
        for path in self.files:
            if fault := paths.fault_in(path):
                raise ValueError(f"{path[:80]!r}: {fault}")
        if self.live is None and not self.files:
            raise ValueError("a release has files")
        if fault := paths.fault_in(self.entry):
            raise ValueError(f"the entry {self.entry[:80]!r}: {fault}")
        if self.live is None and self.entry not in self.files:
            raise ValueError(f"the entry {self.entry[:80]!r} is none of the files")
        return self


def parse(data: bytes) -> Release:
    """Return the release that the manifest ``data`` tells.

    Raises:
        Corrupt: it is no manifest; the sentence names the first fault.
    """
    if len(data) > LONGEST:
        raise Corrupt(f"the manifest is longer than {LONGEST} bytes")
    try:
        told = json.loads(data, object_pairs_hook=once, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise Corrupt(f"the manifest is not JSON: {str(error)[:200]}") from error
    try:
        return Release.model_validate(told)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part)[:80] for part in first["loc"])
        raise Corrupt(f"the manifest is wrong: {where + ': ' if where else ''}{first['msg'][:300]}") from error


def render(release: Release) -> bytes:
    """Return the canonical manifest: UTF-8 JSON with sorted keys and no spaces, so that equal releases are equal bytes."""
    return json.dumps(
        release.model_dump(mode="json", exclude_defaults=True),
        sort_keys=True,
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def digest(release: Release) -> str:
    """Return the SHA-256 of the canonical manifest, in hex."""
    return hashlib.sha256(render(release)).hexdigest()


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse keys written twice: two readers could take different ones (RFC 8259 section 4)."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key is written twice")
    return result


def no_constant(name: str) -> None:
    """Refuse NaN and the infinities, which are not JSON."""
    raise ValueError(f"{name} is not JSON")
