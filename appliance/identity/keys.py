"""Ed25519 keys (RFC 8032) as people and files carry them."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from appliance.runtime.errors import Corrupt

PREFIX = "ed25519:"


@dataclass(frozen=True)
class PublicKey:
    """A public key; ``str()`` gives ``ed25519:<base64 of 32 bytes>``."""

    raw: bytes

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Return the key written as ``text``.

        Raises:
            ValueError: it is not ``ed25519:`` and 32 bytes in base64.
        """
        try:
            raw = base64.b64decode(text.removeprefix(PREFIX), validate=True)
        except ValueError:  # not ASCII, or not base64
            raw = b""
        if not text.startswith(PREFIX) or len(raw) != 32:
            raise ValueError("a key is 'ed25519:' and the base64 of 32 bytes, as 'headgate key show' prints it")
        return cls(raw)

    @property
    def key_id(self) -> str:
        """First 16 hex digits of the key's SHA-256: a name for people, never a proof."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Return whether ``signature`` over ``data`` is this key's."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, data)
        except InvalidSignature:
            return False
        return True

    def __str__(self) -> str:
        return PREFIX + base64.b64encode(self.raw).decode()


class PrivateKey:
    """A private key, kept as PKCS #8 PEM readable by its owner alone."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> PrivateKey:
        """Return a new key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> PrivateKey:
        """Read the key at ``path``.

        Raises:
            Corrupt: there is no Ed25519 key in the file.
        """
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except (ValueError, TypeError) as error:
            raise Corrupt(f"{path} holds no private key: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise Corrupt(f"{path} holds a key of another kind than Ed25519")
        return cls(key)

    def save(self, path: Path) -> None:
        """Write the key to a new file at ``path``, mode 0600.

        Raises:
            FileExistsError: there is a file already; a key is never overwritten.
        """
        pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())

    def sign(self, data: bytes) -> bytes:
        """Return the signature over ``data``: 64 bytes."""
        return self._key.sign(data)
