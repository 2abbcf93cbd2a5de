"""Scrubbing: every object is read again and compared with its digest, at so many bytes a second, in the order of the digests.

How far it is, is written down, so that a restart goes on there. What is damaged is taken away and told; the exchange fetches it again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.store import metrics
from gateway.store.disk import FOLDERS
from gateway.store.keeper import Keeper
from gateway.store.quarantine import Quarantine

PIECE = 256 << 10  # bytes read at once
EVERY = 64 << 20  # bytes after which it is written down how far it is
FILTER = "scrubbing"  # who says of an object that it is not what it was
NOTE = "scrubbed"  # the digest that was read last

log = logging.getLogger("headgate.store")


@dataclass(frozen=True)
class Read:
    """So many bytes were read; the reader waits until they are due."""

    bytes: int


@dataclass(frozen=True)
class Damaged:
    """This object was not what its digest says, or could not be read, and was taken away; ``releases`` need it."""

    digest: str
    size: int
    releases: tuple[str, ...]
    fault: str
    held: str = ""  # in the quarantine, where it could be read


class Scrubbing:
    """Reads the store; the caller sets the pace by when it asks for the next step. What was changed goes into the quarantine."""

    def __init__(self, keeper: Keeper, quarantine: Quarantine | None = None) -> None:
        self._keeper, self._quarantine = keeper, quarantine

    def steps(self) -> Iterator[Read | Damaged]:
        """Go once through the store from where the last pass was, and yield what was done."""
        last = self._keeper.noted(NOTE) or ""
        since = 0
        for folder in FOLDERS:
            if folder < last[:2]:
                continue
            for digest in sorted(self._keeper.disk.folder(folder)):
                if digest <= last:
                    continue
                for done in self.check(digest):
                    since += done.bytes if isinstance(done, Read) else 0
                    yield done
                last = digest
                if since >= EVERY:
                    self._keeper.note(NOTE, last)
                    since = 0
        self._keeper.note(NOTE, "")
        metrics.PASSES.inc()

    def check(self, digest: str) -> Iterator[Read | Damaged]:
        """Read one object, and take it away if it is damaged."""
        size, sha256, fault, held = 0, hashlib.sha256(), "", ""
        try:
            for data in self._keeper.disk.read(digest, PIECE):
                sha256.update(data)
                size += len(data)
                metrics.SCRUBBED.inc(len(data))
                yield Read(len(data))
        except OSError as error:
            metrics.ERRORS.labels("read").inc()
            fault = f"it cannot be read: {error.strerror}"
        else:
            if (
                sha256.hexdigest() != digest and self._keeper.disk.size(digest) is not None
            ):  # it did not leave meanwhile
                fault = f"its SHA-256 is {sha256.hexdigest()}"
                if self._quarantine is not None:
                    told = {"reason": "corrupt", "sentence": fault, "filter": FILTER, "path": f"objects/{digest}"}
                    held = self._quarantine.take(self._keeper.disk.path(digest), told)
        if fault:
            metrics.DAMAGED.inc()
            log.error("the object %s is damaged and taken away: %s", digest, fault)
            yield Damaged(digest, size, tuple(self._keeper.drop(digest)), fault, held)


class Pace:
    """So many bytes a second: tells how long to wait. Pure: ``now`` goes in."""

    def __init__(self, rate: int, now: float) -> None:
        self.rate, self._due = rate, now

    def after(self, size: int, now: float) -> float:
        """Return the seconds to wait after ``size`` bytes; time that was not used is not saved up."""
        self._due = max(self._due, now) + size / self.rate
        return self._due - now
