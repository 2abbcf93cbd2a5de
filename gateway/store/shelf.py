"""A shelf in memory, and a cache of sizes without bytes on it: the shadows' and the benchmark's."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from gateway.store.keeping import MAIN, PROBATION, Keep


class Node:
    """An entry, linked to the next older and newer one of its queue."""

    __slots__ = ("frequency", "key", "newer", "older", "queue", "size")

    def __init__(self, key: Hashable, size: int, queue: int) -> None:
        self.key, self.size, self.queue, self.frequency = key, size, queue, 0
        self.older: Node | None = None
        self.newer: Node | None = None


class MemoryShelf:
    """Queues as linked lists; every operation takes the same time however much is on it."""

    def __init__(self) -> None:
        self._oldest: list[Node | None] = [None, None, None]
        self._newest: list[Node | None] = [None, None, None]
        self._bytes = [0, 0, 0]
        self._hand: Node | None = None  # the next one to look at; None: the oldest
        self._ghosts: OrderedDict[Hashable, int] = OrderedDict()
        self._ghost_bytes = 0

    def bytes(self, queue: int) -> int:
        """Return the bytes in ``queue``."""
        return self._bytes[queue]

    def oldest(self, queue: int) -> Node | None:
        """Return the oldest of ``queue``."""
        return self._oldest[queue]

    def at_hand(self) -> Node | None:
        """Return the entry at the hand."""
        return self._hand or self._oldest[MAIN]

    def pass_by(self, entry: Node) -> None:
        """Spare the entry, for this time."""
        entry.frequency = 0
        self._hand = entry.newer

    def move(self, entry: Node, queue: int, frequency: int) -> None:
        """Put the entry to the newest end of ``queue``."""
        self.take(entry)
        entry.queue, entry.frequency = queue, frequency
        self.add(entry)

    def mark(self, entry: Node, frequency: int) -> None:
        """Set the entry's uses."""
        entry.frequency = frequency

    def remember(self, entry: Node) -> None:
        """Remember the entry until as many bytes as stand here were remembered after it."""
        self._ghosts[entry.key] = entry.size
        self._ghost_bytes += entry.size
        while self._ghosts and self._ghost_bytes > self._bytes[PROBATION] + self._bytes[MAIN]:
            self._ghost_bytes -= self._ghosts.popitem(last=False)[1]

    def remembered(self, key: Hashable) -> bool:
        """Return whether the key was remembered, and forget that."""
        size = self._ghosts.pop(key, None)
        self._ghost_bytes -= size or 0
        return size is not None

    def add(self, entry: Node) -> None:
        """Put an entry to the newest end of its queue."""
        newest = self._newest[entry.queue]
        entry.older, entry.newer = newest, None
        if newest is None:
            self._oldest[entry.queue] = entry
        else:
            newest.newer = entry
        self._newest[entry.queue] = entry
        self._bytes[entry.queue] += entry.size

    def take(self, entry: Node) -> None:
        """Take an entry off; the hand moves on if it stood there."""
        if entry is self._hand:
            self._hand = entry.newer
        if entry.older is None:
            self._oldest[entry.queue] = entry.newer
        else:
            entry.older.newer = entry.newer
        if entry.newer is None:
            self._newest[entry.queue] = entry.older
        else:
            entry.newer.older = entry.older
        self._bytes[entry.queue] -= entry.size


class Cache:
    """What a store of ``capacity`` bytes would hold under a policy; ``keep`` may be exchanged at any moment."""

    def __init__(self, keep: Keep, capacity: int, *, most: int | None = None) -> None:
        self.keep, self.capacity, self._most = keep, capacity, most
        self._shelf = MemoryShelf()
        self._nodes: dict[Hashable, Node] = {}

    def __len__(self) -> int:
        """Return how many objects it holds."""
        return len(self._nodes)

    def __contains__(self, key: Hashable) -> bool:
        """Return whether it holds the object."""
        return key in self._nodes

    def access(self, key: Hashable, size: int) -> bool:
        """Use the object; return whether it was there. It is there afterwards, if it fits at all."""
        node = self._nodes.get(key)
        shelf: Any = self._shelf
        if node is not None:
            self.keep.used(shelf, node)
            return True
        if size > self.capacity:
            return False
        while self.bytes + size > self.capacity or (self._most and len(self._nodes) >= self._most):
            if (victim := self.keep.victim(shelf)) is None:
                break
            self.remove(victim.key)
        node = self._nodes[key] = Node(key, size, self.keep.enters(shelf, key))
        self._shelf.add(node)
        return False

    def remove(self, key: Hashable) -> None:
        """Take the object out, if it is there."""
        if (node := self._nodes.pop(key, None)) is not None:
            self._shelf.take(node)

    @property
    def bytes(self) -> int:
        """The bytes that it holds."""
        return self._shelf.bytes(PROBATION) + self._shelf.bytes(MAIN)
