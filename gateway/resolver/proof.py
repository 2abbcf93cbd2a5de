"""What a code meant on a day, proved offline with nothing but the registry's verifier key. Bytes -> ``Proven``, ``Looked``. Pure.

The log is append-only and each change names the one before of the same code. So a change of that day's past, and the next one, which came
later and names it, show what held in between. Where there is no next one the registry's signed word counts, which any auditor of the
whole log can hold against it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, Field, ValidationError

from appliance.identity.keys import PublicKey
from appliance.journal import note, verify
from appliance.journal.proofs import is_included, leaf_hash
from appliance.journal.verify import LOG, Checkpoint, Damaged, Key, root_from
from appliance.runtime.errors import Corrupt
from gateway.release.manifest import Digest, Noun
from gateway.resolver import statement as statements
from gateway.resolver.change import Change, parse_change
from gateway.resolver.published import Answer, unseal
from gateway.resolver.records import LARGEST_SERIAL, Canonical, Record, told

ORIGIN = "headgate.registry/"  # begins the name under which a registry signs its log
LARGEST = 1 << 20  # bytes of a proof
Path = Annotated[list[Digest], Field(max_length=64)]


class Placed(Noun):
    """A change, its number (from 1), and the path from it to the log's root."""

    number: int = Field(ge=1, le=LARGEST_SERIAL)
    entry: str = Field(max_length=64 << 10)  # the log's bytes, which are hashed
    path: Path


class Lookup(Noun):
    """The registry's answer on one code: the newest change, if there is one, and the registry's word that it is the newest."""

    change: str | None = Field(max_length=64 << 10)
    number: int | None = Field(ge=1, le=LARGEST_SERIAL)
    proof: Path
    checkpoint: str = Field(max_length=16 << 10)
    claim: dict[str, Any]


class Proof(Noun):
    """What a code meant at one moment: the change that held then, the one that came next or the word that none did."""

    code: Canonical
    on: Annotated[AwareDatetime, Field(strict=False)]
    change: Placed | None  # None: it was not registered
    next: Placed | None
    claim: dict[str, Any] | None  # where there is no next one
    statement: dict[str, Any] | None  # the envelope in which its body signed the change
    statement_path: Path  # from the record to that envelope's root
    checkpoint: str = Field(max_length=16 << 10)

    def dump(self) -> bytes:
        """Return the proof as JSON."""
        return json.dumps(self.model_dump(mode="json"), ensure_ascii=False, indent=1).encode() + b"\n"


@dataclass(frozen=True)
class Looked:
    """A verified answer on one code."""

    change: Change | None
    number: int | None
    made: datetime  # when the registry said so


@dataclass(frozen=True)
class Proven:
    """What is proved: at ``on`` the code meant ``record`` (None: nothing), and did so until ``until`` or, at least, ``seen``."""

    code: str
    on: datetime
    record: Record | None
    since: datetime | None
    number: int | None
    signed: datetime | None  # when its body signed it
    until: datetime | None  # when the next change came
    seen: datetime | None  # where none came: when the registry said so
    registry: str
    size: int  # of the log that shows it


def open_lookup(data: bytes, code: str, keys: Iterable[PublicKey]) -> Looked:
    """Return what a registry, one of whose ``keys`` signed it, says of ``code``.

    Raises:
        Corrupt: it is no answer, of another code, or contradicts itself.
        Refused: none of the keys signed it (``not-signed``).
    """
    try:
        found = Lookup.model_validate_json(data[: LARGEST + 1])
    except ValidationError as error:
        raise Corrupt(f"this is no answer of a registry: {told(error)}") from error
    claim = _claim(found.claim, code, keys)
    if found.number != claim.number or (found.change is None) != (found.number is None):
        raise Corrupt("the registry's answer and its word for it are of different changes")
    if found.change is None or found.number is None:
        return Looked(None, None, claim.made)
    placed = Placed(number=found.number, entry=found.change, path=found.proof)
    change = _change(placed, code, claim.size, bytes.fromhex(claim.root))
    return Looked(change, found.number, claim.made)


def parse_proof(data: bytes) -> Proof:
    """Return the proof in ``data``, nothing of which is verified.

    Raises:
        Corrupt: it is none.
    """
    if len(data) > LARGEST:
        raise Corrupt(f"a proof has at most {LARGEST} bytes")
    try:
        return Proof.model_validate_json(data)
    except ValidationError as error:
        raise Corrupt(f"this is no proof of what a code meant: {told(error)}") from error


