"""Large objects that were asked for a moment ago, held open and mapped: whoever asks for all or one range of one gets that at once."""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from appliance.runtime.quick import Later, Rest
from gateway.delivery import cmsd, metrics
from gateway.delivery.cmsd import Link
from gateway.delivery.known import Known, What
from gateway.delivery.line import Line, look
from gateway.delivery.metering.meter import Running
from gateway.permission.permit import Permit
from gateway.serving.choose import Part, Whole, choose
from gateway.serving.exchange import Exchange
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
    content: memoryview
    etag: str
    head: str  # the header lines that are the same in each answer
    tells: bool  # an answer says how the line is, too

    @classmethod
    def of(cls, what: What, file: BinaryIO, headers: Mapping[str, str]) -> Large:
        """Hold the open ``file``, with which an answer with ``headers`` was given.

        Raises:
            OSError: too much is open.
        """
        head = "".join([f"{name}: {value}\r\n" for name, value in headers.items() if name not in OWN])
        content = memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
        return cls(*what, file, content, headers["ETag"], head, not headers.get(cmsd.STATIC, "").startswith("ot=m"))

    def chosen(self, headers: Mapping[str, str]) -> Chosen | None:
        """Return what a request with ``headers`` is answered with; None for what is neither all nor one range."""
        size = len(self.content)
        match choose(headers, "GET", size, self.etag):
            case Whole():
                return 200, 0, size, f"Content-Length: {size}\r\n"
            case Part(first, last):
                count = last - first + 1
                return 206, first, count, f"Content-Range: bytes {first}-{last}/{size}\r\nContent-Length: {count}\r\n"
            case _:
                return None


@dataclass(slots=True)
class Answer:
    """An answer that is to be written, or that its connection did not take at once."""

    known: Known
    status: int
    count: int  # bytes of content
    began: float
    transfer: Transfer
    running: Running
    permit: Permit | None
    served: Callable[[], None]
    first: tuple[bytes, memoryview] | None  # the head and the content, before they are written
    turn: contextlib.ExitStack | None = None  # it is one of the requests under way


class Answers:
    """The answers with large objects of one zone; ``tell`` gives ``CMSD-Dynamic`` for a connection, whose answer took so many seconds."""

    def __init__(
        self,
        zone: str,
        exchange: Exchange,
        line: Line,
        requests: Requests,
        tell: Callable[[Link | None, float | None], str],
    ) -> None:
        self._zone, self._exchange, self._line, self._requests, self._tell = zone, exchange, line, requests, tell
        self._under_way: dict[asyncio.Transport, Answer] = {}
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
        served: Callable[[], None],
    ) -> Later:
        """Return an answer that begins with the status ``line``, to be written once all that came meanwhile was read.

        ``served`` is called when all was sent.

        Raises:
            ConnectionError: it cannot be accounted for; the connection is broken off.
        """
        status, first, count, own = chosen
        dynamic = self._told(transport, began, large=count > SMALL) if known.tells else ""
        head = line + f"{known.head}{own}{dynamic}\r\n".encode()
        running.content(status, count, len(head))
        transfer, content = Transfer(transport, known.file, first, count), known.content[first : first + count]
        answer = Answer(known, status, count, began, transfer, running, permit, served, (head, content))
        self._under_way[transport] = answer
        return Later(partial(self._write, answer))

    def write(self) -> None:
        """Write what is put off."""
        for answer in list(self._under_way.values()):
            self._write(answer)

    def _write(self, answer: Answer) -> Rest | None:
        if answer.first is not None:
            (head, content), answer.first = answer.first, None
            try:
                whole = answer.transfer.begin(head, content)
            except OSError:  # too much is open
                answer.transfer.transport.abort()
                return None
            if whole:
                del self._under_way[answer.transfer.transport]
                self._count(answer)
                answer.served()
            else:
                answer.turn = contextlib.ExitStack()
                turn = self._requests.of(answer.known.code, answer.transfer, answer.permit)
                answer.turn.enter_context(turn).begin()
        return None if answer.turn is None else partial(self._finish, answer)

    def _told(self, transport: asyncio.Transport, began: float, *, large: bool) -> str:
        told = self._tell(look(transport), time.monotonic() - began) if large else self._tell(None, None)
        return f"{cmsd.DYNAMIC}: {told}\r\n" if told else ""

    def lost(self, transport: asyncio.Transport) -> None:
        """Send nothing more over a connection that is about to be closed."""
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
        transfer = answer.transfer
        del self._under_way[transfer.transport]
        answer.first = None
        if answer.turn is not None:
            answer.turn.close()
        transfer.close()
        self._count(answer)
        if transfer.whole:
            answer.served()
        else:
            metrics.BROKEN_OFF.labels(self._zone).inc()
        if transfer.late:
            metrics.REFUSALS.labels(self._zone, "too-slow").inc()

    def _count(self, answer: Answer) -> None:
        sent = answer.transfer.sent
        answer.running.end(answer.status, sent, answer.count)
        self._line.sent(sent)
        self._tallies[answer.status].count(sent, time.monotonic() - answer.began)
