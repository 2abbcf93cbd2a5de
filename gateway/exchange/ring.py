"""What is kept of live channels: the newest claim of each path, and the objects until they have run out. Pure: ``now`` goes in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.release.live.signing import Claim

MOST_PATHS = 50_000  # of all channels
MOST_BYTES = 4 << 30  # of live objects


@dataclass(frozen=True)
class Entry:
    """One live file that was verified."""

    claim: Claim
    until: float  # seconds since 1970: not shown any more from then on
    checked: float  # seconds since 1970: when an origin last spoke about it
    signer: str  # the packager's key
    etag: str  # of its fields at ``origin``, or empty
    origin: str


@dataclass
class _Object:
    until: float
    size: int  # bytes
    channels: set[str]  # that named it


class Ring:
    """Live files by channel and path; bounded in number, bytes and time."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._entries: OrderedDict[tuple[str, str], Entry] = OrderedDict()
        self._objects: OrderedDict[str, _Object] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        """Return how many objects are kept."""
        return len(self._objects)

    def holds(self, sha256: str) -> bool:
        """Return whether the object is kept for any channel."""
        return sha256 in self._objects

    def get(self, code: str, path: str) -> Entry | None:
        """Return the newest claim that was verified for ``path``, also where its time has passed."""
        return self._entries.get((code, path))

    def put(self, code: str, path: str, entry: Entry) -> list[str]:
        """Keep ``entry``; return the digests of objects for which there is no room any more, oldest first."""
        self._entries[code, path] = entry
        self._entries.move_to_end((code, path))
        if len(self._entries) > MOST_PATHS:
            self._entries.popitem(last=False)
        sha256, size = entry.claim.sha256, entry.claim.size
        known = self._objects.pop(sha256, None)
        channels = {*(known.channels if known else ()), code}
        self._objects[sha256] = _Object(max(known.until if known else 0.0, entry.until), size, channels)
        self.bytes += 0 if known else size
        gone = []
        while self.bytes > self._most and len(self._objects) > 1:
            oldest = next(iter(self._objects))
            self._forget(oldest)
            gone.append(oldest)
        return gone

    def pass_by(self, code: str, paths: Iterable[str]) -> None:
        """Let what a channel's playlist no longer names go first, where there is no room; in constant time for each path."""
        for path in paths:
            entry = self._entries.get((code, path))
            kept = self._objects.get(entry.claim.sha256) if entry is not None else None
            if entry is not None and kept is not None and kept.channels == {code}:
                self._objects.move_to_end(entry.claim.sha256, last=False)

    def expire(self, now: float) -> list[str]:
        """Return the digests of objects whose time has passed; they are forgotten, and so are the paths that ran out."""
        for key in [key for key, entry in self._entries.items() if entry.until <= now]:
            del self._entries[key]
        gone = [sha256 for sha256, kept in self._objects.items() if kept.until <= now]
        for sha256 in gone:
            self._forget(sha256)
        return gone

    def drop(self, code: str) -> list[str]:
        """Let a channel go; return the digests of all its objects, also of files that were replaced, but for those of other channels."""
        for key in [key for key in self._entries if key[0] == code]:
            del self._entries[key]
        gone = []
        for sha256, kept in self._objects.items():
            kept.channels.discard(code)
            if not kept.channels:
                gone.append(sha256)
        for sha256 in gone:
            self._forget(sha256)
        return gone

    def _forget(self, sha256: str) -> None:
        self.bytes -= self._objects.pop(sha256).size