def verify_proof(proof: Proof, key: Key, bodies: Iterable[PublicKey] = ()) -> Proven:
    """Return what ``proof`` proves under the registry's verifier ``key``; with keys of ``bodies`` one of them signed the change too.

    Raises:
        Corrupt: it proves nothing; the sentence says why.
        Refused: none of ``bodies`` signed it (``not-signed``).
    """
    head = note.open_note(proof.checkpoint.encode(), key)
    change = _change(proof.change, proof.code, head.size, head.root) if proof.change else None
    if change is not None and change.time > proof.on:
        raise Corrupt(f"the change is of {change.time.isoformat()}, which is later than {proof.on.isoformat()}")
    until, seen = _end(proof, head, key)
    signed = _signed(proof, change, bodies) if change is not None else None
    return Proven(
        proof.code,
        proof.on,
        change.record if change else None,
        change.time if change else None,
        proof.change.number if proof.change else None,
        signed,
        until,
        seen,
        head.origin.removeprefix(ORIGIN),
        head.size,
    )


def parse_key(text: str) -> Key:
    """Return a registry's verifier key, ``name+hash+base64``.

    Raises:
        Corrupt: it is none.
    """
    try:
        key = verify.parse_key(text, kind=LOG)
    except Damaged as error:
        raise Corrupt(f"a registry's key is written name+hash+base64: {error}") from error
    if not key.name.startswith(ORIGIN):
        raise Corrupt(f"'{key.name}' is the name of another log: a registry's begins with {ORIGIN}")
    return key


def _end(proof: Proof, head: Checkpoint, key: Key) -> tuple[datetime | None, datetime | None]:
    """Return when the next change came, or up to when there was none."""
    before = proof.change.number if proof.change else None
    if proof.next is not None:
        following = _change(proof.next, proof.code, head.size, head.root)
        if following.previous != before:
            raise Corrupt("the next change is not the next one: there is another between")
        if following.time <= proof.on:
            raise Corrupt(f"the next change came at {following.time.isoformat()}: on that day it held already")
        return following.time, None
    if proof.claim is None:
        raise Corrupt("nothing shows that no change came between")
    claim = _claim(proof.claim, proof.code, [PublicKey(key.raw)])
    if (claim.size, bytes.fromhex(claim.root)) != (head.size, head.root) or claim.number != before:
        raise Corrupt("the registry's word is of another change or another log")
    if claim.made < proof.on:
        raise Corrupt(f"the registry's word is of {claim.made.isoformat()}, which says nothing of later days")
    return None, claim.made


def _signed(proof: Proof, change: Change, bodies: Iterable[PublicKey]) -> datetime:
    """Return when the body signed the change, once the record is in what the envelope says."""
    envelope = statements.canonical(json.dumps(proof.statement or {}).encode())
    if hashlib.sha256(envelope).hexdigest() != change.statement:
        raise Corrupt("the statement is not the one that the change names")
    keys = list(bodies)
    told_by = statements.open_statement(envelope, keys) if keys else statements.claimed(envelope)
    leaf = leaf_hash(change.record.dump())
    try:
        root = root_from(leaf, change.index, told_by.count, _path(proof.statement_path))
    except Damaged as error:
        raise Corrupt(f"the record is not shown to be in its body's statement: {error}") from error
    if root.hex() != told_by.root:
        raise Corrupt("the record is not in its body's statement")
    return told_by.time


def _change(placed: Placed, code: str, size: int, root: bytes) -> Change:
    entry = placed.entry.encode()
    change = parse_change(entry)
    if change.record.code != code:
        raise Corrupt(f"the change is of {change.record.code}, not of {code}")
    if not is_included(leaf_hash(entry), placed.number - 1, size, root, _path(placed.path)):
        raise Corrupt(f"the change is not number {placed.number} of the registry's log")
    return change


def _claim(envelope: dict[str, Any], code: str, keys: Iterable[PublicKey]) -> Answer:
    claim = unseal(Answer, json.dumps(envelope).encode(), keys)[0]
    if claim.code != code:
        raise Corrupt(f"the registry's word is of {claim.code}, not of {code}")
    return claim


def _path(hashes: Sequence[str]) -> list[bytes]:
    return [bytes.fromhex(one) for one in hashes]
