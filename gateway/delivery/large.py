"""Large objects that were asked for a moment ago, held open: whoever asks for all or one range of one gets that at once."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from appliance.runtime.quick import Later, Rest
from gateway.delivery import cmsd, metrics
from gateway.delivery.cmsd import Link
from gateway.delivery.known import Known, What
from gateway.delivery.line import Line, look
from gateway.delivery.metering.delivery import What as Delivered
from gateway.delivery.metering.meter import Meter, Running
from gateway.permission.permit import Permit
from gateway.serving.choose import Part, Whole, choose
from gateway.serving.exchange import Exchange, Manifest
from gateway.serving.running import Running as Requests
from gateway.serving.send import SMALL
from gateway.serving.transfer import Transfer

# What one answer says and the next does not, of the same object.
OWN = ("Date", "Connection", "Content-Length", "Content-Range", cmsd.DYNAMIC)

Chosen = tuple[int, int, int, str]  # status, first byte and number of bytes of an answer, and the lines that say so


@dataclass(slots=True)
class Large(Known):
    """A large object, and what every answer with it says."""

    file: BinaryIO
    size: int
    etag: str
    head: str  # the header lines that are the same in each answer
    tells: bool  # an answer says how the line is, too
    line: bytes = b""  # status and date of this second
    start: bytes = b""  # of a head with that line, for all of it
    users: int = 1  # who knows it, and answers under way

    @classmethod
    def of(cls, what: What, file: BinaryIO, headers: Mapping[str, str]) -> Large:
        """Hold the open ``file``, with which an answer with ``headers`` was given."""
        head = "".join([f"{name}: {value}\r\n" for name, value in headers.items() if name not in OWN])
        size = what.manifest.files[what.path].size
        return cls(*what, file, size, headers["ETag"], head, not headers.get(cmsd.STATIC, "").startswith("ot=m"))

    @property
    def all(self) -> Chosen:
        """What a request for all of it is answered with."""
        return 200, 0, self.size, f"Content-Length: {self.size}\r\n"

    def take(self) -> None:
        """Keep the file open until ``leave``."""
        self.users += 1

    def leave(self) -> None:
        """Need the file no longer."""
        self.users -= 1
        if not self.users:
            self.file.close()

    def started(self, line: bytes) -> bytes:
        """Return a head that begins with the status ``line``, for all of it, up to what it says of the screen's line."""
        if self.line is not line:
            self.line, self.start = line, line + f"{self.head}{self.all[3]}".encode()
        return self.start

    def chosen(self, headers: Mapping[str, str]) -> Chosen | None:
        """Return what a request with ``headers`` is answered with; None for what is neither all nor one range."""
        size = self.size
        match choose(headers, "GET", size, self.etag):
            case Whole():
                return self.all
            case Part(first, last):
                count = last - first + 1
                return 206, first, count, f"Content-Range: bytes {first}-{last}/{size}\r\nContent-Length: {count}\r\n"
            case _:
                return None


@dataclass(slots=True)
class Answer:
    """An answer that is to be written, or that its connection did not take at once."""

    known: Large
    status: int
    count: int  # bytes of content
    began: float
    transfer: Transfer
    running: Running
    permit: Permit | None
    following: Sequence[str]  # what its player asks for next
    head: bytes = b""  # before it is written
    turn: contextlib.ExitStack | None = None  # it is one of the requests under way


