"""LRU: what was not used for longest goes first."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from gateway.store.keeping import MAIN, MOST_FREQUENT, PROBATION, E, Shelf


class Lru:
    """Keeps what was used last."""

    name = "lru"

    def enters(self, shelf: Shelf[Any], key: Hashable) -> int:
        """Return the main queue."""
        return MAIN

    def used(self, shelf: Shelf[E], entry: E) -> None:
        """Put the entry to the newest end."""
        shelf.move(entry, MAIN, min(entry.frequency + 1, MOST_FREQUENT))

    def victim(self, shelf: Shelf[E]) -> E | None:
        """Return what is on probation, if another policy left something there, else the least recently used."""
        return shelf.oldest(PROBATION) or shelf.oldest(MAIN)
