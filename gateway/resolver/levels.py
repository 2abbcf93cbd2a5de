"""The file ``current``: which levels make the table, newest first, and which state of the registry's log they are. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from appliance.runtime.errors import Corrupt
from gateway.resolver.level import Built

CURRENT = "current"
MOST = 8  # levels: each is looked at for a code that is not in the newer ones
RATIO = 4  # a level is merged into the next one where that has not this many times as many records
LONGEST = 64 << 10  # bytes of the file


@dataclass(frozen=True)
class Head:
    """A state of a registry's log: ``size`` changes, their Merkle ``root`` in hex, and when the registry said so last.

    ``subtrees`` are the roots (hex) of the complete subtrees that make it, largest first: by them the log is followed further.
    """

    registry: str
    size: int
    root: str
    made: datetime
    subtrees: tuple[str, ...] = ()


@dataclass(frozen=True)
class Info:
    """What the table says of itself; ``count`` codes, some of which an older level still holds as they were."""

    registry: str
    size: int
    made: datetime
    count: int
    root: str
    levels: tuple[Built, ...] = ()
    ranges: tuple[str, ...] = ()  # leading parts of the codes that were taken; empty: all
    subtrees: tuple[str, ...] = ()

    @property
    def serial(self) -> int:
        """The number of changes in it."""
        return self.size

    @property
    def links(self) -> int:
        """The links in all levels."""
        return sum(level.links for level in self.levels)

    def at(self, head: Head) -> Info:
        """Return what is here with another head."""
        return Info(head.registry, head.size, head.made, self.count, head.root, self.levels, self.ranges, head.subtrees)

    def holds(self, code: str) -> bool:
        """Return whether the table was made to hold ``code``, if it is registered."""
        return not self.ranges or code.startswith(self.ranges)

    def dump(self) -> bytes:
        """Return the file's bytes."""
        return json.dumps(asdict(self), default=datetime.isoformat).encode()


def parse(data: bytes) -> Info:
    """Return what the file ``current`` says.

    Raises:
        Corrupt: it was not written by us.
    """
    try:
        told = json.loads(data[:LONGEST])
        levels = tuple(
            Built(_name(one["name"]), *(_count(one[key]) for key in ("records", "links", "bytes")))
            for one in told["levels"]
        )
        made = datetime.fromisoformat(told["made"]).astimezone(UTC)
        ranges, subtrees = (tuple(str(one) for one in told[key]) for key in ("ranges", "subtrees"))
        size, count = _count(told["size"]), _count(told["count"])
        return Info(str(told["registry"]), size, made, count, str(told["root"]), levels, ranges, subtrees)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Corrupt("the file that names the levels of the table was not written by us") from error


def merging(records: Sequence[int]) -> int:
    """Return how many of the newest levels, with so many ``records`` each, are to be made one; 1: none."""
    number = 1
    while number < len(records) and (
        len(records) - number + 1 > MOST or records[number] < RATIO * sum(records[:number])
    ):
        number += 1
    return number


def _name(name: object) -> str:
    if not isinstance(name, str) or not name.replace("-", "").isalnum() or not name.isascii() or len(name) > 80:
        raise ValueError("no name of a level")
    return name


def _count(number: object) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise ValueError("no number")
    return number
