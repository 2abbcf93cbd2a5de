"""A published log read from its files (c2sp.org/tlog-tiles), by its writer's neighbours or from a copy; nothing here is verified."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from appliance.journal import note, proofs
from appliance.journal.tiles import Tiles
from appliance.journal.verify import CHECKPOINT, ENTRIES, WIDTH, Checkpoint, Damaged, number_path, unpack
from appliance.runtime.errors import Corrupt

TRIES = 3  # a partial tile goes away when a wider one is there: then look again


class Reading:
    """The log in ``folder``: what its checkpoint covers, while a writer may go on."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._tiles = folder, Tiles(folder / "tile")

    def checkpoint(self) -> bytes:
        """Return the signed note as it stands.

        Raises:
            Corrupt: there is none.
        """
        try:
            return (self._folder / CHECKPOINT).read_bytes()
        except OSError as error:
            raise Corrupt(f"{self._folder} holds no checkpoint: {error.strerror}") from error

    def head(self) -> Checkpoint:
        """Return what the checkpoint says, whose signatures are still to be checked.

        Raises:
            Corrupt: there is none.
        """
        return note.parse_note(self.checkpoint())

    def entry(self, number: int) -> bytes:
        """Return the entry ``number`` (from 1).

        Raises:
            Corrupt: it is not there.
        """
        return self._bundle((number - 1) // WIDTH, (number - 1) % WIDTH + 1)[(number - 1) % WIDTH]

    def entries(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the entries behind the first ``start``, up to number ``end``.

        Raises:
            Corrupt: they are not there.
        """
        for number in range(start // WIDTH, -(-end // WIDTH)):
            low, width = number * WIDTH, min(WIDTH, end - number * WIDTH)
            yield from self._bundle(number, width)[max(0, start - low) : width]

    def inclusion(self, number: int, size: int) -> list[bytes]:
        """Return the proof that the entry ``number`` (from 1) is in the tree of ``size``.

        Raises:
            Corrupt: tiles are missing.
        """
        return proofs.inclusion(number - 1, size, self._complete)

    def consistency(self, old: int, size: int) -> list[bytes]:
        """Return the proof that the tree of ``size`` goes on from the first ``old`` entries.

        Raises:
            Corrupt: tiles are missing.
        """
        return proofs.consistency(old, size, self._complete)

    def root(self, size: int) -> bytes:
        """Return the root of the first ``size`` entries.

        Raises:
            Corrupt: tiles are missing.
        """
        return proofs.root_of(0, size, self._complete)

    def _complete(self, level: int, index: int) -> bytes:
        for _ in range(TRIES - 1):
            with contextlib.suppress(Corrupt):
                return self._tiles.complete(level, index)
        return self._tiles.complete(level, index)

    def _bundle(self, number: int, width: int) -> list[bytes]:
        """Return the entries of a bundle that holds at least ``width``."""
        path = self._folder / "tile" / ENTRIES / number_path(number)
        partial = path.with_name(path.name + ".p")
        for _ in range(TRIES):
            wider = sorted(int(one.name) for one in _names(partial) if one.name.isdigit())
            for place in (path, *(partial / str(found) for found in wider if found >= width)):
                with contextlib.suppress(FileNotFoundError):
                    try:
                        found = unpack(place.read_bytes())
                    except Damaged as error:
                        raise Corrupt(f"{place}: {error}") from error
                    if len(found) >= width:
                        return found
        raise Corrupt(f"{path}: these entries are missing")


def _names(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