class Answers:
    """The answers with large objects of one zone.

    ``tell`` gives ``CMSD-Dynamic`` for a connection, whose answer took so many seconds; ``served`` hears what was sent whole, and what its
    player asks for next.
    """

    def __init__(
        self,
        zone: str,
        exchange: Exchange,
        line: Line,
        requests: Requests,
        meter: Meter,
        tell: Callable[[Link | None, float | None], str],
        served: Callable[[Manifest, str, Sequence[str]], None],
    ) -> None:
        self._zone, self._exchange, self._line, self._requests, self._meter = zone, exchange, line, requests, meter
        self._tell, self._served = tell, served
        self._under_way: dict[asyncio.Transport, Answer] = {}
        # How each screen's line is, as heads with which status line told it: they tell the second, too. None: what small parts tell all.
        self._said: dict[asyncio.Transport | None, tuple[bytes, bytes]] = {}
        self._tallies = {status: metrics.Tally(zone, status, "hit") for status in (200, 206)}

    def begin(
        self,
        known: Large,
        chosen: Chosen,
        line: bytes,
        transport: asyncio.Transport,
        permit: Permit | None,
        running: Running,
        began: float,
        following: Sequence[str],
    ) -> Later:
        """Return an answer that begins with the status ``line``, to be written once all that came meanwhile was read.

        Raises:
            ConnectionError: it cannot be accounted for; the connection is broken off.
        """
        status, first, count, own = chosen
        head = line + f"{known.head}{own}".encode() + self._end_of_head(known, count, line, transport, began)
        running.content(status, count, len(head))
        transfer = Transfer(transport, known.file, first, count)
        answer = Answer(known, status, count, began, transfer, running, permit, following, head)
        known.take()
        self._under_way[transport] = answer
        return Later(partial(self._write, answer))

    def again(
        self,
        known: Large,
        what: Delivered,
        line: bytes,
        transport: asyncio.Transport,
        permit: Permit | None,
        began: float,
        following: Sequence[str],
        *,
        alone: bool,
    ) -> bool | Rest:
        """Answer with all of an object at once, or begin to; ``alone`` as in ``Meter.follow``.

        Raises:
            Refused: it could not be accounted for (``busy``); nothing is written.
        """
        size = known.size
        head = known.started(line) + self._end_of_head(known, size, line, transport, began)
        running = self._meter.follow(transport, what, size, len(head), alone=alone)
        transfer = Transfer(transport, known.file, 0, size)
        if transfer.begin(head):
            self._count(running, 200, size, size, began)
            self._served(known.manifest, known.path, following)
            return True
        known.take()
        answer = self._under_way[transport] = Answer(known, 200, size, began, transfer, running, permit, following)
        return self._go_on(answer)

    def write(self) -> None:
        """Write what is put off."""
        for answer in list(self._under_way.values()):
            self._write(answer)

    def _write(self, answer: Answer) -> Rest | None:
        if answer.head:
            head, answer.head = answer.head, b""
            if not answer.transfer.begin(head):
                return self._go_on(answer)
            self._end(answer)
        return None if answer.turn is None else partial(self._finish, answer)

    def _go_on(self, answer: Answer) -> Rest:
        answer.turn = contextlib.ExitStack()
        answer.turn.enter_context(self._requests.of(answer.known.code, answer.transfer, answer.permit)).begin()
        return partial(self._finish, answer)

    def _end_of_head(self, known: Large, count: int, line: bytes, transport: asyncio.Transport, began: float) -> bytes:
        """Return what a head ends with: how the screen's line is, asked of the kernel once for all heads with this status ``line``."""
        if not known.tells:
            return b"\r\n"
        link = transport if count > SMALL else None
        said = self._said.get(link)
        if said is None or said[0] is not line:
            told = self._tell(look(link), None if link is None else time.monotonic() - began)
            said = self._said[link] = line, (f"{cmsd.DYNAMIC}: {told}\r\n\r\n" if told else "\r\n").encode()
        return said[1]

    def lost(self, transport: asyncio.Transport) -> None:
        """Send nothing more over a connection that is about to be closed."""
        self._said.pop(transport, None)
        if (answer := self._under_way.get(transport)) is not None:
            self._end(answer)

    async def _finish(self, answer: Answer) -> None:
        transfer = answer.transfer
        try:
            readable = await transfer.finish()
        finally:
            if not transfer.whole:
                transfer.transport.abort()  # a short answer must not look whole
            if answer.transfer.transport in self._under_way:
                self._end(answer)
        if not readable:
            await self._exchange.damaged(answer.known.manifest, answer.known.path)

    def _end(self, answer: Answer) -> None:
        transfer, known = answer.transfer, answer.known
        del self._under_way[transfer.transport]
        answer.head = b""
        if answer.turn is not None:
            answer.turn.close()
        transfer.close()
        known.leave()
        self._count(answer.running, answer.status, transfer.sent, answer.count, answer.began)
        if transfer.whole:
            self._served(known.manifest, known.path, answer.following)
        else:
            metrics.BROKEN_OFF.labels(self._zone).inc()
        if transfer.late:
            metrics.REFUSALS.labels(self._zone, "too-slow").inc()

    def _count(self, running: Running, status: int, sent: int, count: int, began: float) -> None:
        running.end(status, sent, count)
        self._line.sent(sent)
        self._tallies[status].count(sent, time.monotonic() - began)
