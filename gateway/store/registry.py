"""``registry/identifiers.json``: the table of identifiers as its registry signed it, for other boxes that ask here."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import BinaryIO

from appliance.runtime.files import write_atomic
from gateway.store.objects import make_folder

log = logging.getLogger("headgate.store")


class SignedTable:
    """The envelope below the store's ``root``: the exchange writes it, share reads it; who gets it verifies it again."""

    def __init__(self, root: Path) -> None:
        self._path = root / "registry" / "identifiers.json"

    def prepare(self) -> None:
        """Make the folder, and throw away what an earlier writer left unfinished."""
        make_folder(self._path.parent)
        for path in self._path.parent.glob(".*"):
            path.unlink()

    def put(self, envelope: bytes) -> None:
        """Keep a verified envelope; where the disk takes it not, the box's own table is no worse for that."""
        try:
            write_atomic(self._path, envelope)
        except OSError as error:
            log.warning("other boxes get an older table of identifiers from here: %s", error.strerror)

    def open(self) -> BinaryIO | None:
        """Return the envelope opened for reading, unbuffered, or None where there is none."""
        try:
            return self._path.open("rb", buffering=0)
        except FileNotFoundError:
            return None
