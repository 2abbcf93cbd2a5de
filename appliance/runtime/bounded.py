"""Connections of whoever likes: how many there are, how long one waits for a request, how long that one's head is.

aiohttp itself bounds a line and a field (8190 bytes each), a request's fields (128), closes a connection that waits too long without a
whole request (``keepalive_timeout``), and leaves bodies unread until somebody wants them. Here is what it leaves open. Whatever is
refused is told to ``Crowd.refused`` by its reason.
"""

from __future__ import annotations

import ipaddress
import json
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

MOST_WAITING = 4  # requests of one connection that wait for their turn (pipelining) before no more are read
SITE = 64  # bits of an IPv6 address that one household or device holds (RFC 6177)
SAYS = {"Server": "headgate", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


@dataclass
class Crowd:
    """All connections of one server; beyond these bounds somebody is refused."""

    refused: Callable[[str], None]  # is told the reason of each refusal
    connections: int = 20_000  # at once; each may hold two descriptors, and the unit allows 65,536
    of_address: int = 500  # of them from one address: a household behind one has dozens
    idle: float = 75.0  # seconds that a connection may wait, or take, for a whole request, as nginx has it
    linger: float = 5.0  # seconds for the rest of a body that nobody wants, before the connection is closed
    stalled: float = 60.0  # seconds in which a peer takes nothing of what waits for it, as nginx has it
    head: int = 16 << 10  # bytes of a request's head, by and by; one that comes at once may have twice as many
    read: int = 16 << 10  # bytes read at once
    here: Counter[str] = field(default_factory=Counter)  # connections by address

    def enter(self, address: str) -> str:
        """Count a connection; return why it may not be, or an empty text."""
        if self.here.total() >= self.connections:
            return "too-many-connections"
        if self.here[address] >= self.of_address:
            return "too-many-of-address"
        self.here[address] += 1
        return ""

    def leave(self, address: str) -> None:
        """Count a connection no longer."""
        self.here[address] -= 1
        if not self.here[address]:
            del self.here[address]


CROWD: web.AppKey[Crowd] = web.AppKey("crowd")


class Connection(web.RequestHandler):
    """aiohttp's, of a crowd."""

    __slots__ = ("_address", "_alone", "_crowd", "_head", "again", "between", "goes_on")

    def __init__(self, server: web.Server, crowd: Crowd, **told: Any) -> None:
        super().__init__(server, **told)
        self._crowd, self._address, self._head = crowd, "", 0
        self.goes_on: Callable[[Connection], bool] = _goes_not_on  # writes what was put off; tells whether that goes on
        # Answers what comes by its bytes (``quick.Again``), where a request begins with them: then nothing of one waits in the parser.
        self.again: Callable[..., bool] | None = None
        self.between, self._alone = True, False
        self._max_msg_queue_size, self._msg_queue_resume_size = MOST_WAITING, MOST_WAITING // 2

    def connection_made(self, transport: Any) -> None:
        """Let it in, or tell why not."""
        connection: socket.socket = transport.get_extra_info("socket")
        if connection.family == socket.AF_UNIX:  # our own front, which counts its screens itself
            self.again = None
            super().connection_made(transport)
            return
        address = _site(transport.get_extra_info("peername")[0])
        if reason := self._crowd.enter(address):
            self._crowd.refused(reason)
            transport.write(_written(503, reason, "too many connections are open: close some, or come again later"))
            transport.close()
            return
        self._address = address
        # The kernel ends what stands still, also where nobody writes or waits any more (tcp(7)).
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self._crowd.stalled * 1000))
        transport.max_size = self._crowd.read
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Take what came: what cannot be answered at once is parsed."""
        transport = self.transport
        free = self.between and waits(self) and takes(transport) and not (self._force_close or self._close)
        self._alone = free and self.again is not None and self.again(data, transport, alone=self._alone)
        if self._alone:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        else:
            super().data_received(data)

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio has it
        """Keep the connection for an answer to a peer that has said all that it has to say."""
        return self.goes_on(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let it go."""
        if isinstance(exc, TimeoutError):
            self._crowd.refused("too-slow")
        if self._address:
            self._crowd.leave(self._address)
            self._address = ""
        super().connection_lost(exc)

    def whole(self) -> None:
        """Note that a request's head is here."""
        self._head = 0

    def partly(self, count: int) -> None:
        """Note that ``count`` bytes of a head came, which is not whole yet.

        Raises:
            HttpProcessingError: it is too long.
        """
        self._head += count
        if self._head > self._crowd.head:
            raise HttpProcessingError(code=431, message="the head is too long")

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what is no request, in our words; anything else is aiohttp's to log."""
        if not isinstance(exc, HttpProcessingError):
            self._crowd.refused("failed")
            return super().handle_error(request, status, exc, message)
        long = exc.code == 431 or isinstance(exc, LineTooLong)
        reason, sentence = ("head-too-long", f"a request's head has at most {self._crowd.head} bytes, a line 8190") if long else (
            "bad-http", "this is no HTTP request, or one that can be read in two ways"
        )  # fmt: skip
        self._crowd.refused(reason)
        response = web.json_response(_words(reason, sentence), status=431 if long else 400, headers=SAYS)
        response.force_close()
        return response

    def _process_keepalive(self) -> None:
        transport, before = self.transport, self._force_close
        super()._process_keepalive()
        if self._force_close and not before and transport is not None:
            if self._head:
                self._crowd.refused("too-slow")
            if transport.get_write_buffer_size():
                transport.abort()  # closing would wait for a peer that takes nothing


def waits(protocol: Any) -> bool:
    """Return whether a connection waits for a request: no earlier one comes first."""
    waiter = protocol._waiter
    return waiter is not None and not waiter.done() and not protocol._messages


def takes(transport: Any) -> bool:
    """Return whether what is written now goes to the kernel at once, behind all that was written before."""
    return transport is not None and not transport.get_write_buffer_size() and not transport.is_closing()


def _goes_not_on(_: Connection) -> bool:
    return False


def _site(address: str) -> str:
    """Return what one peer holds: an IPv4 address, or a network of IPv6."""
    if ":" not in address:
        return address
    return str(ipaddress.IPv6Network((address.partition("%")[0], SITE), strict=False).network_address)


def _words(reason: str, sentence: str) -> dict[str, str]:
    return {"reason": reason, "error": sentence}


def _written(status: int, reason: str, sentence: str) -> bytes:
    body = json.dumps(_words(reason, sentence)).encode()
    told = {"Content-Type": "application/json", **SAYS, "Retry-After": "10", "Connection": "close"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**told, "Content-Length": str(len(body))}.items())
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{lines}\r\n".encode() + body
