"""S3-FIFO (Yang et al., SOSP 2023): what is new stands on probation in a tenth of the bytes; what was known lately does not."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from gateway.store.keeping import MAIN, MOST_FREQUENT, PROBATION, E, Shelf

SHARE = 0.1  # of the bytes, for what is on probation
ENOUGH = 2  # uses on probation by which an object comes into the main queue


class S3Fifo:
    """Lets what is used once go quickly."""

    name = "s3-fifo"

    def enters(self, shelf: Shelf[Any], key: Hashable) -> int:
        """Return the main queue for what was here lately, else probation."""
        return MAIN if shelf.remembered(key) else PROBATION

    def used(self, shelf: Shelf[E], entry: E) -> None:
        """Count the use."""
        if entry.frequency < MOST_FREQUENT:
            shelf.mark(entry, entry.frequency + 1)

    def victim(self, shelf: Shelf[E]) -> E | None:
        """Return the oldest on probation that was not used enough, or the oldest of the main queue without a use left."""
        while True:
            new, main = shelf.bytes(PROBATION), shelf.bytes(MAIN)
            entry = shelf.oldest(PROBATION) if new >= SHARE * (new + main) else None
            if entry is not None:
                if entry.frequency < ENOUGH:
                    shelf.remember(entry)
                    return entry
                shelf.move(entry, MAIN, 0)
                continue
            entry = shelf.oldest(MAIN)
            if entry is None:
                return shelf.oldest(PROBATION)
            if not entry.frequency:
                return entry
            shelf.move(entry, MAIN, entry.frequency - 1)
