"""A snapshot's chunks: kept as they come, so that a box that is cut off goes on with the next one, and read record by record."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from appliance.runtime.errors import Corrupt, Refused
from appliance.runtime.files import write_atomic
from gateway.replica.decide import overlapping
from gateway.replica.following import taken
from gateway.resolver.published import Chunk, Snapshot
from gateway.resolver.records import LONGEST_RECORD


class Chunks:
    """The chunks that came, below ``folder``, each under its digest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self) -> None:
        """Make the folder; chunks that came before stay."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def keep(self, snapshot: Snapshot | None) -> None:
        """Throw away what ``snapshot`` does not name; all, where there is none."""
        keep = {chunk.sha256 for chunk in snapshot.chunks} if snapshot else set()
        for left in self._folder.iterdir():
            if left.name not in keep:
                left.unlink()

    def take(self, chunk: Chunk, data: bytes) -> None:
        """Keep a chunk, durably.

        Raises:
            Refused: it is another one (``digest-mismatch``).
        """
        if len(data) != chunk.bytes or hashlib.sha256(data).hexdigest() != chunk.sha256:
            raise Refused("digest-mismatch", f"the registry's {chunk.name} is not what its snapshot names")
        write_atomic(self._folder / chunk.sha256, data, 0o600)

    def lacking(self, snapshot: Snapshot, ranges: Sequence[str]) -> list[Chunk]:
        """Return the chunks that are needed and not here."""
        here = {path.name for path in self._folder.iterdir()}
        return [chunk for chunk in overlapping(snapshot, ranges) if chunk.sha256 not in here]

    def records(self, snapshot: Snapshot, ranges: Sequence[str]) -> Iterator[tuple[bytes, bytes]]:
        """Yield code and record of all that is taken here, in the order of the codes.

        Raises:
            Corrupt: a chunk is damaged, or not what the snapshot says.
        """
        for chunk in overlapping(snapshot, ranges):
            yield from taken(self._lines(chunk), ranges)

    def _lines(self, chunk: Chunk) -> Iterable[bytes]:
        count = 0
        try:
            with gzip.open(self._folder / chunk.sha256, "rb") as file:
                # No longer line and no more of them: a small file cannot become a large one.
                while line := file.readline(LONGEST_RECORD + 1):
                    count += 1
                    if line[-1:] != b"\n" or count > chunk.records:
                        raise Corrupt(f"the registry's {chunk.name} is not what its snapshot says")
                    yield line[:-1]
        except (OSError, EOFError, zlib.error) as error:
            raise Corrupt(f"the registry's {chunk.name} cannot be read: {error}") from error
        if count != chunk.records:
            raise Corrupt(f"the registry's {chunk.name} has {count} records, not {chunk.records}")
