"""The files of the store as the keeper sees them: how much room there is, what is there, and taking away."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from appliance.runtime.files import sync_folder
from gateway.store.objects import Objects

FOLDERS = tuple(f"{number:02x}" for number in range(256))  # by the first two digits of the digests


class Disk:
    """The file system below ``root``."""

    def __init__(self, root: Path) -> None:
        self._root, self._objects = root, Objects(root)

    def room(self) -> int:
        """Return the bytes that may be written before the disk is full."""
        told = os.statvfs(self._root)
        return told.f_bavail * told.f_frsize

    def total(self) -> int:
        """Return the bytes that the whole disk has."""
        told = os.statvfs(self._root)
        return told.f_blocks * told.f_frsize

    def folder(self, name: str) -> dict[str, int]:
        """Return the sizes of the objects in one of ``FOLDERS``, by digest."""
        found: dict[str, int] = {}
        try:
            with os.scandir(self._root / "objects" / name) as entries:
                for entry in entries:
                    if len(entry.name) == 64 and entry.is_file(follow_symlinks=False):
                        found[entry.name] = entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            return {}
        return found

    def size(self, digest: str) -> int | None:
        """Return the object's size, or None where it is not there."""
        try:
            return self._objects.path(digest).stat().st_size
        except FileNotFoundError:
            return None

    def path(self, digest: str) -> Path:
        """Return where the object is, if it is there."""
        return self._objects.path(digest)

    def take(self, digest: str) -> int:
        """Take an object away and return the bytes that it had; whoever reads it now reads on to its end.

        Raises:
            OSError: the disk does not let it go.
        """
        path = self._objects.path(digest)
        try:
            size = path.stat().st_size
            path.unlink()
        except FileNotFoundError:
            return 0
        return size

    def settle(self, digests: Iterable[str]) -> None:
        """Make it durable that these were taken away."""
        for folder in sorted({self._objects.path(digest).parent for digest in digests}):
            if folder.is_dir():
                sync_folder(folder)

    def read(self, digest: str, piece: int) -> Iterator[bytes]:
        """Yield the object's bytes, ``piece`` at a time; nothing where it is not there.

        Raises:
            OSError: the disk cannot read it.
        """
        try:
            descriptor = os.open(self._objects.path(digest), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_NOREUSE)  # what screens watch stays in memory (Linux 6.3)
            while data := os.read(descriptor, piece):
                yield data
        finally:
            os.close(descriptor)
