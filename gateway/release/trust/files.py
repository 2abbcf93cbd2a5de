"""The folder of metadata files that an origin serves: each version a file of its own, whole or not there."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from appliance.runtime.errors import Corrupt, Refused
from appliance.runtime.files import sync_folder, write_atomic
from gateway.release.trust import layout
from gateway.release.trust.layout import Name


class Files:
    """The files of one repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def newest(self) -> dict[str, int]:
        """Return role -> the highest version that is there (``timestamp`` has none, and is not told)."""
        found: dict[str, int] = {}
        for name in self.names():
            if name.version is not None:
                found[name.role] = max(found.get(name.role, 0), name.version)
        return found

    def names(self) -> list[Name]:
        """Return every metadata file that is there; other files are passed over.

        Raises:
            Corrupt: there is no folder that can be read.
        """
        found = []
        try:
            entries = [entry.name for entry in os.scandir(self.folder)]
        except OSError as error:
            raise Corrupt(f"{self.folder} holds no trust metadata: {error.strerror}") from error
        for entry in entries:
            with contextlib.suppress(Refused):
                found.append(layout.parse(entry))
        return found

    def read(self, name: Name) -> bytes | None:
        """Return a file, or None where there is none.

        Raises:
            Corrupt: it is longer than a file of its kind may be.
        """
        try:
            with (self.folder / name.file).open("rb") as file:
                data = file.read(name.largest + 1)
        except FileNotFoundError:
            return None
        if len(data) > name.largest:
            raise Corrupt(f"{name.file} is longer than {name.largest} bytes")
        return data

    def write(self, name: Name, data: bytes) -> None:
        """Put a file there durably.

        Raises:
            Refused: it is longer than a file of its kind may be (``too-large``).
        """
        if len(data) > name.largest:
            raise Refused("too-large", f"{name.file} would be longer than {name.largest} bytes", 413)
        write_atomic(self.folder / name.file, data)

    def remove(self, names: list[Name]) -> None:
        """Remove files."""
        for name in names:
            (self.folder / name.file).unlink(missing_ok=True)
        if names:
            sync_folder(self.folder)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until nobody else writes here, and keep others from it.

        Raises:
            Corrupt: there is no folder that can be read.
        """
        try:
            descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise Corrupt(f"{self.folder} holds no trust metadata: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
