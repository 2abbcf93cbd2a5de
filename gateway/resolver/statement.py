"""What a body signs: that these records, in this order, are what it registers or withdraws. Bytes -> ``Statement``, ``Registration``.

One signature covers a batch: the statement names the Merkle root (RFC 6962 section 2.1) over the records' dumps.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, ValidationError

from appliance.identity import envelope
from appliance.identity.keys import PrivateKey, PublicKey
from appliance.journal.proofs import leaf_hash
from appliance.journal.verify import Tree
from appliance.runtime.errors import Corrupt
from gateway.release.manifest import Digest, Noun, Word
from gateway.resolver.records import Record, told

KIND = "application/vnd.headgate.registry.statement+json"  # payload type of the envelope
MOST = 10_000  # records of one statement
LONGEST_ENVELOPE = 4096  # bytes
LARGEST = 64 << 20  # bytes of a registration
Act = Literal["register", "withdraw"]


class Statement(Noun):
    """One act of a body over ``count`` records."""

    act: Act
    body: Word
    count: int = Field(ge=1, le=MOST)
    root: Digest
    time: Annotated[AwareDatetime, Field(strict=False)]

    def dump(self) -> bytes:
        """Return the statement as canonical JSON."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Registration:
    """A signed statement, and its records' dumps in their order; whether they belong together is still to be checked."""

    envelope: bytes
    dumps: tuple[bytes, ...]

    @property
    def digest(self) -> str:
        """The SHA-256 of the envelope, in hex: what the log names it by."""
        return hashlib.sha256(self.envelope).hexdigest()

    def dump(self) -> bytes:
        """Return ``{"statement": envelope, "records": [...]}``."""
        return b'{"records":[' + b",".join(self.dumps) + b'],"statement":' + self.envelope + b"}"


def leaves_of(dumps: Iterable[bytes]) -> bytes:
    """Return the leaf hashes of records' dumps, side by side."""
    return b"".join([leaf_hash(one) for one in dumps])


def root_of(leaves: bytes) -> str:
    """Return the root over leaf hashes side by side, in hex."""
    tree = Tree()
    tree.add(leaves)
    return tree.root(len(leaves) // 32).hex()


def sign(act: Act, body: str, records: Sequence[Record | bytes], key: PrivateKey, now: datetime) -> Registration:
    """Return the registration of ``records`` (or their dumps) under the body's ``key``.

    Raises:
        ValueError: there are none, or more than ``MOST``.
    """
    if not 1 <= len(records) <= MOST:
        raise ValueError(f"a statement covers 1 to {MOST} records, here are {len(records)}")
    dumps = tuple(one if isinstance(one, bytes) else one.dump() for one in records)
    statement = Statement(act=act, body=body, count=len(dumps), root=root_of(leaves_of(dumps)), time=now)
    return Registration(canonical(envelope.seal(statement.dump(), KIND, key)), dumps)


def canonical(data: bytes) -> bytes:
    """Return an envelope as canonical JSON, so that one statement has one digest however it was written.

    Raises:
        Corrupt: this is none.
    """
    try:
        said = json.loads(data[: LONGEST_ENVELOPE + 1])
        whole = {name: said[name] for name in ("payload", "payloadType", "signatures")}
        written = json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Corrupt("this is not a DSSE envelope") from error
    if len(written) > LONGEST_ENVELOPE:
        raise Corrupt(f"a statement has at most {LONGEST_ENVELOPE} bytes")
    return written


def open_statement(data: bytes, keys: Iterable[PublicKey]) -> Statement:
    """Return the statement in an envelope that one of ``keys`` signed.

    Raises:
        Corrupt: this is none.
        Refused: none of ``keys`` signed it (``not-signed``).
    """
    return _parse(envelope.open_sealed(data[: LONGEST_ENVELOPE + 1], KIND, keys)[0])


def claimed(data: bytes) -> Statement:
    """Return what an envelope says, whose signature is still to be checked.

    Raises:
        Corrupt: this is none.
    """
    return _parse(envelope.claimed(data[: LONGEST_ENVELOPE + 1], KIND))


def _parse(payload: bytes) -> Statement:
    try:
        return Statement.model_validate_json(payload)
    except ValidationError as error:
        raise Corrupt(f"this is no statement of a registration: {told(error)}") from error
