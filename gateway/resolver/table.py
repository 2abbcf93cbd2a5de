"""The box's copy of the table of identifiers, for reading: levels, newest first, named by the file ``current``.

The replica writes; resolvers, each as another user who may only read, open without locks (a level never changes) and notice a new
``current`` by looking at it. Records are handed out as the bytes that were signed; nothing is parsed on the way.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Sequence
from itertools import repeat
from operator import itemgetter
from pathlib import Path

from appliance.runtime.errors import Corrupt
from gateway.resolver import levels
from gateway.resolver.level import Level, links_of
from gateway.resolver.levels import CURRENT, Info
from gateway.resolver.records import Record, parse_record
from gateway.resolver.walk import Backward, Direction, Edge, Walk, walk

FOLDER = "levels"
__all__ = ["Backward", "Edge", "Info", "Table", "Walk"]


class Table:
    """The current table; it belongs to one thread."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, str(folder / CURRENT)
        self._seen: tuple[int, int] | None = None
        self._info: Info | None = None
        self._levels: tuple[Level, ...] = ()
        self.raw_of: Callable[[bytes], bytes | None] = (
            _nothing  # code in bytes -> record or None, for those who count microseconds
        )

    @classmethod
    def open(cls, folder: Path) -> Table:
        """Return the table in ``folder``, which may have none yet.

        Raises:
            Corrupt: the current table is damaged.
        """
        table = cls(folder)
        table.refresh()
        return table

    def refresh(self) -> bool:
        """Open the current table if it is another than before, and return whether it was.

        Raises:
            Corrupt: the new table is damaged; the one that was open stays open.
        """
        while (now := self._stamp()) != self._seen and now is not None:
            try:
                info = levels.parse((self._folder / CURRENT).read_bytes())
                opened = tuple(Level.open(self._folder / FOLDER / one.name, one.bytes) for one in info.levels)
            except (Corrupt, OSError) as error:
                if self._stamp() != now:
                    continue  # swapped again and swept away while we looked
                raise Corrupt(f"the table of identifiers cannot be read: {error}") from error
            self._info, self._levels, self._seen = info, opened, now
            self.raw_of = opened[0].raw if len(opened) == 1 else self._newest
            return True
        return False

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._file)  # noqa: PTH116 (a microsecond a request)
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    def _newest(self, code: bytes) -> bytes | None:
        for level in self._levels:
            if (found := level.raw(code)) is not None:
                return bytes(found)
        return None

    def raw(self, code: object) -> bytes | None:
        """Return the record of the code (a ``Code`` or its canonical text) as canonical JSON, or None."""
        return self.raw_of(str(code).encode())

    def get(self, code: object) -> Record | None:
        """Return the record of the code, or None.

        Raises:
            Corrupt: the record is damaged.
        """
        found = self.raw(code)
        return None if found is None else parse_record(found)

    def many(self, codes: Sequence[bytes]) -> list[bytes | None]:
        """Return the records of canonical codes (their bytes), as ``raw`` does, in the order of ``codes``.

        Raises:
            Corrupt: the table is damaged.
        """
        found: dict[bytes, bytes] = {}
        left = codes
        for level in self._levels:
            found.update(level.many(left))
            if len(found) >= len(codes):
                break
            left = [code for code in codes if code not in found]
        return [found.get(code) for code in codes]

    def forward(self, code: object) -> list[Edge]:
        """Return the links from ``code``.

        Raises:
            Corrupt: the record is damaged.
        """
        found = self.raw(code)
        return [] if found is None else [Edge(str(code), kind, target) for kind, target in links_of(found)]

    def backward(self, code: object, after: str = "", most: int = 100, types: Sequence[str] = ()) -> Backward:
        """Return at most ``most`` links to ``code``, by type and source, behind the one that ``after`` of an answer names.

        Raises:
            Corrupt: the table is damaged.
        """
        target, edges, wanted = str(code), list[Edge](), frozenset(types)
        start = after.replace(" ", "\0", 1).encode(errors="replace")
        streams = [
            zip(level.backward(target.encode(), start), repeat(number)) for number, level in enumerate(self._levels)
        ]
        for item, number in heapq.merge(*streams, key=itemgetter(0)):
            kind, _, source = item.partition(b"\0")
            if wanted and kind.decode() not in wanted:
                continue
            if any(newer.raw(source) is not None for newer in self._levels[:number]):
                continue  # what it links to now, a newer level tells
            if len(edges) >= most:
                return Backward(tuple(edges), f"{edges[-1].type} {edges[-1].source}" if edges else after)
            edges.append(Edge(source.decode(), kind.decode(), target))
        return Backward(tuple(edges), "")

    def walk(
        self, start: object, depth: int, breadth: int, direction: Direction = "both", types: Sequence[str] = ()
    ) -> Walk:
        """Return what links reach from ``start``: at most ``depth`` links away, ``breadth`` links of one code each way.

        Raises:
            Corrupt: the table is damaged.
        """
        return walk(self, str(start), depth, breadth, direction, types)

    def info(self) -> Info | None:
        """Return what the open table says of itself, or None where there is no table yet."""
        return self._info

    def levels(self) -> tuple[Level, ...]:
        """Return the open levels, newest first."""
        return self._levels

    def close(self) -> None:
        """Let go of the table."""
        self._levels, self._info, self._seen = (), None, None
        self.raw_of = _nothing


def _nothing(_: bytes) -> bytes | None:
    return None
