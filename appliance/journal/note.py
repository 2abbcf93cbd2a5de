"""Checkpoints as signed notes (c2sp.org/tlog-checkpoint, c2sp.org/signed-note): any tool of that family can check them."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from appliance.identity.keys import PrivateKey, PublicKey
from appliance.runtime.errors import Corrupt

ED25519 = b"\x01"  # the signature type of a signed note
LONGEST = 16 << 10  # bytes of a checkpoint file


@dataclass(frozen=True)
class Checkpoint:
    """The head of a log: whose it is, how many entries, and their root."""

    origin: str
    size: int
    root: bytes

    @property
    def body(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def key_hash(name: str, key: PublicKey) -> bytes:
    """Return the four bytes by which a note names a key."""
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + key.raw).digest()[:4]


def verifier(name: str, key: PublicKey) -> str:
    """Return a key as a verifier line: ``name+hash+base64``."""
    return f"{name}+{key_hash(name, key).hex()}+{base64.b64encode(ED25519 + key.raw).decode()}"


def parse_verifier(text: str) -> tuple[str, PublicKey]:
    """Return name and key of a verifier line.

    Raises:
        Corrupt: it is none, or not of an Ed25519 key.
    """
    try:
        name, hashed, encoded = text.strip().split("+", 2)
        data = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error) as error:
        raise Corrupt("this is no verifier line 'name+hash+key'") from error
    if len(data) != 33 or data[:1] != ED25519 or key_hash(name, PublicKey(data[1:])).hex() != hashed:
        raise Corrupt("the verifier line is damaged or of another kind of key than Ed25519")
    return name, PublicKey(data[1:])


def sign(checkpoint: Checkpoint, key: PrivateKey) -> bytes:
    """Return the checkpoint as a note, signed under its origin as the name."""
    signature = key_hash(checkpoint.origin, key.public) + key.sign(checkpoint.body.encode())
    return f"{checkpoint.body}\n\N{EM DASH} {checkpoint.origin} {base64.b64encode(signature).decode()}\n".encode()


def open_note(data: bytes, name: str, key: PublicKey) -> Checkpoint:
    """Return the checkpoint of a note that ``key`` signed under ``name``.

    Raises:
        Corrupt: this is no checkpoint, or ``key`` did not sign it.
    """
    if len(data) > LONGEST:
        raise Corrupt(f"the checkpoint is longer than {LONGEST} bytes")
    try:
        text, _, signatures = data.decode().partition("\n\n")
        origin, size, root, *_ = text.split("\n")
        checkpoint = Checkpoint(origin, int(size), base64.b64decode(root, validate=True))
    except ValueError as error:
        raise Corrupt("this is no checkpoint") from error
    if checkpoint.body != text + "\n" or len(checkpoint.root) != 32 or checkpoint.size < 0:
        raise Corrupt("this is no checkpoint")
    if not signatures.endswith("\n"):
        raise Corrupt("this is no checkpoint")
    for line in signatures[:-1].split("\n"):
        words = line.split(" ")
        if len(words) != 3 or words[0] != "\N{EM DASH}" or words[1] != name:
            continue
        try:
            signature = base64.b64decode(words[2], validate=True)
        except binascii.Error:
            continue
        canonical = base64.b64encode(signature).decode() == words[2]
        if canonical and signature[:4] == key_hash(name, key) and key.verify(signature[4:], (text + "\n").encode()):
            return checkpoint
    raise Corrupt(f"the checkpoint is not signed by the key of '{name}'")
