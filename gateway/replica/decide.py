"""What is wanted next of the registry, and what is refused: (what is here, the head) -> an outcome. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from appliance.journal.proofs import Frontier, consistency, is_consistent, root_of
from appliance.journal.verify import ENTRIES, HASH, WIDTH, Tree
from appliance.runtime.errors import Corrupt, Refused
from gateway.resolver import published
from gateway.resolver.levels import Info
from gateway.resolver.published import Chunk, Head, Snapshot

SLICE = (
    400  # entry bundles, of 256 changes each, that are verified and laid down together: a busy day's 100,000 changes
)
FEW = 50_000  # changes that are always followed one by one
PART = 10  # more changes than the table's count by this are not: the snapshot is less work


@dataclass(frozen=True)
class UpToDate:
    """The table is what the head says."""


@dataclass(frozen=True)
class Follow:
    """Take the changes ``start`` to before ``end``; ``anew``: into an empty table."""

    start: int
    end: int
    anew: bool

    def bundles(self) -> range:
        """Return the numbers of the entry bundles that hold them."""
        return range(self.start // WIDTH, -(-self.end // WIDTH))


@dataclass(frozen=True)
class AskSnapshot:
    """Find out whether there is a snapshot to begin from."""


@dataclass(frozen=True)
class Begin:
    """Begin from this snapshot."""

    snapshot: Snapshot


Plan = UpToDate | Follow | AskSnapshot | Begin


def judge(here: Info | None, head: Head) -> None:
    """Let a verified head pass that goes on from what is here, as far as it alone can tell.

    Raises:
        Refused: it goes back (``rewound-log``), tells another past (``forked-log``), or is another registry's (``other-registry``).
    """
    if here is None:
        return
    if head.registry != here.registry:
        raise Refused("other-registry", f"the table here is of '{here.registry}', this head of '{head.registry}'")
    if head.size < here.size:
        raise Refused("rewound-log", f"the registry's log had {here.size} changes, now it says {head.size}")
    if head.size == here.size and head.root != here.root:
        raise Refused("forked-log", f"the registry tells another past of the same {here.size} changes")
    if head.made < here.made:
        raise Refused("rewound-log", f"the registry spoke at {here.made}, and this is from {head.made}")


def plan(here: Info | None, head: Head, ranges: Sequence[str], snapshot: Snapshot | None, *, none: bool) -> Plan:
    """Return what to do; ``snapshot`` is the registry's if it was asked for, ``none`` tells that it has none."""
    anew = here is None or tuple(ranges) != here.ranges
    start = 0 if anew or here is None else here.size
    if not anew and start == head.size:
        return UpToDate()
    if head.size - start > max(FEW, here.count // PART if here is not None and not anew else 0) and not none:
        if snapshot is None:
            return AskSnapshot()
        if start < snapshot.size <= head.size:
            return Begin(snapshot)
    end = min(head.size, (start // WIDTH + SLICE) * WIDTH)
    return Follow(start, end, anew)


def overlapping(snapshot: Snapshot, ranges: Sequence[str]) -> list[Chunk]:
    """Return the chunks that may hold codes with one of these leading parts; all where there are none."""
    if not ranges:
        return list(snapshot.chunks)
    begins = [part.encode() for part in ranges]
    return [
        chunk
        for chunk in snapshot.chunks
        if any(chunk.first.encode() <= begin + b"\xff" and chunk.last.encode() >= begin for begin in begins)
    ]


class Hashes:
    """The tiles of hashes that came, of a log of ``size`` entries; they are worth what the proofs made of them show."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.tiles: dict[str, bytes] = {}

    def complete(self, level: int, index: int) -> bytes:
        """Return the hash of the complete subtree of ``2**level`` entries that is number ``index`` of that level.

        Raises:
            Corrupt: the tile is not here, or too short.
        """
        path, first, count = _place(level, index, self.size)
        found = self.tiles.get(path, b"")[first * HASH : (first + count) * HASH]
        if len(found) != count * HASH:
            raise Corrupt(f"{path} is missing or too short")
        tree = Tree()
        tree.add(found)
        return tree.root(count)

    def lacking(self, *uses: Callable[[Complete], object]) -> list[str]:
        """Return the paths of the tiles that ``uses`` need and that are not here."""
        needed: dict[str, None] = {}

        def note(level: int, index: int) -> bytes:
            needed[_place(level, index, self.size)[0]] = None
            return bytes(HASH)

        for use in uses:
            use(note)
        return [path for path in needed if path not in self.tiles]


Complete = Callable[[int, int], bytes]


def _place(level: int, index: int, size: int) -> tuple[str, int, int]:
    """Return the tile that holds a subtree's hash or those it is made of, the first of them there, and how many."""
    count = 1 << level % 8
    number, first = divmod(index * count, WIDTH)
    return published.tile(level // 8, number, size), first, count


def proof_of(old: int, size: int) -> Callable[[Complete], list[bytes]]:
    """Return what makes the proof that a log of ``size`` goes on from ``old`` entries."""
    return lambda complete: consistency(old, size, complete)


def subtrees_of(size: int) -> Callable[[Complete], list[bytes]]:
    """Return what gives the roots of the complete subtrees that make a log of ``size`` entries, largest first."""

    def made(complete: Complete) -> list[bytes]:
        found, start = [], 0
        for level in range(size.bit_length() - 1, -1, -1):
            if size >> level & 1:
                found.append(complete(level, start >> level))
                start += 1 << level
        return found

    return made


def frontier_of(size: int, subtrees: Sequence[bytes]) -> Frontier:
    """Return the tree of ``size`` entries that these complete subtrees make.

    Raises:
        Corrupt: there are not as many of them as such a tree has.
    """
    levels = [level for level in range(size.bit_length() - 1, -1, -1) if size >> level & 1]
    if len(levels) != len(subtrees):
        raise Corrupt(f"{len(subtrees)} subtrees do not make a log of {size} entries")
    found = Frontier()
    for level, root in zip(levels, subtrees, strict=True):
        found.add(root, level)
    return found


def check_goes_on(size: int, root: bytes, head: Head, hashes: Hashes) -> None:
    """Let pass that the head's log goes on from its first ``size`` entries, whose root was ``root``.

    Raises:
        Corrupt: the tiles are not those of the head's log.
        Refused: that log has another past (``forked-log``).
    """
    now, path = bytes.fromhex(head.root), consistency(size, head.size, hashes.complete)
    if is_consistent(size, root, head.size, now, path):
        return
    theirs = root_of(0, size, hashes.complete)
    if theirs != root and is_consistent(size, theirs, head.size, now, path):
        raise Refused("forked-log", f"the registry's log of {head.size} changes has another past than the {size} here")
    raise Corrupt("the tiles of the registry's log do not fit its head")


def bundle_path(number: int, size: int) -> str:
    """Return where an entry bundle lies while the log has ``size`` entries."""
    return published.tile(ENTRIES, number, size)
