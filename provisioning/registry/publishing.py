"""What the origin serves beside the log: the signed head, and snapshots in chunks of which only the changed ones are written anew.

Touches the registry's folder.
"""

from __future__ import annotations

import bisect
import gzip
import hashlib
import logging
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Corrupt, Refused
from appliance.runtime.files import write_atomic
from gateway.resolver.published import HEAD, SNAPSHOT, Chunk, Head, Signed, Snapshot, chunk_name, seal, unseal

CHUNK = 50_000  # records of a new chunk
LARGEST = 2 * CHUNK  # records beyond which a chunk is split
AGAIN = timedelta(
    hours=1
)  # a head is signed anew after this even if nothing changed, so that boxes can tell a stale one
DAY = timedelta(days=1)
PART = 0.1  # of the table: so many changes make a new snapshot
FEW = 1000  # changes that make none by themselves
KEPT = 86_400.0  # seconds for which chunks stay that are no part of the snapshot any more

log = logging.getLogger("headgate.registry")


@dataclass(frozen=True)
class Span:
    """Codes behind ``after``, up to ``until`` (None: the last): the records of a chunk, or of the chunks that take its place."""

    after: str
    until: str | None


def head_is_due(last: Head | None, size: int, now: datetime) -> bool:
    """Return whether a head of ``size`` changes must be signed now."""
    return last is None or last.size != size or now - last.made >= AGAIN


def snapshot_is_due(last: Snapshot | None, size: int, now: datetime) -> bool:
    """Return whether a good part of the table changed since the last snapshot, or something did and it is a day old."""
    if last is None:
        return size > 0
    changes = size - last.size
    return changes >= max(FEW, PART * last.count) or (changes > 0 and now - last.made >= DAY)


def plan(chunks: Sequence[Chunk], changed: Iterable[str]) -> list[Chunk | Span]:
    """Return the chunks that stay and the spans to write anew, in the order of their codes."""
    if not chunks:
        return [Span("", None)]
    ends = [chunk.last.encode() for chunk in chunks[:-1]]  # what is behind the last end belongs to the last chunk
    touched = {bisect.bisect_left(ends, code.encode()) for code in changed}
    found: list[Chunk | Span] = []
    for index, chunk in enumerate(chunks):
        if index not in touched:
            found.append(chunk)
            continue
        after = chunks[index - 1].last if index else ""
        until = chunk.last if index < len(chunks) - 1 else None
        found.append(Span(after, until))
    return found


def sizes(records: int) -> list[int]:
    """Return how many records each chunk of a span gets."""
    if records <= LARGEST:
        return [records] if records else []
    count = -(-records // CHUNK)
    return [records // count + (index < records % count) for index in range(count)]


class Publisher:
    """Writes head and snapshots into ``folder``, signed with ``key``."""

    def __init__(self, folder: Path, key: PrivateKey, name: str) -> None:
        self._folder, self._key, self._name = folder, key, name
        self.head: Head | None = None
        self.snapshot: Snapshot | None = None

    def open(self) -> None:
        """Take up what is published; what is damaged or of another key is made anew."""
        self.head, self.snapshot = self._read(HEAD, Head), self._read(SNAPSHOT, Snapshot)

    def _read(self, name: str, model: type[Signed]) -> Signed | None:
        try:
            return unseal(model, (self._folder / name).read_bytes(), [self._key.public])[0]
        except (FileNotFoundError, Corrupt, Refused) as error:
            log.info("%s is made anew: %s", name, error)
            return None

    def put_head(self, head: Head) -> None:
        """Publish a head."""
        write_atomic(self._folder / HEAD, seal(head, self._key))
        self.head = head

    def put_chunk(self, records: Sequence[tuple[str, str]]) -> Chunk:
        """Write a chunk of codes and dumps; the same records give the same chunk."""
        text = "".join([f"{dump}\n" for _, dump in records]).encode()
        data = gzip.compress(text, 6, mtime=0)
        digest = hashlib.sha256(data).hexdigest()
        path = self._folder / chunk_name(digest)
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            write_atomic(path, data)
        return Chunk(
            name=chunk_name(digest),
            sha256=digest,
            bytes=len(data),
            records=len(records),
            first=records[0][0],
            last=records[-1][0],
        )

    def put_snapshot(self, size: int, root: str, now: datetime, chunks: Sequence[Chunk]) -> Snapshot:
        """Publish a snapshot of these chunks, and remove those that are no part of one for a day."""
        count = sum(chunk.records for chunk in chunks)
        fresh = Snapshot(registry=self._name, size=size, root=root, made=now, count=count, chunks=list(chunks))
        write_atomic(self._folder / SNAPSHOT, seal(fresh, self._key))
        before, self.snapshot = self.snapshot, fresh
        self._sweep({chunk.name for chunk in chunks}, {chunk.name for chunk in before.chunks} if before else set())
        return fresh

    def _sweep(self, used: set[str], before: set[str]) -> None:
        now = time.time()
        for path in (self._folder / "snapshot").glob("*"):
            name = f"snapshot/{path.name}"
            if name in used:
                continue
            if name in before:  # from now on it is none of the snapshot's
                os.utime(path, (now, now))
            elif now - path.stat().st_mtime > KEPT:
                path.unlink()
