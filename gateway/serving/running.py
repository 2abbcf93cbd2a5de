"""The responses that run, by release, so that those of a withdrawn release can be broken off whatever they are doing."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import defaultdict
from collections.abc import Iterable, Iterator

from aiohttp import web

from appliance.runtime.errors import Refused


class Turn:
    """One request on its way: nothing is sent before ``begin``."""

    def __init__(self, request: web.BaseRequest) -> None:
        self._request, self._begun, self._withdrawn = request, False, False

    def begin(self) -> None:
        """Take note that bytes of the release are sent from now on.

        Raises:
            Refused: the release was withdrawn meanwhile (``withdrawn``).
        """
        if self._withdrawn:
            raise Refused("withdrawn", "the release was withdrawn just now", 451)
        self._begun = True

    def cut(self) -> bool:
        """Break the connection if something was sent, else refuse to begin; return whether it was broken."""
        self._withdrawn = True
        if self._begun and self._request.transport is not None:
            shut(self._request.transport)
        return self._begun


class Running:
    """The requests under way of one zone."""

    def __init__(self) -> None:
        self._by_code: defaultdict[str, list[Turn]] = defaultdict(list)

    @contextlib.contextmanager
    def of(self, code: str, request: web.BaseRequest) -> Iterator[Turn]:
        """Hold ``request`` as one of the release ``code`` inside the block."""
        turn = Turn(request)
        self._by_code[code].append(turn)
        try:
            yield turn
        finally:
            self._by_code[code].remove(turn)
            if not self._by_code[code]:
                del self._by_code[code]

    def cut(self, codes: Iterable[str]) -> int:
        """Break off all responses of these releases; return how many had begun."""
        return sum(turn.cut() for code in codes for turn in self._by_code.get(code, ()))


def shut(transport: asyncio.Transport) -> None:
    """Shut the connection down: a sendfile under way fails then, which cancelling its task would not do, and tells how far it came."""
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        with contextlib.suppress(OSError):  # the screen left by itself
            connection.shutdown(socket.SHUT_RDWR)
