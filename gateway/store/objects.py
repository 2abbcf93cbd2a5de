"""``objects/ab/abcdef...``: a file is there only if it is whole, durable, and has the digest of its name.

Everybody who may enter the store's folder may read what is in it: the folder's own mode (the gateway role's tmpfiles.d) is the gate.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import BinaryIO

FOLDER_MODE, FILE_MODE = 0o755, 0o644
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Objects:
    """The objects below ``root``; one process writes, any number read."""

    def __init__(self, root: Path) -> None:
        self._objects = root / "objects"

    def prepare(self) -> None:
        """Make the folder."""
        make_folder(self._objects)

    def path(self, sha256: str) -> Path:
        """Return where the object of this digest (hex) stands, or would stand."""
        if not _DIGEST.fullmatch(sha256):
            raise ValueError("not a SHA-256 in hex")
        return self._objects / sha256[:2] / sha256

    def has(self, sha256: str, size: int) -> bool:
        """Return whether the object is here with the size (bytes) that its manifest tells."""
        try:
            return self.path(sha256).stat().st_size == size
        except FileNotFoundError:
            return False

    def open(self, sha256: str, size: int) -> BinaryIO | None:
        """Return the object opened for reading, unbuffered, or None where it is not here with this size (bytes)."""
        try:
            file = self.path(sha256).open("rb", buffering=0)
        except FileNotFoundError:
            return None
        if os.fstat(file.fileno()).st_size != size:
            file.close()
            return None
        return file


def make_folder(folder: Path) -> None:
    """Make ``folder`` readable for everybody who gets to it, whatever the umask of the unit is."""
    folder.mkdir(parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o777 != FOLDER_MODE:
        folder.chmod(FOLDER_MODE)  # without a set-group-id bit: the unit's RestrictSUIDSGID= forbids to give one
