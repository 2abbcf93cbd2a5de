"""The responses that run, by release and token, so that those of what is withdrawn can be broken off whatever they are doing."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from appliance.runtime.errors import Refused
from gateway.permission.permit import Permit


class Asked(Protocol):
    """A request, or what answers it."""

    @property
    def transport(self) -> asyncio.Transport | None:
        """Its connection, None where that is gone."""


class Turn:
    """One request on its way: nothing is sent before ``begin``."""

    def __init__(self, request: Asked, permit: Permit | None, broken: Callable[[Asked], None]) -> None:
        self.permit = permit  # by which it was let in, where the zone asks for tokens
        self._broken = broken
        self._request, self._begun = request, False
        self._refused: Refused | None = None

    def begin(self) -> None:
        """Take note that bytes of the release are sent from now on.

        Raises:
            Refused: the release or the token was withdrawn meanwhile (``withdrawn``, ``token-withdrawn``).
        """
        if self._refused is not None:
            raise self._refused
        self._begun = True

    def cut(self, refused: Refused) -> bool:
        """Break the connection if something was sent, else refuse to begin; return whether it was broken, and not before."""
        if self._refused is not None:
            return False
        self._refused = refused
        if self._begun and self._request.transport is not None:
            self._broken(self._request)
            shut(self._request.transport)
        return self._begun


class Running:
    """The requests under way of one zone; ``broken`` hears of each whose connection is broken off."""

    def __init__(self, broken: Callable[[Asked], None] = lambda _: None) -> None:
        self._broken = broken
        self._by_code: defaultdict[str, list[Turn]] = defaultdict(list)

    @contextlib.contextmanager
    def of(self, code: str, request: Asked, permit: Permit | None = None) -> Iterator[Turn]:
        """Hold ``request``, let in by ``permit``, as one of the release ``code`` inside the block."""
        turn = Turn(request, permit, self._broken)
        self._by_code[code].append(turn)
        try:
            yield turn
        finally:
            self._by_code[code].remove(turn)
            if not self._by_code[code]:
                del self._by_code[code]

    def cut(self, codes: Iterable[str]) -> int:
        """Break off all responses of these releases; return how many had begun."""
        turns = [turn for code in codes for turn in self._by_code.get(code, ())]
        return sum(turn.cut(Refused("withdrawn", "the release was withdrawn just now", 451)) for turn in turns)

    def cut_all(self, refused: Refused) -> int:
        """Break off all responses; return how many had begun."""
        return sum(turn.cut(refused) for turns in self._by_code.values() for turn in turns)

    def cut_permits(self, refusal: Callable[[Permit], Refused | None]) -> int:
        """Break off all responses whose permit has a ``refusal`` now; return how many had begun."""
        turns = [turn for turns in self._by_code.values() for turn in turns if turn.permit is not None]
        return sum(turn.cut(refused) for turn in turns if turn.permit and (refused := refusal(turn.permit)) is not None)


def shut(transport: asyncio.Transport) -> None:
    """Shut the connection down: a sendfile under way fails then, which cancelling its task would not do, and tells how far it came."""
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        with contextlib.suppress(OSError):  # the screen left by itself
            connection.shutdown(socket.SHUT_RDWR)
