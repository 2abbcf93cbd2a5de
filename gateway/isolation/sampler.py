"""One thread that takes the samples of denied packets from all zones, and joins them with the kernel's counters (``denied.py``)."""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gateway.isolation import denied, netns, nflog
from gateway.isolation.netns import KernelFailed

log = logging.getLogger("headgate.guard.denied")
Count = Callable[
    [str], Mapping[str, int]
]  # zone -> {reason: packets}, of the kernel's counters; may raise KernelFailed

TEND = 0.5  # seconds between two looks at the names: a zone that is gone is let go, a zone made anew is taken up
MOST_AT_ONCE = 64  # datagrams of one zone before the others have their turn


@dataclass
class _Zone:
    samples: nflog.Socket
    inode: int
    last: int | None = None  # sequence


class Denied:
    """Samples of denied packets from every zone; ``zones``: zone -> name of its namespace."""

    def __init__(self, zones: Mapping[str, str], group: int = nflog.GROUP) -> None:
        self.faults: dict[str, str] = {}  # zone -> why nothing is sampled there now
        self.tally = denied.Tally()
        self._zones, self._group = dict(zones), group
        self._open: dict[str, _Zone] = {}
        self._lock = threading.Lock()  # of tally
        self._selector = selectors.DefaultSelector()
        self._thread: threading.Thread | None = None
        self._stopping = False

    def start(self) -> None:
        """Take up every zone that is there, and go on in a thread."""
        self._bell, self._ringer = socket.socketpair()
        self._bell.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ, "")
        self._tend()
        self._thread = threading.Thread(target=self._run, name="denied", daemon=True)
        self._thread.start()

    def watch(self, zones: Mapping[str, str]) -> None:
        """Sample these zones from now on."""
        self._zones = dict(zones)
        self._ring()

    def stop(self) -> None:
        """Give every zone free."""
        if self._thread is None:
            return
        self._stopping = True
        self._ring()
        self._thread.join()
        for zone in list(self._open):
            self._let_go(zone)
        self._selector.close()
        self._bell.close()
        self._ringer.close()
        self._thread = None

    def take(self, count: Count) -> list[dict[str, Any]]:
        """Return what was denied since the last call, a row (``denied.Row``) for each zone and reason where something was."""
        with self._lock:
            sampled = self.tally.cut()
        # After the cut: whatever is in it has been counted by now.
        counted: dict[str, Mapping[str, int] | None] = {}
        for zone in self._zones:
            try:
                counted[zone] = count(zone)
            except KernelFailed as error:
                counted[zone] = None
                log.warning("the counters of %s cannot be read: %s", zone, error)
        with self._lock:
            return [asdict(row) for row in self.tally.join(sampled, counted)]

    def totals(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Return (zone, reason) -> (denied, recorded) since this process runs; recorded is never more."""
        with self._lock:
            return {key: (total.denied, total.recorded) for key, total in self.tally.totals.items()}

    def _ring(self) -> None:
        if self._thread is not None:
            self._ringer.send(b"!")

    def _run(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select(TEND):
                if key.data:
                    self._read(key.data)
                else:
                    with contextlib.suppress(BlockingIOError):
                        self._bell.recv(1 << 12)
            self._tend()

    def _tend(self) -> None:
        wanted = dict(self._zones)
        for zone, held in list(self._open.items()):
            # A socket keeps its namespace alive, and with it the port that should be back in the initial one: let go at once.
            if zone not in wanted or _inode(wanted[zone]) != held.inode:
                self._let_go(zone)
        for zone in list(self.faults):
            if zone not in wanted:
                del self.faults[zone]
        for zone, name in wanted.items():
            inode = _inode(name)
            if zone not in self._open and inode:
                self._take_up(zone, name, inode)

    def _take_up(self, zone: str, name: str, inode: int) -> None:
        try:
            samples = netns.inside(name, lambda: nflog.Socket(self._group))
        except (OSError, KernelFailed) as error:
            if self.faults.get(zone) != str(error):
                log.warning("denied packets of %s are counted, but not sampled: %s", zone, error)
            self.faults[zone] = str(error)
            return
        self.faults.pop(zone, None)
        self._open[zone] = _Zone(samples, inode)
        self._selector.register(samples, selectors.EVENT_READ, zone)

    def _let_go(self, zone: str) -> None:
        held = self._open.pop(zone)
        self._selector.unregister(held.samples)
        held.samples.close()

    def _read(self, zone: str) -> None:
        held = self._open[zone]
        for _ in range(MOST_AT_ONCE):
            try:
                datagram = held.samples.read()
            except OSError as error:
                log.warning("denied packets of %s are not sampled for now: %s", zone, error)
                self._let_go(zone)
                return
            if datagram is None:
                return
            samples, damaged = nflog.decode(datagram)
            with self._lock:
                if damaged:
                    self.tally.lose(zone, damaged)
                for sample in samples:
                    if missing := nflog.gap(held.last, sample.sequence):
                        self.tally.lose(zone, missing)
                    held.last = sample.sequence
                    self.tally.see(zone, sample)


def _inode(name: str) -> int:
    """Return which namespace bears that name now, 0 if none does."""
    try:
        return (netns.FOLDER / name).stat().st_ino
    except OSError:
        return 0
