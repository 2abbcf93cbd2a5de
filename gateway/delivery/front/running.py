"""The transfers that nginx has under way, as its log tells: which connection carries what; pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from gateway.delivery.front import opaque
from gateway.delivery.front.lines import Began
from gateway.delivery.front.opaque import Carried

MOST = 32_768  # transfers under way
Screen = tuple[str, int]  # address and port of a connection's end at a screen


class Transfer(NamedTuple):
    """A transfer under way."""

    began: Began
    carried: Carried
    begins: int  # the mark of where its line begins
    seen: float  # seconds of a clock, when the line was read

    @property
    def screen(self) -> Screen:
        """Its connection, by the end at the screen."""
        return self.began.screen, self.began.port


class Running:
    """The table, in the order of the lines."""

    def __init__(self) -> None:
        self._transfers: OrderedDict[str, Transfer] = OrderedDict()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._transfers)

    def __contains__(self, name: str) -> bool:
        """Return whether one is under way."""
        return name in self._transfers

    @property
    def full(self) -> bool:
        """Whether nginx should begin no more: one that is not known could not be broken off."""
        return len(self._transfers) >= MOST

    def begin(self, began: Began, begins: int, now: float) -> None:
        """Take a line about one that begins.

        Raises:
            ValueError: what it carries is not as delivery tells nginx.
        """
        carried = opaque.of(began.meter, began.subject, began.marks)
        self._transfers[began.id] = Transfer(began, carried, begins, now)
        self._transfers.move_to_end(began.id)

    def end(self, name: str) -> None:
        """Take a line about one that is over."""
        self._transfers.pop(name, None)

    @property
    def oldest(self) -> Transfer | None:
        """The one whose line is furthest back."""
        return next(iter(self._transfers.values()), None)

    def those(self, carry: Callable[[Carried], bool]) -> set[Screen]:
        """Return the connections that carry such things."""
        return {transfer.screen for transfer in self._transfers.values() if carry(transfer.carried)}

    def before(self, seen: float) -> set[Screen]:
        """Return the connections of transfers that are known since before ``seen``."""
        return {transfer.screen for transfer in self._transfers.values() if transfer.seen < seen}

    def drop(self, screens: Collection[Screen], seen: float) -> int:
        """Forget what ``screens`` had begun before ``seen``; return how many that were."""
        gone = [name for name, one in self._transfers.items() if one.screen in screens and one.seen < seen]
        for name in gone:
            del self._transfers[name]
        return len(gone)


def of_releases(codes: Iterable[str]) -> Callable[[Carried], bool]:
    """Return whether something is of one of these releases."""
    wanted = frozenset(codes)
    return lambda carried: carried.release in wanted
