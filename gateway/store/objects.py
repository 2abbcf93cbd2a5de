"""``objects/ab/abcdef...``: a file is there only if it is whole, durable, and has the digest of its name.

Everybody who may enter the store's folder may read what is in it: the folder's own mode (the gateway role's tmpfiles.d) is the gate.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from appliance.runtime.errors import Corrupt
from appliance.runtime.files import sync_folder
from gateway.store.faults import told

FOLDER_MODE, FILE_MODE = 0o755, 0o644
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Objects:
    """The objects below ``root``; one process writes, any number read."""

    def __init__(self, root: Path) -> None:
        self._objects, self._tmp = root / "objects", root / "tmp"

    def prepare(self) -> int:
        """Make the folders, throw away what an earlier writer left unfinished, and return how many leftovers there were."""
        for folder in (self._objects, self._tmp):
            make_folder(folder)
        leftovers = list(self._tmp.iterdir())
        for path in leftovers:
            path.unlink()
        return len(leftovers)

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

    def write(self, sha256: str, size: int) -> Writer:
        """Return the writer of one object; it becomes visible when its ``finish`` returns, else never."""
        return Writer(self.path(sha256), self._tmp, sha256, size)


class Writer:
    """One object on its way into the store; used as a context manager, which throws away what was not finished."""

    def __init__(self, target: Path, tmp: Path, sha256: str, size: int) -> None:
        self._target, self._sha256, self._size = target, sha256, size
        self._digest, self._written = hashlib.sha256(), 0
        self._path = tmp / f"{sha256[:16]}-{secrets.token_hex(8)}"
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise told(error) from error
        self._file = os.fdopen(descriptor, "wb", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)  # after ``finish`` it has its other name

    def write(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            Corrupt: there are more than the manifest says.
            Refused: the disk is full (``store-full``) or fails (``store-broken``).
        """
        self._written += len(chunk)
        if self._written > self._size:
            raise Corrupt(f"more than the {self._size} bytes that the manifest says came")
        self._digest.update(chunk)
        view = memoryview(chunk)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise told(error) from error

    def finish(self) -> Path:
        """Make the object durable, then visible; return where.

        Raises:
            Corrupt: what came is not the object of this digest and size.
            Refused: the disk is full (``store-full``) or fails (``store-broken``).
        """
        if self._written != self._size:
            raise Corrupt(f"{self._written} bytes came, the manifest says {self._size}")
        if self._digest.hexdigest() != self._sha256:
            raise Corrupt("the SHA-256 of what came is not the manifest's")
        try:
            os.fchmod(self._file.fileno(), FILE_MODE)
            os.fsync(self._file.fileno())
            if not self._target.parent.is_dir():
                make_folder(self._target.parent)
                sync_folder(self._target.parent.parent)
            self._path.rename(self._target)
            sync_folder(self._target.parent)
        except OSError as error:
            raise told(error) from error
        return self._target


def make_folder(folder: Path) -> None:
    """Make ``folder`` readable for everybody who gets to it, whatever the umask of the unit is."""
    folder.mkdir(parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o777 != FOLDER_MODE:
        folder.chmod(FOLDER_MODE)  # without a set-group-id bit: the unit's RestrictSUIDSGID= forbids to give one
