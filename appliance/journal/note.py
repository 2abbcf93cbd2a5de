"""Checkpoints made and countersigned (c2sp.org/tlog-checkpoint, signed-note, tlog-cosignature), and the request to a witness.

Reading and checking them is ``verify.py``'s; here its failures become ``Corrupt``.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from appliance.identity.keys import PrivateKey, PublicKey
from appliance.journal import verify
from appliance.journal.verify import DASH, LOG, WITNESS, Checkpoint, Damaged, Key
from appliance.runtime.errors import Corrupt

MOST_PROOF = 63  # hashes of a proof (c2sp.org/tlog-witness)
MOST_LINES = 16  # signatures of witnesses that are kept
LONGEST = 8 << 10  # bytes of a request to a witness


def log_key(name: str, key: PublicKey) -> Key:
    """Return the key of a journal."""
    return Key(name, key.raw, LOG)


def witness_key(name: str, key: PublicKey) -> Key:
    """Return the key of a witness."""
    return Key(name, key.raw, WITNESS)


def verifier(key: Key) -> str:
    """Return a key as a verifier line: ``name+hash+base64``."""
    return f"{key.name}+{key.id.hex()}+{base64.b64encode(key.kind + key.raw).decode()}"


def parse_verifier(text: str, kind: bytes = LOG) -> Key:
    """Return the key of a verifier line.

    Raises:
        Corrupt: it is none, or a key for another use.
    """
    try:
        return verify.parse_key(text, kind=kind)
    except Damaged as error:
        raise Corrupt(str(error)) from error


def signature(checkpoint: Checkpoint, key: PrivateKey) -> str:
    """Return the journal's signature line."""
    told = log_key(checkpoint.origin, key.public).id + key.sign(checkpoint.body.encode())
    return _line(checkpoint.origin, told)


def cosignature(checkpoint: Checkpoint, name: str, key: PrivateKey, time: int) -> str:
    """Return the line by which the witness ``name`` says that it saw this checkpoint at ``time`` (seconds since 1970)."""
    signed = key.sign(f"cosignature/v1\ntime {time}\n{checkpoint.body}".encode())
    return _line(name, witness_key(name, key.public).id + time.to_bytes(8, "big") + signed)


def written(checkpoint: Checkpoint, lines: Iterable[str]) -> bytes:
    """Return the note of a checkpoint with its signature lines."""
    return f"{checkpoint.body}\n{''.join(line + chr(10) for line in lines)}".encode()


def lines_of(checkpoint: Checkpoint) -> list[str]:
    """Return the signature lines of a checkpoint that was read."""
    return [_line(name, data) for name, data in checkpoint.signatures]


def witnesses_of(checkpoint: Checkpoint) -> tuple[tuple[str, int, int], ...]:
    """Return name, size and time (seconds since 1970) of each cosignature, as it says; it is still to be checked."""
    return tuple(
        (name, checkpoint.size, int.from_bytes(data[4:12], "big"))
        for name, data in checkpoint.signatures
        if len(data) == 76
    )


def checked_lines(lines: Iterable[str]) -> list[str]:
    """Return signature lines as they are, once they have that form.

    Raises:
        Corrupt: they have not.
    """
    found = list(lines)
    try:
        parsed = [verify.parse_signature(line) for line in found]
    except ValueError as error:
        raise Corrupt("this is no signature line") from error
    if not 0 < len(found) <= MOST_LINES or any(len(data) != 76 for _, data in parsed):
        raise Corrupt(f"a witness sends 1 to {MOST_LINES} cosignatures")
    return found


def sign(checkpoint: Checkpoint, key: PrivateKey) -> bytes:
    """Return the checkpoint as a note, signed under its origin as the name."""
    return written(checkpoint, [signature(checkpoint, key)])


def parse_note(data: bytes) -> Checkpoint:
    """Return the checkpoint of a note, whose signatures are still to be checked.

    Raises:
        Corrupt: this is none.
    """
    try:
        return verify.parse_note(data)
    except Damaged as error:
        raise Corrupt(str(error)) from error


def open_note(data: bytes, key: Key) -> Checkpoint:
    """Return the checkpoint of a note that the journal's ``key`` signed.

    Raises:
        Corrupt: this is no checkpoint, or ``key`` did not sign it.
    """
    try:
        return verify.open_note(data, key)
    except Damaged as error:
        raise Corrupt(str(error)) from error


@dataclass(frozen=True)
class Request:
    """What a journal asks a witness to countersign, with the proof that it goes on from ``old`` records."""

    old: int
    proof: tuple[bytes, ...]
    note: bytes


def request(old: int, proof: Sequence[bytes], note: bytes) -> bytes:
    """Return the request as the body of ``add-checkpoint`` (c2sp.org/tlog-witness)."""
    lines = "".join(base64.b64encode(one).decode() + "\n" for one in proof)
    return f"old {old}\n{lines}\n".encode() + note


def parse_request(data: bytes) -> Request:
    """Return the request that an ``add-checkpoint`` body holds.

    Raises:
        Corrupt: it is none.
    """
    head, _, note = data[: LONGEST + 1].partition(b"\n\n")
    try:
        old, *lines = head.decode().split("\n")
        proof = tuple(base64.b64decode(line, validate=True) for line in lines)
        size = int(old.removeprefix("old "))
    except ValueError as error:
        raise Corrupt("this is no request to a witness") from error
    good = old == f"old {size}" and size >= 0 and len(proof) <= MOST_PROOF and all(len(one) == 32 for one in proof)
    if len(data) > LONGEST or not good:
        raise Corrupt("this is no request to a witness")
    return Request(size, proof, note)


def _line(name: str, data: bytes) -> str:
    return f"{DASH}{name} {base64.b64encode(data).decode()}"
