"""Wakes the guard when anything changes in home or in a zone, after a link that has no business there was set down (``ears.py``)."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gateway.isolation.bridges import spaces
from gateway.isolation.bridges.judging_links import expected_of
from gateway.isolation.bridges.spaces import Zones
from gateway.isolation.policy import Policy

log = logging.getLogger("headgate.guard")
PATIENCE = 5.0  # seconds for the ears to answer
ROOT = Path(__file__).parents[3]  # where the package is, for a process that begins elsewhere


class Tripwire:
    """The guard's side of the ears: starts them, says where to listen, starts them again if they end."""

    def __init__(self, kernel: Zones, *, virtual: bool) -> None:
        self._kernel, self._virtual = kernel, virtual
        self._ears: subprocess.Popen[bytes] | None = None
        self._on_change: Callable[[str], None] = lambda _: None
        self._armed = b""
        self._turn = threading.Lock()  # one order at a time
        self._done = threading.Semaphore(0)
        self._stopping = False

    @property
    def process(self) -> int | None:
        """The process that listens, or None where none does."""
        return self._ears.pid if self._ears is not None and self._ears.poll() is None else None

    def start(self, policy: Policy, on_change: Callable[[str], None]) -> None:
        """Listen; ``on_change(what)`` is called from a thread, at most each 20 ms.

        Raises:
            OSError: the ears do not start, or do not answer.
        """
        self._on_change = on_change
        self.arm(policy)

    def arm(self, policy: Policy) -> None:
        """Listen in the namespaces that the zones have now, and let go of others; cheap where nothing changed, so call it each second.

        Raises:
            OSError: the ears do not start, or do not answer.
        """
        wanted = self._wanted(policy)
        if wanted != self._armed or self.process is None:
            self._order(wanted)
            self._armed = wanted

    def stop(self) -> None:
        """Stop listening."""
        self._stopping = True
        if self._ears is not None and self._ears.stdin is not None:
            self._ears.stdin.close()
            self._ears.wait(PATIENCE)

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Do not listen for rulesets while the guard itself loads a large one, which listeners slow down fivefold.

        Raises:
            OSError: the ears do not answer.
        """
        self._order(b'{"quiet": true}')
        try:
            yield
        finally:
            self._order(b'{"quiet": false}')

    def _wanted(self, policy: Policy) -> bytes:
        expected = expected_of(policy)
        told: list[dict[str, Any]] = []
        for inode, space in sorted(spaces.named(self._kernel).items()):
            zone = space.zone or ""
            port = expected.get(zone)
            pinned = sorted(a.packed.hex() for a in policy.zones[zone].neighbours) if zone in policy.zones else []
            path = f"/proc/{os.getpid()}/ns/net" if space.path.startswith("/proc/self/") else space.path
            there = {"inode": inode, "zone": zone, "path": path, "pinned": pinned}
            told.append(there | {"port": [port.name, port.mac, port.pci] if port else None})
        return json.dumps({"arm": told, "virtual": self._virtual}).encode()

    def _order(self, line: bytes) -> None:
        with self._turn:
            ears = self._ears if self._ears is not None and self._ears.poll() is None else self._launch()
            if ears.stdin is not None:
                ears.stdin.write(line + b"\n")
                ears.stdin.flush()
            if not self._done.acquire(timeout=PATIENCE):
                raise OSError(0, "the trip-wire does not answer")

    def _launch(self) -> subprocess.Popen[bytes]:
        if self._ears is not None:
            log.error("the trip-wire ended with status %s and is started again", self._ears.returncode)
            if self._ears.stdin is not None:
                self._ears.stdin.close()
        argv = [sys.executable, "-ESs", "-m", "gateway.isolation.bridges.ears", str(os.getpid())]
        self._ears = ears = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
        self._armed = b""
        self._done = threading.Semaphore(0)
        reader = threading.Thread(target=self._read, args=(ears, self._done), name="tripwire", daemon=True)
        reader.start()
        return ears

    def _read(self, ears: subprocess.Popen[bytes], done: threading.Semaphore) -> None:
        for line in ears.stdout or ():
            told = json.loads(line)
            if "heard" in told:
                self._on_change(told["heard"])
            else:
                done.release()
        if ears.stdout is not None:
            ears.stdout.close()
        ears.wait()
        if not self._stopping:
            self._on_change("the trip-wire ended: unknown change")
