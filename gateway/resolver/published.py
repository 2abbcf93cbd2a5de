"""What a registry publishes below ``/registry/``: where it lies, how long it may be, and the signed heads of it. Bytes <-> values.

The log's files are those of c2sp.org/tlog-tiles. ``head.json`` tells how far the log goes, ``snapshot.json`` a table to begin with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Annotated, Any, TypeVar

from pydantic import AwareDatetime, Field, ValidationError, model_validator

from appliance.identity import envelope
from appliance.identity.keys import PrivateKey, PublicKey
from appliance.journal.verify import ENTRIES, WIDTH, number_path
from appliance.runtime.errors import Corrupt
from gateway.release.manifest import Digest, Noun
from gateway.resolver.records import LARGEST_SERIAL, told

HEAD, SNAPSHOT, LOOKUP = "head.json", "snapshot.json", "lookup/"
HEAD_KIND = "application/vnd.headgate.registry.head+json"
SNAPSHOT_KIND = "application/vnd.headgate.registry.snapshot+json"
ANSWER_KIND = "application/vnd.headgate.registry.answer+json"
LONGEST_HEAD = 4 << 20  # bytes of the envelope
LONGEST_SNAPSHOT = 8 << 20
LARGEST_CHUNK = 16 << 20  # bytes of a compressed chunk
LONGEST_BUNDLE = WIDTH * (64 << 10)  # bytes: each entry after its length in 16 bits
LONGEST_TILE = WIDTH * 32
LONGEST_ANSWER = 256 << 10
MOST_CHUNKS = 20_000
MOST_RECORDS = 200_000  # of a chunk
_UNSAFE = re.compile(r"[\\?#%~ ]|(?<=/)\.")
_ESCAPED = re.compile(r"~([0-7][0-9A-F])")
_PATH = re.compile(
    rf"{re.escape(HEAD)}|{re.escape(SNAPSHOT)}|snapshot/[0-9a-f]{{64}}\.jsonl\.gz"
    r"|tile/(?:entries|[0-7])/(?:x\d{3}/){0,6}\d{3}(?:\.p/\d{1,3})?",
    re.ASCII,
)
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")]
Count = Annotated[int, Field(ge=0, le=LARGEST_SERIAL)]
Moment = Annotated[AwareDatetime, Field(strict=False)]
Code = Annotated[str, Field(min_length=1, max_length=511)]


class Head(Noun):
    """How far the log goes, its root, and when the registry said so; the services and blocks of codes, as the registry has them."""

    registry: Name
    size: Count
    root: Digest
    made: Moment
    services: dict[str, Any] = Field(default={}, max_length=100_000)
    blocks: list[Any] = Field(default=[], max_length=100_000)


class Chunk(Noun):
    """A part of a snapshot: so many records, the first and the last code among them."""

    name: Annotated[str, Field(pattern=r"^snapshot/[0-9a-f]{64}\.jsonl\.gz$")]  # below /registry/
    sha256: Digest
    bytes: Annotated[int, Field(ge=1, le=LARGEST_CHUNK)]
    records: Annotated[int, Field(ge=1, le=MOST_RECORDS)]
    first: Code
    last: Code

    @model_validator(mode="after")
    def _named(self) -> Chunk:
        if self.name != chunk_name(self.sha256) or self.first > self.last:
            raise ValueError("a chunk is named by its digest, and its first code is not behind its last")
        return self


class Snapshot(Noun):
    """The table as it was when the log had ``size`` changes, in chunks, in the order of their codes' bytes."""

    registry: Name
    size: Count
    root: Digest
    made: Moment
    count: Count
    chunks: list[Chunk] = Field(default=[], max_length=MOST_CHUNKS)

    @model_validator(mode="after")
    def _in_order(self) -> Snapshot:
        for one, other in zip(self.chunks, self.chunks[1:], strict=False):
            if one.last.encode() >= other.first.encode():
                raise ValueError("the chunks are not in the order of their codes")
        if sum(chunk.records for chunk in self.chunks) != self.count:
            raise ValueError("the chunks hold another number of records")
        return self


class Answer(Noun):
    """The registry's word on one code: which number (from 1) its newest change has in a log of this size, None where it has none."""

    registry: Name
    code: Code
    number: Annotated[int, Field(ge=1, le=LARGEST_SERIAL)] | None
    size: Count
    root: Digest
    made: Moment


Signed = TypeVar("Signed", Head, Snapshot, Answer)
_KINDS: dict[type[Noun], str] = {Head: HEAD_KIND, Snapshot: SNAPSHOT_KIND, Answer: ANSWER_KIND}


def seal(value: Head | Snapshot | Answer, key: PrivateKey) -> bytes:
    """Return the envelope of ``value``, signed by the registry's key."""
    text = json.dumps(value.model_dump(mode="json"), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return envelope.seal(text.encode(), _KINDS[type(value)], key)


def unseal(model: type[Signed], data: bytes, keys: Iterable[PublicKey]) -> tuple[Signed, PublicKey]:
    """Return what the envelope holds, and which of ``keys`` signed it.

    Raises:
        Corrupt: this is no such envelope.
        Refused: none of ``keys`` signed it (``not-signed``).
    """
    payload, signer = envelope.open_sealed(data, _KINDS[model], keys)
    try:
        return model.model_validate_json(payload), signer
    except ValidationError as error:
        raise Corrupt(f"the registry's {model.__name__.lower()} is none: {told(error)}") from error


def lookup_path(code: str) -> str:
    """Return where a box asks for the registry's answer on a canonical code: what no path may hold stands as ``~`` and two hex digits."""
    return LOOKUP + _UNSAFE.sub(lambda found: f"~{ord(found[0]):02X}", code)


def looked_up(path: str) -> str:
    """Return the code that what follows ``lookup/`` in a path asks for."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), path)


def chunk_name(sha256: str) -> str:
    """Return where a chunk lies."""
    return f"snapshot/{sha256}.jsonl.gz"


def tile(level: int | str, number: int, size: int) -> str:
    """Return where a tile of hashes (or of ``entries``) lies while the log has ``size`` entries."""
    below = size if level == ENTRIES else size >> 8 * int(level)
    return f"tile/{level}/{number_path(number, min(WIDTH, below - number * WIDTH))}"


def is_path(path: str) -> bool:
    """Return whether a box may ask for ``path`` below ``/registry/``: nothing else is fetched for the replica."""
    return len(path) <= 200 and bool(_PATH.fullmatch(path))


def longest(path: str) -> int:
    """Return how many bytes the file at ``path`` has at most."""
    if path == HEAD:
        return LONGEST_HEAD
    if path == SNAPSHOT:
        return LONGEST_SNAPSHOT
    if path.startswith("snapshot/"):
        return LARGEST_CHUNK
    return LONGEST_BUNDLE if path.startswith(f"tile/{ENTRIES}/") else LONGEST_TILE
