"""SIEVE (Zhang et al., NSDI 2024): a hand goes from old to new, spares what was used, and takes what was not."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from gateway.store.keeping import MAIN, MOST_FREQUENT, PROBATION, E, Shelf


class Sieve:
    """Keeps what is used again before the hand comes by; a use moves nothing."""

    name = "sieve"

    def enters(self, shelf: Shelf[Any], key: Hashable) -> int:
        """Return the main queue."""
        return MAIN

    def used(self, shelf: Shelf[E], entry: E) -> None:
        """Mark the entry as used."""
        if entry.frequency < MOST_FREQUENT:
            shelf.mark(entry, entry.frequency + 1)

    def victim(self, shelf: Shelf[E]) -> E | None:
        """Return what is on probation, if another policy left something there, else the first at the hand without a use."""
        if (left := shelf.oldest(PROBATION)) is not None:
            return left
        while (entry := shelf.at_hand()) is not None:
            if not entry.frequency:
                return entry
            shelf.pass_by(entry)  # one for each use that came before: at most once around
        return None
