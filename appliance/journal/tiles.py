"""The tree's files (c2sp.org/tlog-tiles): read for proofs, and written durably. Touches the folder ``tile``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from appliance.journal.disk import Disk
from appliance.journal.proofs import Frontier
from appliance.journal.verify import ENTRIES, HASH, TAIL, WIDTH, Damaged, Tree, number_path, parse_tail, unpack
from appliance.runtime.errors import Corrupt

TEMPORARY = "new"  # outside of the tree, so that a crash leaves nothing in it
TOGETHER = 64  # tiles that are made durable at once


class Tiles:
    """The tiles below ``folder``."""

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self._folder, self._disk = folder, disk or Disk()
        self._waiting: list[tuple[Path, bytes]] = []
        self._unsynced: set[Path] = set()

    def hashes(self, level: int, start: int, end: int) -> bytes:
        """Return the hashes ``start`` to before ``end`` of one tile level, side by side; they must lie in one tile.

        Raises:
            Corrupt: they are not there.
        """
        number, first = divmod(start, WIDTH)
        width = end - number * WIDTH
        data = _read(self._folder / str(level) / number_path(number), width)
        return data[first * HASH : width * HASH]

    def complete(self, level: int, index: int) -> bytes:
        """Return the hash of the complete subtree of ``2**level`` records that is number ``index`` of that level.

        Raises:
            Corrupt: it is not there.
        """
        count = 1 << level % 8
        tree = Tree()
        tree.add(self.hashes(level // 8, index * count, (index + 1) * count))
        return tree.root(count)

    def frontier(self, size: int) -> Frontier:
        """Return the tree of the first ``size`` records, a multiple of a tile's width, without reading them.

        Raises:
            Corrupt: tiles are missing.
        """
        found = Frontier()
        for level in range(7, 0, -1):
            total = size >> 8 * level
            for index in range(total - total % WIDTH, total):
                found.add(self.hashes(level, index, index + 1), 8 * level)
        return found

    def write(self, kind: str, number: int, width: int, data: bytes) -> None:
        """Write a tile; ``sync`` makes it durable and gives it its name."""
        self._waiting.append((self._folder / kind / number_path(number, width), data))
        if len(self._waiting) == TOGETHER:
            self._name()

    def sync(self) -> None:
        """Make all that was written durable."""
        self._name()
        for folder in sorted(self._unsynced):
            self._disk.sync_folder(folder)
        self._unsynced.clear()

    def clear(self) -> None:
        """Remove what a crash left of tiles that were being written."""
        for left in self._folder.parent.glob(f"{TEMPORARY}.*"):
            self._disk.unlink(left)

    def _name(self) -> None:
        """Write what waits, and give it its names once all of it is durable; what fails is not tried again."""
        waiting, self._waiting = self._waiting, []
        files = [(self._folder.with_name(f"{TEMPORARY}.{at}"), path, data) for at, (path, data) in enumerate(waiting)]
        self._disk.write_all([(temporary, data) for temporary, _, data in files])
        for temporary, path, _ in files:
            self._make(path.parent)
            self._disk.rename(temporary, path)
            self._unsynced.add(path.parent)

    def drop_narrower(self, kind: str, number: int, width: int) -> None:
        """Remove the partial tiles that a wider one replaced; what a crash leaves of them harms nobody."""
        folder = (self._folder / kind / number_path(number, 1)).parent
        if not folder.exists():
            return
        for path in folder.iterdir():
            if path.name != str(width):
                self._disk.unlink(path)
        if width == WIDTH:
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _make(self, folder: Path) -> None:
        if not folder.exists():
            self._make(folder.parent)
            self._disk.make_folder(folder)
            self._unsynced.add(folder.parent)


def pack(entries: Sequence[bytes]) -> bytes:
    """Return an entry bundle: each entry after its length in two bytes."""
    return b"".join([len(entry).to_bytes(2, "big") + entry for entry in entries])


def entries_of(folder: Path, start: int = 0) -> Iterator[bytes]:
    """Yield the records of the journal in ``folder`` from number ``start`` (from 0) as they stand, unverified.

    Raises:
        Corrupt: the files are none of a journal.
    """
    try:
        first, batches, _ = parse_tail((folder / TAIL).read_bytes())
        for number in range(start // WIDTH, first // WIDTH):
            bundle = unpack((folder / "tile" / ENTRIES / number_path(number)).read_bytes())
            yield from bundle[max(0, start - number * WIDTH) :]
    except (OSError, Damaged) as error:
        raise Corrupt(f"{folder} holds no whole journal: {error}") from error
    yield from [entry for entries, _ in batches for entry in entries][max(0, start - first) :]


def size_of(folder: Path) -> int:
    """Return how many signed records the journal in ``folder`` seems to hold.

    Raises:
        Corrupt: there is none.
    """
    try:
        first, batches, _ = parse_tail((folder / TAIL).read_bytes())
    except (OSError, Damaged) as error:
        raise Corrupt(f"{folder} holds no journal: {TAIL}: {error}") from error
    return first + sum(len(entries) for entries, _ in batches)


def told(folder: Path, start: int = 0) -> list[dict[str, Any]]:
    """Return the records from number ``start`` (from 0) as values, unverified; one that is damaged says so.

    Raises:
        Corrupt: the files are none of a journal.
    """
    found = []
    for entry in entries_of(folder, start):
        try:
            value = json.loads(entry)
        except ValueError:
            value = None
        found.append(value if isinstance(value, dict) else {"decision": "(damaged)"})
    return found


def _read(path: Path, width: int) -> bytes:
    """Return a tile that holds at least ``width`` hashes: the whole one, or the narrowest that suffices."""
    partial = path.with_name(path.name + ".p")
    wider = [int(one.name) for one in partial.iterdir() if one.name.isdigit()] if partial.is_dir() else []
    places = [path, *(partial / str(found) for found in sorted(wider) if found >= width)]
    for place in places:
        with contextlib.suppress(OSError):
            data = place.read_bytes()
            if len(data) >= width * HASH:
                return data
    raise Corrupt(f"{path}: this tile is missing or too short")
