"""An object that the exchange has, or is bringing: how far it may be read."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from appliance.runtime.errors import Corrupt, HeadgateError, Refused
from gateway.store.objects import Objects


@dataclass(frozen=True)
class Object:
    """What the exchange says an object is."""

    sha256: str
    size: int  # bytes
    type: str


class Coming:
    """One object on its way into the store, or there already."""

    def __init__(self) -> None:
        self.object = Object("", 0, "")
        self.stored = False  # it was in the store before anybody asked
        self._incoming: str | None = None
        self._verified = -1  # bytes; less than none until the exchange has answered
        self._over = False
        self._failure: HeadgateError | None = None
        self._news = asyncio.Event()
        self._piece = (0, b"")  # where it begins, and its bytes: all who wait for the same begin with the same

    @property
    def has_begun(self) -> bool:
        """Whether the exchange has answered."""
        return self._verified >= 0 or self._over

    def began(self, what: Object, incoming: str | None, *, stored: bool) -> None:
        """Take the exchange's first word."""
        self.object, self._incoming, self.stored = what, incoming, stored
        self.advance(0)

    def advance(self, verified: int) -> None:
        """Take the word that it passed up to there."""
        self._verified = max(self._verified, min(verified, self.object.size))
        self._tell()

    def end(self, failure: HeadgateError | None) -> None:
        """Take the last word: it is whole, or will not be."""
        if not self._over:
            self._over, self._failure = True, failure
            if failure is None:
                self._verified = self.object.size
            self._tell()

    async def reach(self, upto: int) -> int:
        """Return how far it may be read, once that is ``upto`` at least.

        Raises:
            HeadgateError: it will not get there.
        """
        while self._verified < upto:
            if self._over:
                raise _again(self._failure or Corrupt("the exchange's answer ended before the object"))
            await self._news.wait()
        return self._verified

    def open(self, store: Objects, incoming: Path) -> BinaryIO:
        """Return the object opened: where it grows, or in the store.

        Raises:
            Corrupt: it is in neither place.
        """
        if self._incoming is not None and not self._over and "/" not in self._incoming:
            try:
                return (incoming / self._incoming).open("rb", buffering=0)  # stays the same file when it is renamed
            except FileNotFoundError:
                pass  # it was finished a moment ago
        opened = store.open(self.object.sha256, self.object.size)
        if opened is None:
            raise Corrupt("the object that the exchange stored is not in the store")
        return opened

    def piece(self, first: int, count: int, store: Objects, incoming: Path) -> bytes:
        """Return ``count`` bytes from ``first`` on, as far as they are there; read once for all who begin with them.

        Raises:
            Corrupt: it is in neither place.
            OSError: the disk does not give it.
        """
        if self._piece[0] != first or len(self._piece[1]) != count:
            with self.open(store, incoming) as opened:
                self._piece = (first, os.pread(opened.fileno(), count, first))
        return self._piece[1]

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


class Superseded(HeadgateError):
    """What comes is not what was expected: another version has it."""


class Growing(io.RawIOBase):
    """The object ``what`` before the exchange has answered: opened when it is read from first, which is after ``coming.reach``.

    ``begins`` is called before that: what it raises is raised instead.
    """

    def __init__(
        self, coming: Coming, what: Object, store: Objects, incoming: Path, begins: Callable[[], None]
    ) -> None:
        self._coming, self._what, self._store, self._incoming, self._begins = coming, what, store, incoming, begins
        self._file: BinaryIO | None = None
        self._begun = False

    def fileno(self) -> int:
        """Return the descriptor.

        Raises:
            Superseded: another object came.
            Corrupt: it is nowhere.
        """
        if self._file is None:
            self._begin()
            self._file = self._coming.open(self._store, self._incoming)
        return self._file.fileno()

    def piece(self, first: int, count: int) -> bytes:
        """Return ``count`` bytes from ``first`` on, as far as they are there, without opening it where another one just read the same.

        Raises:
            Superseded: another object came.
            Corrupt: it is nowhere.
            OSError: the disk does not give it.
        """
        self._begin()
        return self._coming.piece(first, count, self._store, self._incoming)

    def _begin(self) -> None:
        if not self._begun:
            self._begins()
            if self._coming.object != self._what:
                raise Superseded("another version of the release has another object there")
            self._begun = True

    def close(self) -> None:
        """Let it go."""
        if self._file is not None:
            self._file.close()
        super().close()


def _again(failure: HeadgateError) -> HeadgateError:
    """Return the failure anew: each who waits raises one of his own."""
    if isinstance(failure, Refused):
        return Refused(failure.reason, str(failure), failure.status)
    return type(failure)(*failure.args)
