"""Live objects: verified like any other and named by their SHA-256, but in a place of their own, and gone when their window has passed.

They need no durability: a segment is of no use after a power cut. So nothing here waits for the disk, and a start throws all away.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from pathlib import Path
from typing import BinaryIO

from gateway.store.objects import FILE_MODE, Objects, make_folder

FOLDER = "live"
log = logging.getLogger("headgate.store")


class LiveObjects(Objects):
    """The live objects below ``root``/live; one process writes, any number read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root / FOLDER)

    def prepare(self) -> None:
        """Throw away what an earlier writer left, and make the folder; ``root``/live itself stays, since others have it mounted."""
        if self._objects.exists():
            shutil.rmtree(self._objects)
        super().prepare()

    def adopt(self, file: Path, sha256: str) -> None:
        """Make ``file``, which was verified and is on the same file system, the object of this digest."""
        target = self.path(sha256)
        make_folder(target.parent)
        file.chmod(FILE_MODE)
        file.rename(target)

    def remove(self, sha256: str) -> None:
        """Remove an object; a reader that has it open reads on."""
        try:
            self.path(sha256).unlink(missing_ok=True)
        except OSError as error:  # the disk fails: the next start throws it away
            log.warning("a live object that has run out stays: %s", error)


class Incoming:
    """Files that came and are not verified yet: ``root``/incoming, which filters read."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "incoming"

    def prepare(self) -> None:
        """Make the folder, and throw away what an earlier writer left."""
        self.folder.mkdir(parents=True, exist_ok=True)  # its mode is tmpfiles.d's: the filters have it mounted
        for path in self.folder.glob("live*"):
            path.unlink()

    def new(self) -> tuple[str, BinaryIO]:
        """Return the name of a new file and the file, open for writing."""
        name = f"live{secrets.token_hex(12)}"
        descriptor = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        return name, os.fdopen(descriptor, "wb", buffering=0)

    def path(self, name: str) -> Path:
        """Return where the file ``name`` is."""
        return self.folder / name

    def remove(self, name: str) -> None:
        """Throw a file away."""
        try:
            self.path(name).unlink(missing_ok=True)
        except OSError as error:  # as above
            log.warning("an incoming file stays: %s", error)
