"""``registry/``: what this box verified of the registry's files, as they were published, for other boxes that ask here."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import shutil
from pathlib import Path
from typing import BinaryIO

from appliance.runtime.files import write_atomic
from gateway.resolver import published
from gateway.store.objects import make_folder

log = logging.getLogger("headgate.store")


class Mirror:
    """The files below the store's ``root``: the exchange writes, share reads; who gets them verifies them again."""

    def __init__(self, root: Path) -> None:
        self._root = root / "registry"

    def prepare(self) -> None:
        """Make the folder, and throw away what an earlier writer left unfinished."""
        make_folder(self._root)
        for path in self._root.glob("**/.*"):
            path.unlink()

    def put(self, path: str, data: bytes) -> None:
        """Keep a verified file; where the disk takes it not, the box's own table is no worse for that."""
        place = self._root / path
        try:
            for folder in reversed(place.relative_to(self._root).parents[:-1]):
                if not (self._root / folder).is_dir():
                    make_folder(self._root / folder)
            write_atomic(place, data)
            if path == published.SNAPSHOT:
                self._drop_chunks(data)
            elif ".p" in path:
                self._drop_narrower(place)
            elif path.startswith("tile/"):
                shutil.rmtree(place.with_name(place.name + ".p"), ignore_errors=True)
        except OSError as error:
            log.warning("other boxes get older identifiers from here: %s", error.strerror)

    def _drop_chunks(self, snapshot: bytes) -> None:
        """Remove the chunks that the newest snapshot does not name."""
        told = json.loads(base64.b64decode(json.loads(snapshot)["payload"]))  # the replica took it
        keep = {chunk["sha256"] for chunk in told["chunks"]}
        for path in (self._root / "snapshot").glob("*"):
            if path.name.partition(".")[0] not in keep:
                path.unlink()

    def _drop_narrower(self, tile: Path) -> None:
        for path in tile.parent.iterdir():
            if path.name.isdigit() and int(path.name) < int(tile.name):
                path.unlink()

    def open(self, path: str) -> BinaryIO | None:
        """Return the file opened for reading, unbuffered, or None where there is none."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            if published.is_path(path):
                return (self._root / path).open("rb", buffering=0)
        return None
