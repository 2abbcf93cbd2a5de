"""Opens what a manifest names in somebody's folder: no link is followed, nothing but plain files is read, nothing is listed."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Self

from appliance.runtime.errors import Corrupt, Refused
from gateway.release import paths, signed
from gateway.release.manifest import Release
from gateway.release.trust import bundle

_LINK = {errno.ELOOP, errno.EMLINK}
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO must not keep us waiting


class Tree:
    """One folder, held open, so that nobody moves it under us; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self._root = os.open(folder, _FOLDER)
        except OSError as error:
            raise _told(error, folder.name) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._root)

    def open(self, path: str) -> int:
        """Return a descriptor of the plain file ``path``; each folder on the way is entered without following links.

        Raises:
            Refused: there is none (``absent``), or it is a link or no plain file (``no-plain-file``).
        """
        *folders, name = path.split("/")
        held = os.dup(self._root)
        try:
            for part in folders:
                below = os.open(part, _FOLDER, dir_fd=held)
                os.close(held)
                held = below
            descriptor = os.open(name, _FILE, dir_fd=held)
        except OSError as error:
            raise _told(error, path) from error
        finally:
            os.close(held)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise Refused("no-plain-file", f"'{path}' is no plain file: folders, pipes and devices are not read")
        return descriptor

    def look(self, path: str) -> tuple[int, int]:
        """Return size (bytes) and time of the last change (nanoseconds) of the plain file ``path``.

        Raises:
            Refused: as ``open``.
        """
        descriptor = self.open(path)
        try:
            told = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        return told.st_size, max(told.st_mtime_ns, told.st_ctime_ns)

    def envelope(self) -> bytes:
        """Return the bytes of ``release.json``.

        Raises:
            Refused: as ``open``.
            Corrupt: it is longer than an envelope may be.
        """
        with os.fdopen(self.open(paths.MANIFEST), "rb") as file:
            data = file.read(signed.LONGEST + 1)
        if len(data) > signed.LONGEST:
            raise Corrupt(f"the envelope is longer than {signed.LONGEST} bytes")
        return data

    def listing(self) -> bytes | None:
        """Return the bytes of ``release.listing.json``, None where there is none.

        Raises:
            Refused: it is no plain file, or longer than a listing may be (``too-large``).
        """
        try:
            descriptor = self.open(paths.LISTING)
        except Refused as error:
            if error.reason == "absent":
                return None
            raise
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(bundle.LONGEST + 1)
        if len(data) > bundle.LONGEST:
            raise Refused("too-large", f"a listing has at most {bundle.LONGEST} bytes", 413)
        return data

    def lacks(self, release: Release) -> dict[str, Refused]:
        """Return why each file that ``release`` names cannot be read in its full size here, by path."""
        lacking: dict[str, Refused] = {}
        for path, file in release.files.items():
            try:
                size, _ = self.look(path)
            except Refused as error:
                lacking[path] = error
                continue
            if size != file.size:
                told = f"'{path}' has {size} bytes, the manifest says {file.size}"
                lacking[path] = Refused("absent" if size < file.size else "digest-mismatch", told)
        return lacking


def _told(error: OSError, path: str) -> Refused:
    if error.errno in _LINK:
        return Refused("no-plain-file", f"'{path}' is, or lies behind, a symbolic link: links are not followed")
    if error.errno in _ABSENT:
        return Refused("absent", f"'{path}' is not there, or a part of it is no folder")
    if error.errno in (errno.EACCES, errno.EPERM):
        return Refused("absent", f"'{path}' may not be read: {error.strerror}")
    return Refused("absent", f"'{path}' cannot be read: {error.strerror}")
