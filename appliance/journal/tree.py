"""Merkle tree of RFC 6962 section 2.1: leaf hashes in, root out, keeping only the frontier."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf: SHA-256 of 0x00 and the entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256 of 0x01 and both children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A growing tree: the roots of its complete subtrees, largest first."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self.size = 0
        self._frontier: list[tuple[int, bytes]] = []  # (leaves below, root)
        for leaf in leaves:
            self.add(leaf)

    def add(self, leaf: bytes) -> None:
        """Add a leaf by its hash."""
        width, root = 1, leaf
        while self._frontier and self._frontier[-1][0] == width:
            root = node_hash(self._frontier.pop()[1], root)
            width *= 2
        self._frontier.append((width, root))
        self.size += 1

    @property
    def root(self) -> bytes:
        """The tree head; the empty tree's is the SHA-256 of nothing."""
        if not self._frontier:
            return hashlib.sha256().digest()
        root = self._frontier[-1][1]
        for _, left in reversed(self._frontier[:-1]):
            root = node_hash(left, root)
        return root
