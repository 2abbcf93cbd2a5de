"""The stretches of content on one connection, in order, each counted once what was written of it has left."""

from __future__ import annotations

import socket
import time
from collections import deque

from gateway.delivery.metering import stream
from gateway.delivery.metering.delivery import What
from gateway.delivery.metering.ledger import Ledger

UNSEEN = 16  # stretches that follow each other, of which is not asked before whether they left


class Fate:
    """What became of one delivery, however many stretches it has: ``broken`` once it is counted as broken off."""

    __slots__ = ("broken",)

    def __init__(self) -> None:
        self.broken = False


class Span:
    """A stretch of content of one delivery."""

    __slots__ = (
        "_fate", "_ledger", "begins", "cell", "count", "first", "over", "seconds", "slot", "started", "ticket", "whole"
    )  # fmt: skip

    def __init__(
        self, ledger: Ledger, slot: int, ticket: int, cell: int, begins: int, count: int, started: float, fate: Fate
    ) -> None:
        self._ledger, self.slot, self.ticket, self.cell = ledger, slot, ticket, cell
        self.begins, self.count, self.started, self._fate = begins, count, started, fate
        self.first, self.over, self.whole, self.seconds = True, False, False, 0.0

    def left(self, upto: int) -> int:
        """Return how many bytes of it left, of a connection that left up to there."""
        return max(0, min(self.count, upto - self.begins))

    def settle(self, left: int) -> None:
        """Count it."""
        seconds = self.seconds if self.over else time.time() - self.started
        broken = not self._fate.broken and (left < self.count or (self.over and not self.whole))
        self._fate.broken |= broken
        self._ledger.count(self.cell, self.ticket, self.first, left, self.started, seconds, broken)
        self._ledger.slots.clear(self.slot)

    def move(self) -> int:
        """Have it counted in the newest window, if that has room; return the cell."""
        if self.cell >> 32 != self._ledger.window.number:
            number = self._ledger.window.cell(self._ledger.what(self.cell))
            if number is not None:
                self.cell = self._ledger.window.number << 32 | number
                self._ledger.slots.move(self.slot, self.cell)
        return self.cell


class Stream:
    """A connection."""

    def __init__(self, ledger: Ledger, connection: socket.socket) -> None:
        self._ledger, self._connection = ledger, connection
        self._held: socket.socket | None = None
        self.spans: deque[Span] = deque()
        self.until = 0.0
        self._upto = 0  # where the last stretch ends

    def begin(self, what: What, ahead: int, count: int, started: float, fate: Fate, *, first: bool) -> Span:
        """Begin a stretch of ``count`` bytes behind what the kernel took so far and ``ahead`` more.

        Raises:
            Refused: it could not be accounted for (``busy``).
        """
        return self._begin(what, self._look().taken + ahead, count, started, fate, first=first)

    def follow(self, what: What, ahead: int, count: int, started: float, fate: Fate) -> Span:
        """Begin a delivery ``ahead`` bytes behind the last stretch, which the kernel took and nothing else was written behind.

        Raises:
            Refused: it could not be accounted for (``busy``).
        """
        if len(self.spans) >= UNSEEN:
            self._look()
        return self._begin(what, self._upto + ahead, count, started, fate, first=True)

    def _begin(self, what: What, begins: int, count: int, started: float, fate: Fate, *, first: bool) -> Span:
        ledger = self._ledger
        cell, ticket = ledger.cell(what), ledger.ticket()
        slot = ledger.slots.put(ticket, begins, count, cell, started, self._connection.fileno(), first)
        span = Span(ledger, slot, ticket, cell, begins, count, started, fate)
        span.first = first
        self.spans.append(span)
        self._upto = begins + count
        return span

    @property
    def whole(self) -> bool:
        """Whether the kernel took all of what it was to take."""
        return all(span.over and span.whole for span in self.spans)

    def has_room(self, most: int) -> bool:
        """Return whether fewer than ``most`` stretches are open, once what has left for good is counted."""
        self.settle()
        return len(self.spans) < most

    def settle(self) -> bool:
        """Count what has left for good; return whether nothing is open any more."""
        if self.spans:
            here = self._look()
            if here.over:
                self._end(here.left)
        return not self.spans

    def hold(self, until: float) -> bool:
        """Keep the connection open beyond its end, which its peer is told, until its last bytes have left; return whether that can be."""
        try:
            held = self._connection.dup()
        except OSError:
            return False
        for span in self.spans:
            self._ledger.slots.follow(span.slot, held.fileno())
        self._connection = self._held = held
        self.until = until
        try:
            held.shutdown(socket.SHUT_WR)
        except OSError:  # the peer is gone: nothing more leaves
            self.stop()
        return bool(self.spans)

    def stop(self) -> None:
        """Let nothing more leave, and count what did."""
        if self.spans:
            self._end(stream.stop(self._connection).left)

    def _look(self) -> stream.Position:
        here = stream.position(self._connection)
        spans = self.spans
        while spans and spans[0].over and spans[0].begins + spans[0].count <= here.acknowledged:
            span = spans.popleft()
            span.settle(span.count)
        for span in spans:
            if not span.over:
                self._ledger.slots.note(span.slot, span.left(here.left))
        self._close()
        return here

    def _end(self, upto: int) -> None:
        while self.spans:
            span = self.spans.popleft()
            span.settle(span.left(upto))
        self._close()

    def _close(self) -> None:
        if self._held is not None and not self.spans:
            self._held.close()
            self._held = None
