"""The folder of a zone's metering: one process at a time, what ran when the last one ended is counted first, windows follow each other."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from pathlib import Path
from typing import Self
from uuid import uuid4

from appliance.runtime.errors import Refused, Unreachable
from gateway.delivery.metering.delivery import What
from gateway.delivery.metering.handing import RECORDS, seal
from gateway.delivery.metering.recover import RUNNING, noted, recover
from gateway.delivery.metering.slots import Slots
from gateway.delivery.metering.window import Window, windows

NEARLY = 0.01  # of a window: below, the next one begins
PATIENCE = 15.0  # seconds for the survivor of the last process to count what that one left
LOCK = "lock"
log = logging.getLogger("headgate.delivery")


class Ledger:
    """The ledger in ``folder``.

    Raises:
        Unreachable: another process holds it.
        OSError: the disk is full, or gone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        _take(self._lock, folder)
        if ended := recover(folder, noted):
            log.warning("%d deliveries of a process that was killed with its survivor are counted as noted last", ended)
        self.sealed = [sealed for path in windows(folder) if (sealed := seal(Window(path, 0))) is not None]
        self.slots = Slots(folder / RUNNING)
        numbers = (int(path.name.split("-", 1)[0]) for path in folder.glob(f"*-*{RECORDS}"))
        self._number = max(numbers, default=0)
        self._ticket = time.time_ns()
        self.window = self._make()
        self.old: dict[int, Window] = {}  # in which something may still be counted

    def _make(self) -> Window:
        self._number += 1
        return Window.make(self.folder, self._number, uuid4())

    def turn(self) -> None:
        """Begin the next window.

        Raises:
            OSError: the disk is full, or gone; the window goes on.
        """
        made = self._make()
        self.old[self.window.number] = self.window
        self.window = made

    def make_room(self) -> None:
        """Begin the next window if this one is nearly full.

        Raises:
            Refused: the disk does not take it (``busy``).
        """
        if self.window.room < NEARLY:
            try:
                self.turn()
            except OSError as error:
                raise Refused("busy", f"use cannot be written down: {error.strerror}", 503) from error

    def cell(self, what: What) -> int:
        """Return the cell that counts ``what``: the window's number and its own within that.

        Raises:
            Refused: there is no room (``busy``).
        """
        number = self.window.cell(what)
        if number is None:
            try:
                self.turn()
            except OSError as error:
                raise Refused("busy", f"use cannot be written down: {error.strerror}", 503) from error
            number = self.window.cell(what)
        if number is None:
            raise Refused("busy", "use cannot be written down: too long a name", 503)
        return self.window.number << 32 | number

    @property
    def last(self) -> int:
        """The last ticket given."""
        return self._ticket

    def ticket(self) -> int:
        """Return the next ticket; none is given twice."""
        self._ticket += 1
        return self._ticket

    def count(
        self,
        cell: int,
        ticket: int,
        requests: int,
        sent: int,
        start: float,
        seconds: float,
        broken: int,
        end: float | None = None,
    ) -> None:
        """Count deliveries, or one more part of one (``requests`` is 0); ``end`` is ``seconds`` after ``start``."""
        window, number = self._place(cell)
        window.count(number, ticket, requests, sent, start, seconds, broken, end)

    def what(self, cell: int) -> What:
        """Return what a cell counts."""
        window, number = self._place(cell)
        return window.what(number)

    def _place(self, cell: int) -> tuple[Window, int]:
        """Return the window that a cell is in, and its number there."""
        number = cell >> 32
        return self.window if number == self.window.number else self.old[number], cell & 0xFFFFFFFF

    def sync(self) -> None:
        """Have it survive a power cut as it is."""
        self.slots.sync()
        for window in (self.window, *self.old.values()):
            window.sync()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.slots.__exit__()
        for window in (self.window, *self.old.values()):
            window.close()
        os.close(self._lock)


def _take(lock: int, folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        if time.monotonic() > deadline:
            raise Unreachable(f"another process meters in {folder}")
        time.sleep(0.01)
