"""What to keep: the words in which every policy is written, so that one code serves the index on disk, the shadows and the benchmark.

A ``Shelf`` holds entries in queues, each in order of coming; a ``Keep`` says where a new one goes, what a use does, and who is next to go.
Every step costs a bounded number of the shelf's operations, amortised over the uses and fills that came before.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Protocol, TypeVar

PROBATION, MAIN, PINNED = 0, 1, 2  # queues; no policy ever looks at what is pinned
MOST_FREQUENT = 3  # uses that are told apart


class Entry(Protocol):
    """One object as a policy sees it."""

    @property
    def key(self) -> Hashable:
        """What it is known by."""

    @property
    def frequency(self) -> int:
        """Uses since a policy last looked, at most ``MOST_FREQUENT``."""


E = TypeVar("E", bound=Entry)


class Shelf(Protocol[E]):
    """Where entries stand: in memory (``shelf.py``) or in the index (``rows.py``)."""

    def bytes(self, queue: int) -> int:
        """Return the bytes of the objects in ``queue``."""

    def oldest(self, queue: int) -> E | None:
        """Return the entry that came to ``queue`` before all others."""

    def at_hand(self) -> E | None:
        """Return the entry of the main queue behind the hand, which goes from old to new and around."""

    def pass_by(self, entry: E) -> None:
        """Forget the uses of ``entry`` and move the hand on, behind it."""

    def move(self, entry: E, queue: int, frequency: int) -> None:
        """Put ``entry`` to the newest end of ``queue``, with so many uses."""

    def mark(self, entry: E, frequency: int) -> None:
        """Say how many uses ``entry`` has."""

    def remember(self, entry: E) -> None:
        """Remember that ``entry`` was here, until as many bytes as stand here went after it."""

    def remembered(self, key: Hashable) -> bool:
        """Return whether an entry of this key was here lately."""


class Keep(Protocol):
    """A policy: what to keep."""

    name: str

    def enters(self, shelf: Shelf[Any], key: Hashable) -> int:
        """Return the queue that a new object goes to."""

    def used(self, shelf: Shelf[E], entry: E) -> None:
        """Take note of a use."""

    def victim(self, shelf: Shelf[E]) -> E | None:
        """Return the entry that goes next; the caller takes it off the shelf. None where nothing may go."""
