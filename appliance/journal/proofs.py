"""Proofs over a journal's tree (RFC 6962 section 2.1): this record is in it, and this tree goes on from that one. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256

from appliance.journal.verify import WIDTH, Damaged, Tree, leaf_hash, node_hash, root_from

__all__ = ["Frontier", "consistency", "inclusion", "is_consistent", "is_included", "leaf_hash", "node_hash", "root_of"]

Complete = Callable[[int, int], bytes]
"""Gives the hash of the complete subtree of ``2**level`` records that is number ``index`` of that level."""


class Frontier:
    """A growing tree that keeps only the roots of its complete subtrees, largest first."""

    def __init__(self) -> None:
        self.size = 0
        self._roots: list[tuple[int, bytes]] = []  # (level, root)

    def add(self, leaf: bytes, level: int = 0) -> None:
        """Add a record by its hash, or a complete subtree of ``2**level`` records where the size is a multiple of that."""
        self.size += 1 << level
        while self._roots and self._roots[-1][0] == level:
            leaf = node_hash(self._roots.pop()[1], leaf)
            level += 1
        self._roots.append((level, leaf))

    def add_many(self, leaves: Sequence[bytes]) -> None:
        """Add records by their hashes, whole tiles of them at once."""
        at = 0
        while at < len(leaves):
            if self.size % WIDTH or len(leaves) - at < WIDTH:
                self.add(leaves[at])
                at += 1
            else:
                tree = Tree()
                tree.add(b"".join(leaves[at : at + WIDTH]))
                self.add(tree.root(WIDTH), WIDTH.bit_length() - 1)
                at += WIDTH

    def copy(self) -> Frontier:
        """Return a tree that grows on its own."""
        other = Frontier()
        other.size, other._roots = self.size, list(self._roots)
        return other

    @property
    def subtrees(self) -> list[bytes]:
        """The roots of the complete subtrees that make the tree, largest first."""
        return [root for _, root in self._roots]

    @property
    def root(self) -> bytes:
        """The root; the empty tree's is the SHA-256 of nothing."""
        if not self._roots:
            return sha256().digest()
        root = self._roots[-1][1]
        for _, left in reversed(self._roots[:-1]):
            root = node_hash(left, root)
        return root


def root_of(start: int, end: int, complete: Complete) -> bytes:
    """Return the root over the records ``start`` to before ``end``, where ``start`` is such as RFC 6962 splits at."""
    size = end - start
    if size == 0:
        return sha256().digest()
    if size & (size - 1) == 0:
        return complete(size.bit_length() - 1, start // size)
    split = _split(size)
    return node_hash(root_of(start, start + split, complete), root_of(start + split, end, complete))


def inclusion(index: int, size: int, complete: Complete) -> list[bytes]:
    """Return the proof that a tree of ``size`` holds its record ``index`` (RFC 6962 section 2.1.1)."""
    if not 0 <= index < size:
        raise ValueError(f"there is no record {index} of {size}")
    path, start, end = [], 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(root_of(middle, end, complete))
            end = middle
        else:
            path.append(root_of(start, middle, complete))
            start = middle
    return path[::-1]


def consistency(old: int, size: int, complete: Complete) -> list[bytes]:
    """Return the proof that a tree of ``size`` goes on from its first ``old`` records (RFC 6962 section 2.1.2)."""
    if not 0 <= old <= size:
        raise ValueError(f"a tree of {size} does not go on from one of {old}")
    path: list[bytes] = []
    start, end, whole = 0, size, True
    if old in (0, size):
        return path
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(root_of(middle, end, complete))
            end = middle
        else:
            path.append(root_of(start, middle, complete))
            start, whole = middle, False
    return [*([] if whole else [root_of(start, end, complete)]), *path[::-1]]


def is_included(leaf: bytes, index: int, size: int, root: bytes, path: Sequence[bytes]) -> bool:
    """Return whether ``path`` shows that the record of hash ``leaf`` is number ``index`` in that tree."""
    try:
        return root_from(leaf, index, size, path) == root
    except Damaged:
        return False


def is_consistent(old: int, old_root: bytes, size: int, root: bytes, path: Sequence[bytes]) -> bool:
    """Return whether ``path`` shows that the second tree goes on from the first (RFC 9162 section 2.1.4.2)."""
    if old == size:
        return not path and old_root == root
    if not 0 < old < size:
        return old == 0 and not path and old_root == sha256().digest()
    hashes = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not hashes:
        return False
    here, last = old - 1, size - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    first = second = hashes[0]
    for other in hashes[1:]:
        if last == 0:
            return False
        if here & 1 or here == last:
            first, second = node_hash(other, first), node_hash(other, second)
            while here and not here & 1:
                here, last = here >> 1, last >> 1
        else:
            second = node_hash(second, other)
        here, last = here >> 1, last >> 1
    return last == 0 and first == old_root and second == root


def _split(size: int) -> int:
    """Return the largest power of two that is smaller than ``size``."""
    return 1 << ((size - 1).bit_length() - 1)
