"""Transfers that nginx ended, held until it is known how much of them left; pure.

What nginx says it sent is what the kernel took. Where a connection ends before TCP sent all of that, the rest never leaves, and the
kernel says how much that was (``gateway/isolation/cutting.py``). It is taken from the transfers of that connection, the last one first.
"""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from gateway.delivery.front.lines import Account, Ended
from gateway.delivery.front.opaque import Carried

Screen = tuple[str, int]
LAG = 2.0  # seconds for the kernel's word about a connection that ended
LONGEST = 30.0  # seconds for what a slow screen has not been sent yet
SMALL = 64 << 10  # bytes that a connection was given lately: what waits of less is not asked about
MOST = 100_000  # alike ones are one; with more, the oldest are let go at once


class Held:
    """One transfer that is over, or several of one connection that are alike."""

    __slots__ = ("_missing", "carried", "ended", "screen", "sent", "settled")

    def __init__(self, ended: Ended, carried: Carried | None = None) -> None:
        self.ended, self.carried, self.sent = ended, carried, ended.sent * ended.requests
        self.screen = ended.screen, ended.port  # its connection, by the end at the screen
        self._missing = 0
        self.settled = not ended.done  # nothing more is asked about it: its connection is destroyed

    def lefts(self) -> list[tuple[int, int]]:
        """Return how many bytes of content left, and of how many answers each time: whole ones, one in part, and none of the last ones."""
        one = self.ended
        if not self._missing:
            return [(one.body, one.requests)]
        none, rest = divmod(self._missing, one.sent)
        whole = one.requests - none - (rest > 0)
        return [(one.body, whole), *([(max(0, one.body - rest), 1)] if rest else []), (0, none)]

    @property
    def broken(self) -> int:
        """Of how many answers fewer bytes left than were to."""
        if not self.ended.done:
            return self.ended.requests
        return sum(count for left, count in self.lefts() if left < self.ended.body)

    def miss(self, count: int) -> int:
        """Take note that up to ``count`` bytes of it never left; return how many are to be missed of what came before it."""
        taken = min(count, self.sent - self._missing)
        self._missing += taken
        return count - taken


def own(some: Iterable[Held]) -> Iterator[tuple[Ended, Carried]]:
    """Yield what nginx answered by itself, with what that carried."""
    return ((held.ended, held.carried) for held in some if held.carried is not None and not held.ended.passed)


def alike(some: Iterable[tuple[Ended, Carried]]) -> dict[tuple[int, str, float, bool], tuple[int, int]]:
    """Return how many answers have the same status, cache, seconds and end (whole or not), and the bytes of content of all of them."""
    sums = dict[tuple[int, str, float, bool], tuple[int, int]]()
    for ended, carried in some:
        key = ended.status, carried.cache, ended.seconds, ended.done
        count, sent = sums.get(key, (0, 0))
        sums[key] = count + ended.requests, sent + ended.body * ended.requests
    return sums


@dataclass(frozen=True, slots=True)
class Batch:
    """What a stretch of the log said is over, which is counted together."""

    held: list[Held]
    begins: int  # the mark of where the stretch begins
    mark: int  # of where it ends
    since: float  # seconds of a clock, when it was read
    accounts: Sequence[Account] = ()  # that were read with it


class Holding:
    """The transfers that are held, in the order of their lines."""

    def __init__(self) -> None:
        self._batches: deque[Batch] = deque()
        self._by_screen: defaultdict[Screen, deque[tuple[Held, float]]] = defaultdict(deque)
        self._bytes: defaultdict[Screen, int] = defaultdict(int)  # that are held of each connection
        self._count = 0

    def __len__(self) -> int:
        """Return how many are held; those that are alike are one."""
        return self._count

    @property
    def first(self) -> Batch | None:
        """The oldest ones."""
        return self._batches[0] if self._batches else None

    def add(self, batch: Batch) -> None:
        """Hold some more."""
        self._batches.append(batch)
        self._count += len(batch.held)
        for held in batch.held:
            self._by_screen[held.screen].append((held, batch.since))
            self._bytes[held.screen] += held.sent

    def never_left(self, screen: Screen, count: int, at: float, *, fin: bool = True) -> int:
        """Take what never left of a connection that ended at ``at`` off its transfers; return what cannot be: it is counted already.

        ``fin``: where nginx closed the connection, its FIN is among them.
        """
        # A later connection may have the same name. What was read together is not in the order in which it was over.
        ended = [held for held, _ in reversed(self._by_screen.get(screen, ())) if held.ended.at <= at]
        ended.sort(key=lambda held: held.ended.at, reverse=True)
        if fin and ended and ended[0].ended.closed:
            count -= 1
        for held in ended:
            count = held.miss(count)
            held.settled = True
        return count

    def unsure(self, now: float) -> set[Screen]:
        """Return the connections of which it is to be asked whether something waits in them."""
        old = itertools.takewhile(lambda batch: now - batch.since >= LAG, self._batches)
        return {held.screen for batch in old for held in batch.held if not self._is_settled(held)}

    def _is_settled(self, held: Held) -> bool:
        return held.settled or self._bytes[held.screen] <= SMALL

    def those(self, carry: Callable[[Carried], bool]) -> set[Screen]:
        """Return the connections that carried such things, and may do so yet: what nginx has done with waits in the kernel."""
        return {
            held.screen
            for batch in self._batches
            for held in batch.held
            if held.carried is not None and carry(held.carried)
        }

    def settle(self, screens: Collection[Screen], now: float) -> None:
        """Take note that nothing waits any more in these connections; what they ended lately may still be told."""
        for screen in screens:
            for held, since in self._by_screen.get(screen, ()):
                if now - since >= LAG:
                    held.settled = True

    def next(self, now: float) -> Batch | None:
        """Return the oldest ones if they can be counted, else None."""
        if not self._batches:
            return None
        batch = self._batches[0]
        age = now - batch.since
        if (age >= LAG and all(self._is_settled(held) for held in batch.held)) or age >= LONGEST or self._count > MOST:
            return batch
        return None

    def pop(self) -> Batch:
        """Let the oldest ones go and return them: they are counted."""
        batch = self._batches.popleft()
        self._count -= len(batch.held)
        for held in batch.held:
            others = self._by_screen[held.screen]
            others.popleft()  # it is the oldest of these too
            self._bytes[held.screen] -= held.sent
            if not others:
                del self._by_screen[held.screen], self._bytes[held.screen]
        return batch
