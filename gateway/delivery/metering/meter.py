"""Counts deliveries: those that run, until what they wrote has left, and those that somebody else (nginx) made and are over."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Self

from appliance.runtime.errors import Refused
from appliance.telemetry.records import Record
from gateway.delivery.metering import handing, survivor
from gateway.delivery.metering.delivery import Delivery, What
from gateway.delivery.metering.handing import Handing, seal
from gateway.delivery.metering.ledger import Ledger
from gateway.delivery.metering.span import Fate, Span, Stream

LOOK = 0.5  # seconds between two looks at what has left meanwhile
SHORTEST, LONGEST = 10.0, 60.0  # seconds of a window
QUIET = 1.0  # seconds of a window in which nothing runs any more
A_SECOND = 100  # records wanted at most: a window with more of them lasts longer
AT_ONCE = 200  # connections looked at without letting others run
LINGER = 30.0  # seconds for which a connection that ended is held until its last bytes have left
MOST_LINGERING = 2000  # connections
MOST_UNREAD = 64  # deliveries of one connection whose last bytes its screen did not acknowledge
FEWEST_FREE = 64  # slots: below, no delivery begins
log = logging.getLogger("headgate.delivery")


class Running:
    """A delivery under way: a ``with`` block, in which ``end`` is called once it is over."""

    __slots__ = ("_ended", "_fate", "_meter", "_span", "_started", "_transport", "_what")

    def __init__(self, meter: Meter, transport: asyncio.Transport | None, what: What) -> None:
        self._meter, self._transport, self._what, self._started = meter, transport, what, time.time()
        self._span: Span | None = None  # the last one
        self._fate, self._ended = Fate(), False

    @property
    def what(self) -> What:
        """What is delivered, as far as that was known when it began."""
        return self._what

    def content(self, status: int, count: int, ahead: int = 0) -> None:
        """Note that ``count`` bytes of content go next, behind ``ahead`` other bytes that are not written yet (the answer's head).

        What was noted before is written by now.

        Raises:
            ConnectionError: it cannot be accounted for: the connection is broken off.
        """
        if count and self._transport is not None:
            what = self._what if self._what.status == status else self._what._replace(status=status)
            if self._span is not None:
                self._span.over = self._span.whole = True
            try:
                begun = self._meter.span(
                    self._transport, what, count, ahead, self._started, self._fate, first=self._span is None
                )
            except Refused as error:  # its head may be under way, so that no refusal can be told any more
                self._transport.abort()
                raise ConnectionResetError(str(error)) from error
            if begun is not None:
                self._span = begun

    def is_crowded(self) -> bool:
        """Return whether the screen has to read first: too many stretches on its connection have not arrived."""
        return self._meter.is_crowded(self._transport)

    def progress(self, sent: int) -> None:
        """Note that the kernel took ``sent`` bytes of content so far: nothing to do where the kernel itself is asked."""

    def end(self, status: int, sent: int, count: int, method: str = "GET") -> None:
        """Tell that the delivery is over, ``sent`` of ``count`` bytes were taken; what was no use (HEAD, 416) is not counted."""
        self._ended = True
        if self._span is not None:
            self._over(whole=sent == count)
        elif method == "GET" and status != 416 and self._meter.meters(self._transport):
            seconds = time.time() - self._started
            self._meter.add(Delivery(self._what._replace(status=status), 0, self._started, seconds, sent < count))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Count what left before a failure, if ``end`` did not."""
        if not self._ended:
            self._over(whole=False)

    def _over(self, *, whole: bool) -> None:
        if (span := self._span) is not None:
            span.over, span.whole, span.seconds = True, whole, time.time() - self._started  # of the request, told once


class Meter:
    """The deliveries of one zone, in the ledger in ``folder``; to be made before there are threads."""

    def __init__(
        self,
        folder: Path,
        zone: str,
        screen: str,
        hand_over: Callable[[Sequence[Record]], Awaitable[None]],
        lost: Callable[[], None],
        *,
        survive: bool = True,
    ) -> None:
        self.zone, self.screen = zone, screen
        self._ledger = Ledger(folder)
        self._survivor = _survivor(folder) if survive else None
        self._handing = Handing(folder, hand_over, lost)
        self._streams: dict[asyncio.Transport, Stream] = {}
        self._lingering: list[Stream] = []
        self._alone = asyncio.Lock()  # windows follow each other in one task at a time
        self._turned, self._length = time.monotonic(), SHORTEST

    def check(self) -> None:
        """Raise unless a new delivery can be accounted for.

        Raises:
            Refused: too much waits for the exchange (``busy``).
        """
        if self._handing.bytes >= handing.MOST_WAITING:
            raise Refused("busy", "too many records of use wait for the exchange", 503)
        if self._ledger.slots.free < FEWEST_FREE:
            raise Refused("busy", "too many deliveries are under way", 503)
        self._ledger.make_room()

    @property
    def waiting(self) -> int:
        """How many records the exchange has not taken yet."""
        return self._handing.waiting

    @property
    def mark(self) -> int:
        """How far somebody else's deliveries were taken, by the ``mark`` of the last ``add_all``."""
        return self._ledger.slots.mark

    def begin(
        self,
        transport: asyncio.Transport | None,
        release: str,
        path: str,
        body: str,
        cache: str,
        subject: str = "",
        status: int = 0,
    ) -> Running:
        """Begin a delivery on a connection: ``release`` is its code, ``cache`` is ``hit`` or ``miss``, ``status`` 0 where none is known.

        Raises:
            Refused: the screen asks for more and more and reads nothing of it (``busy``).
        """
        self._not_crowded(transport)
        return Running(self, transport, What(release, path, body, self.zone, self.screen, status, cache, subject))

    def write(
        self, transport: asyncio.Transport, what: What, answer: bytes, count: int, *, alone: bool = False
    ) -> None:
        """Write a whole ``answer``, which ends with ``count`` bytes of content: a delivery of its own, as by ``begin``, in less time.

        ``alone``: nothing else was written to the connection since the last one, so that the kernel need not be asked where it is.

        Raises:
            Refused: it could not be accounted for (``busy``); nothing is written.
        """
        self._not_crowded(transport)
        started, whole = time.time(), False
        head = len(answer) - count
        span = self.span(transport, what, count, head, started, Fate(), first=True, alone=alone) if count else None
        try:
            transport.write(answer)
            whole = True
        finally:
            if span is not None:
                span.over, span.whole, span.seconds = True, whole, time.time() - started
        if not count and self.meters(transport):
            self.add(Delivery(what, 0, started, time.time() - started))

    def _not_crowded(self, transport: asyncio.Transport | None) -> None:
        if self.is_crowded(transport):
            raise Refused("busy", "read what was asked for before, first", 503)

    def is_crowded(self, transport: asyncio.Transport | None) -> bool:
        """Return whether too many stretches on this connection have not arrived."""
        stream = self._streams.get(transport) if transport is not None else None
        return stream is not None and len(stream.spans) >= MOST_UNREAD and not stream.has_room(MOST_UNREAD)

    def add(self, delivery: Delivery) -> None:
        """Count a delivery that is over.

        Raises:
            Refused: there is no room to write it down (``busy``).
        """
        self._count(self._ledger.cell(delivery.what), delivery)

    def add_all(self, deliveries: Iterable[Delivery], mark: int) -> None:
        """Count deliveries that are over and note the ``mark``: all of it holds or nothing, whatever is killed meanwhile.

        Raises:
            Refused: there is no room to write them down (``busy``).
        """
        sums = dict[int, Delivery]()
        for delivery in deliveries:
            cell = self._ledger.cell(delivery.what)
            sums[cell] = sums[cell].and_another(delivery) if cell in sums else delivery
        slots = self._ledger.slots
        slots.about_to_mark(mark, self._ledger.last + 1)
        for cell, delivery in sums.items():  # each once, so that what was there before can be had back
            self._count(cell, delivery)
        slots.marked()

    def _count(self, cell: int, one: Delivery) -> None:
        self._ledger.count(
            cell, self._ledger.ticket(), one.requests, one.sent, one.started, one.seconds, one.broken, one.last
        )

    def meters(self, transport: asyncio.Transport | None) -> bool:
        """Return whether this is a screen's own connection; what goes to nginx is counted by what nginx says."""
        connection: socket.socket | None = transport.get_extra_info("socket") if transport is not None else None
        return connection is not None and connection.family != socket.AF_UNIX

    def span(
        self,
        transport: asyncio.Transport,
        what: What,
        count: int,
        ahead: int,
        started: float,
        fate: Fate,
        *,
        first: bool,
        alone: bool = False,
    ) -> Span | None:
        """Begin a stretch of content on a connection; None where it is not counted here. ``alone``: as in ``write``.

        Raises:
            Refused: it could not be accounted for (``busy``).
        """
        stream = self._streams.get(transport)
        if stream is None:
            if not self.meters(transport):
                return None
            stream = self._streams[transport] = Stream(self._ledger, transport.get_extra_info("socket"))
        if alone:
            return stream.follow(what, ahead, count, started, fate)
        return stream.begin(what, transport.get_write_buffer_size() + ahead, count, started, fate, first=first)

    def lost(self, transport: asyncio.Transport) -> None:
        """Settle what a connection carried that is about to be closed: what broke off leaves no more, the rest is waited for."""
        stream = self._streams.pop(transport, None)
        if stream is None or stream.settle():
            return
        if stream.whole and len(self._lingering) < MOST_LINGERING and stream.hold(time.monotonic() + LINGER):
            self._lingering.append(stream)
        else:
            stream.stop()

    async def run(self) -> None:
        """Settle, turn windows and hand over, for ever."""
        for sealed in self._ledger.sealed:
            self._handing.add(sealed)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._handing.run())
            while True:
                ticket = self._ledger.last
                await asyncio.sleep(LOOK)
                self._watch()
                async with self._alone:
                    await self._look()
                    age = time.monotonic() - self._turned
                    if age >= self._length or (age >= QUIET and self._is_quiet(ticket)):
                        await self._turn()
                    await asyncio.to_thread(self._ledger.sync)

    def _watch(self) -> None:
        """Tell if the survivor is gone: a kill -9 of this process alone is not survived exactly any more, only as noted last."""
        if self._survivor is not None and os.waitpid(self._survivor, os.WNOHANG)[0]:
            log.error("the process that survives this one was killed: after a kill -9 use is counted as noted last")
            self._survivor = None

    def _is_quiet(self, ticket: int) -> bool:
        """Return whether nothing runs and nothing came since ``ticket``: then there is nothing to be counted together."""
        return ticket == self._ledger.last and not any(s.spans for s in (*self._streams.values(), *self._lingering))

    async def _look(self) -> None:
        for number, stream in enumerate(list(self._streams.values())):
            stream.settle()
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        now = time.monotonic()
        for stream in self._lingering:
            if not stream.settle() and now > stream.until:
                stream.stop()
        self._lingering = [stream for stream in self._lingering if stream.spans]

    async def _turn(self) -> None:
        ledger = self._ledger
        self._turned = time.monotonic()
        try:
            if len(ledger.window):
                self._length = min(LONGEST, max(SHORTEST, len(ledger.window) / A_SECOND))
                ledger.turn()
        except OSError as error:
            log.error("use is counted on in the same window: %s", error)
            return
        used: set[int] = set()
        for stream in [*self._streams.values(), *self._lingering]:
            for span in stream.spans:
                used.add(span.move() >> 32)
        for number in [number for number in ledger.old if number not in used]:
            if (sealed := await asyncio.to_thread(seal, ledger.old.pop(number))) is not None:
                self._handing.add(sealed)

    async def drain(self, seconds: float) -> int:
        """Settle what is left when the daemon stops, at most for ``seconds``; return how many records wait on the disk."""
        try:
            async with asyncio.timeout(seconds):
                while any(stream.spans for stream in [*self._streams.values(), *self._lingering]):
                    async with self._alone:
                        await self._look()
                    await asyncio.sleep(0.05)
                async with self._alone:
                    await self._turn()
                await self._handing.idle()
        except TimeoutError:
            for stream in [*self._streams.values(), *self._lingering]:
                stream.stop()
        return self._handing.waiting


def _survivor(folder: Path) -> int | None:
    """Start the survivor; without one, a delivery that is killed is counted as noted last."""
    try:
        return survivor.start(folder)
    except OSError as error:
        log.error("no process survives this one, after a kill -9 use is counted as noted last: %s", error)
        return None
