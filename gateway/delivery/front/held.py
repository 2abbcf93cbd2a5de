"""Transfers that nginx ended, held until it is known how much of them left; pure.

What nginx says it sent is what the kernel took. Where a connection ends before TCP sent all of that, the rest never leaves, and the
kernel says how much that was (``gateway/isolation/cutting.py``). It is taken from the transfers of that connection, the last one first.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection

from gateway.delivery.front.lines import Ended

Screen = tuple[str, int]
LAG = 2.0  # seconds for the kernel's word about a connection that ended
LONGEST = 30.0  # seconds for what a slow screen has not been sent yet
SMALL = 64 << 10  # bytes that a connection was given lately: what waits of less is not asked about
MOST = 100_000  # lines; with more, the oldest are let go at once


class Held:
    """One transfer that is over."""

    __slots__ = ("_missing", "begins", "ended", "mark", "settled", "since")

    def __init__(self, ended: Ended, mark: int, begins: int, now: float) -> None:
        self.ended, self.mark, self.begins, self.since = ended, mark, begins, now  # mark and place of its line
        self._missing = 0
        self.settled = not ended.done  # nothing more is asked about it: its connection is destroyed

    @property
    def screen(self) -> Screen:
        """Its connection, by the end at the screen."""
        return self.ended.screen, self.ended.port

    @property
    def left(self) -> int:
        """How many bytes of content left."""
        return max(0, self.ended.body - self._missing)

    @property
    def broken(self) -> bool:
        """Whether fewer bytes left than were to."""
        return not self.ended.done or self.left < self.ended.body

    def miss(self, count: int) -> int:
        """Take note that up to ``count`` bytes of it never left; return how many are to be missed of what came before it."""
        taken = min(count, self.ended.sent - self._missing)
        self._missing += taken
        return count - taken


class Holding:
    """The transfers that are held, in the order of their lines."""

    def __init__(self) -> None:
        self._held: deque[Held] = deque()
        self._by_screen: defaultdict[Screen, deque[Held]] = defaultdict(deque)
        self._bytes: Counter[Screen] = Counter()  # that are held of each connection

    def __len__(self) -> int:
        """Return how many are held."""
        return len(self._held)

    @property
    def first(self) -> Held | None:
        """The oldest one."""
        return self._held[0] if self._held else None

    def add(self, held: Held) -> None:
        """Hold one more."""
        self._held.append(held)
        self._by_screen[held.screen].append(held)
        self._bytes[held.screen] += held.ended.sent

    def never_left(self, screen: Screen, count: int, at: float) -> int:
        """Take what never left of a connection that ended at ``at`` off its transfers; return what cannot be: it is counted already."""
        for held in reversed(self._by_screen.get(screen, ())):
            if held.ended.at <= at:  # else of a later connection that has the same name
                count = held.miss(count)
                held.settled = True
        return count

    def unsure(self, now: float) -> set[Screen]:
        """Return the connections of which it is to be asked whether something waits in them."""
        old = itertools.takewhile(lambda held: now - held.since >= LAG, self._held)
        return {held.screen for held in old if not self._is_settled(held)}

    def _is_settled(self, held: Held) -> bool:
        return held.settled or self._bytes[held.screen] <= SMALL

    def those(self, carry: Callable[[Ended], bool]) -> set[Screen]:
        """Return the connections that carried such things, and may do so yet: what nginx has done with waits in the kernel."""
        return {held.screen for held in self._held if carry(held.ended)}

    def settle(self, screens: Collection[Screen], now: float) -> None:
        """Take note that nothing waits any more in these connections; what they ended lately may still be told."""
        for screen in screens:
            for held in self._by_screen.get(screen, ()):
                if now - held.since >= LAG:
                    held.settled = True

    def next(self, now: float) -> Held | None:
        """Return the oldest one if it can be counted, else None."""
        if not self._held:
            return None
        held, age = self._held[0], now - self._held[0].since
        if (age >= LAG and self._is_settled(held)) or age >= LONGEST or len(self._held) > MOST:
            return held
        return None

    def pop(self) -> None:
        """Let the oldest one go: it is counted."""
        held = self._held.popleft()
        others = self._by_screen[held.screen]
        others.popleft()  # it is the oldest of these too
        self._bytes[held.screen] -= held.ended.sent
        if not others:
            del self._by_screen[held.screen], self._bytes[held.screen]
