"""The box's copy of the table of identifiers, for reading: levels, newest first, named by the file ``current``.

The replica writes; resolvers, each as another user who may only read, open without locks (a level never changes) and notice a new
``current`` by looking at it. Records are handed out as the bytes that were signed; nothing is parsed on the way.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import itemgetter
from pathlib import Path

from appliance.runtime.errors import Corrupt
from gateway.resolver import levels
from gateway.resolver.level import Level, links_of
from gateway.resolver.levels import CURRENT, Info
from gateway.resolver.records import Record, parse_record
from gateway.resolver.walks import Direction, Edge

FOLDER = "levels"
__all__ = ["Backward", "Edge", "Info", "Table"]


@dataclass(frozen=True)
class Backward:
    """Links to a code; ``after`` asks for the next ones, and is empty where there are none."""

    edges: tuple[Edge, ...]
    after: str


class Table:
    """The current table; it belongs to one thread."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._file = folder, str(folder / CURRENT)
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
                info = levels.parse((self.folder / CURRENT).read_bytes())
                opened = tuple(Level.open(self.folder / FOLDER / one.name, one.bytes) for one in info.levels)
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
        found: list[bytes | None] = [None] * len(codes)
        for level in self._levels:
            found = level.many(codes, found, few=level is not self._levels[-1])  # nearly all are in the oldest one
        return found

    def plain(self, codes: Sequence[bytes]) -> bool:
        """Return whether all of ``codes`` that are here are registered and seen everywhere; False also where that takes a look at them."""
        return not any(level.limits(codes) for level in self._levels)

    def forward(self, code: object) -> list[Edge]:
        """Return the links from ``code``.

        Raises:
            Corrupt: the record is damaged.
        """
        found = self.raw(code)
        return [] if found is None else [Edge(str(code), kind, target) for kind, target in links_of(found)]

    def backward(self, code: object, after: str = "", most: int = 100, types: Collection[str] = ()) -> Backward:
        """Return at most ``most`` links to ``code``, by type and source, behind the one that ``after`` of an answer names.

        Raises:
            Corrupt: the table is damaged.
        """
        target, edges = str(code), list[Edge]()
        for kind, source in self._linking(target, after.replace(" ", "\0", 1).encode(errors="replace")):
            if types and kind not in types:
                continue
            if len(edges) >= most:
                return Backward(tuple(edges), f"{edges[-1].type} {edges[-1].source}" if edges else after)
            edges.append(Edge(source, kind, target))
        return Backward(tuple(edges), "")

    def links_of(self, code: str, direction: Direction) -> Iterable[tuple[str, str]]:
        """Return type and other end of the links from or to ``code``, as they are asked for.

        Raises:
            Corrupt: the table is damaged.
        """
        if direction == "backward":
            return self._linking(code)
        found = self.raw(code)
        return [] if found is None else links_of(found)

    def _linking(self, target: str, after: bytes = b"") -> Iterator[tuple[str, str]]:
        key = target.encode()
        streams = [zip(level.backward(key, after), repeat(number)) for number, level in enumerate(self._levels)]
        for item, number in heapq.merge(*streams, key=itemgetter(0)):
            kind, _, source = item.partition(b"\0")
            # What a code links to now, the newest level that holds it tells.
            if all(newer.raw(source) is None for newer in self._levels[:number]):
                yield kind.decode(), source.decode()

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
