"""The journal's writer: what ``append`` returned for is on disk, signed, and survives kill -9 and power cuts.

A batch is appended to ``tail.jsonl`` with one signature and one fsync; then it counts. ``publish`` writes tiles, then ``checkpoint``, and
begins the tail anew behind the last whole tile. Whatever instant the power goes, tail and tiles hold together all that counts:
the tail is replaced only when the tiles that take over from it are durable, and all of the tail is signed but what was being written.
"""

from __future__ import annotations

import base64
import errno
import fcntl
import json
import logging
import os
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.identity.keys import PrivateKey
from appliance.journal import conversion, note, proofs, proving
from appliance.journal.disk import Disk
from appliance.journal.proofs import Frontier, leaf_hash, node_hash
from appliance.journal.tiles import TEMPORARY, Tiles, pack
from appliance.journal.verify import (
    CHECKPOINT,
    ENTRIES,
    KEY,
    TAIL,
    WIDTH,
    WITNESSED,
    Checkpoint,
    Damaged,
    Tree,
    parse_signature,
    parse_tail,
)
from appliance.runtime.errors import Corrupt, Refused, Unreachable

LONGEST = (64 << 10) - 1  # bytes of one entry: a bundle says its length in 16 bits
FULL_TAIL = 4096  # entries in the tail when tiles are made of them
MOST_TAIL = 1 << 20  # entries in the tail beyond which nothing is taken: tiles cannot be written for long
RETRY = 1.0  # seconds until tiles that could not be written are tried again

log = logging.getLogger("headgate.journal")


@dataclass(frozen=True)
class Standing:
    """How a journal stands for others: what is published of it, and the newest checkpoint that witnesses countersigned."""

    origin: str
    key: str  # name+hash+base64
    size: int
    root: str  # hex
    checkpoint: str  # the signed note
    witnessed: str = ""  # the same with the witnesses' lines, empty where none has answered
    witnesses: tuple[tuple[str, int, int], ...] = ()  # name, entries seen, seconds since 1970: as they say, unverified


class Journal:
    """An append-only log in ``folder``, signed with ``key`` under the name ``origin``; one writer at a time, any thread."""

    def __init__(self, folder: Path, key: PrivateKey, origin: str, *, disk: Disk | None = None) -> None:
        """Open or begin the journal; cut a batch whose writing was interrupted (``cut`` bytes).

        Raises:
            Corrupt: signed entries are not what was written.
            Unreachable: another process writes this journal.
        """
        self.folder, self.origin, self._key = folder, origin, key
        self._disk = disk or Disk()
        self._lock = threading.RLock()
        self._tiles = Tiles(folder / "tile", self._disk)
        self._broken = ""
        self._tail = -1
        self._retry = 0.0
        for parent in [*reversed(folder.parents), folder]:
            if not parent.exists():
                self._disk.make_folder(parent)
                self._disk.sync_folder(parent.parent)
        self._closing = weakref.finalize(self, os.close, _locked(folder))
        try:
            self._open()
        except BaseException:
            self._closing()
            raise

    def _open(self) -> None:
        self._tiles.clear()
        self._put(KEY, (self.verifier + "\n").encode())
        old = conversion.old_entries(self.folder, self.origin, self._key)
        if old is not None:
            self._put(TAIL, self._tail_of(0, old))
            conversion.remove(self.folder, self._disk)
        if not (self.folder / TAIL).exists():
            if (self.folder / CHECKPOINT).exists() or (self.folder / "tile").exists():
                raise Corrupt(f"{self.folder}: {TAIL} is gone")
            self._put(TAIL, self._tail_of(0, []))
        data = (self.folder / TAIL).read_bytes()
        end = self._recover(data)
        self.cut = len(data) - end
        self._tail = self._open_tail()
        if self.cut:
            self._disk.cut(self._tail, end)
        self._end = end
        self._check_published()
        self._publish()

    def _recover(self, data: bytes) -> int:
        """Take up tree and tail; return where the last batch ends that is as it was signed."""
        try:
            self._first, batches, rest = parse_tail(data)
        except Damaged as error:
            raise Corrupt(f"{self.folder}: {TAIL}: {error}") from error
        tree, at = self._tiles.frontier(self._first), data.index(b"\n") + 1
        self._tree, self._entries, self._leaves = tree.copy(), list[bytes](), list[bytes]()
        good = 0
        entries: list[bytes] = []
        for number, (batch, line) in enumerate(batches, 1):
            at += sum(len(entry) + 1 for entry in batch) + len(line) + 1
            entries += batch
            for entry in batch:
                tree.add(leaf_hash(entry))
            # A valid signature covers all before it, so that only the last ones need to be looked at.
            if number >= len(batches) - 1 and self._is_signed(Checkpoint(self.origin, tree.size, tree.root), line):
                good, end = number, at
                self._tree, self._entries = tree.copy(), list(entries)
        # One batch is durable before the next is written, so at most one can be torn.
        if not good or len(batches) - good > 1 or (good < len(batches) and rest != [b""]):
            raise Corrupt(f"{self.folder}: {TAIL}: entries are not as they were signed")
        self._leaves = [leaf_hash(entry) for entry in self._entries]
        return end

    def _is_signed(self, head: Checkpoint, line: bytes) -> bool:
        try:
            signature = parse_signature(line.decode())
        except ValueError:
            return False
        signed = Checkpoint(head.origin, head.size, head.root, (signature,))
        return signed.signed_by(note.log_key(self.origin, self._key.public))

    def _check_published(self) -> None:
        """What left the box or was published must be a part of what is here."""
        self._published = self._witnessed = 0
        for name in (CHECKPOINT, WITNESSED):
            path = self.folder / name
            if not path.exists():
                if name == CHECKPOINT and self._first:
                    raise Corrupt(f"{self.folder}: {CHECKPOINT} is gone")
                continue
            head = note.open_note(path.read_bytes(), note.log_key(self.origin, self._key.public))
            if head.size < self._first and name == CHECKPOINT:
                raise Corrupt(f"{self.folder}: {TAIL} begins behind the checkpoint")
            if head.size > self.size or self.head(head.size) != head:
                raise Corrupt(f"{self.folder}: {name}: {head.size} entries were signed that are not the first here")
            if name == CHECKPOINT:
                self._published = head.size
            else:
                self._witnessed = head.size

    @property
    def size(self) -> int:
        """How many entries it holds."""
        return self._tree.size

    @property
    def witnessed(self) -> int:
        """How many of them a witness has seen."""
        return self._witnessed

    @property
    def verifier(self) -> str:
        """The public key as a verifier line."""
        return note.verifier(note.log_key(self.origin, self._key.public))

    def standing(self) -> Standing:
        """Return how the journal stands for others."""
        with self._lock:
            checkpoint, witnessed = (self._text(name) for name in (CHECKPOINT, WITNESSED))
        head = note.parse_note(checkpoint.encode())
        told = note.witnesses_of(note.parse_note(witnessed.encode())) if witnessed else ()
        return Standing(self.origin, self.verifier, head.size, head.root.hex(), checkpoint, witnessed, told)

    def _text(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def append(self, entry: Mapping[str, Any]) -> int:
        """Write ``entry`` durably and signed, and return its number (from 1).

        Raises:
            ValueError: JSON cannot say it, or it is longer than ``LONGEST`` bytes.
            Refused: the disk is full (``journal-full``) or failed (``journal-broken``); nothing was accepted.
        """
        return self.append_many([entry])[0]

    def append_many(self, entries: Sequence[Mapping[str, Any]]) -> range:
        """Write ``entries`` durably with one signature, all or none, and return their numbers (from 1).

        Raises:
            ValueError, Refused: as ``append``.
        """
        return self.append_lines([encode(entry) for entry in entries])

    def append_lines(self, lines: Sequence[bytes]) -> range:
        """Do as ``append_many`` with entries that are lines of JSON already.

        Raises:
            ValueError, Refused: as ``append``.
        """
        if any(len(line) > LONGEST or line[:1] != b"{" or b"\n" in line for line in lines):
            raise ValueError(f"an entry is one line of JSON, an object of at most {LONGEST} bytes")
        lines = list(lines)
        with self._lock:
            before = self.size
            if lines:
                self._write(lines)
            if self.size - self._first >= FULL_TAIL and time.monotonic() >= self._retry:
                try:
                    self._publish()
                except (
                    OSError
                ) as error:  # the entries are durable all the same; the tail grows until tiles can be written
                    self._retry = time.monotonic() + RETRY
                    log.error("the journal's tiles cannot be written now: %s", error)
            return range(before + 1, self.size + 1)

    def _write(self, lines: list[bytes]) -> None:
        if self._broken:
            raise Refused("journal-broken", f"the journal cannot be written: {self._broken}", 507)
        if self.size - self._first > MOST_TAIL:
            raise Refused("journal-full", "the journal's tiles could not be written for too long: see the disk", 507)
        tree, leaves = self._tree.copy(), [leaf_hash(line) for line in lines]
        tree.add_many(leaves)
        head = Checkpoint(self.origin, tree.size, tree.root)
        data = b"".join([line + b"\n" for line in lines]) + note.signature(head, self._key).encode() + b"\n"
        try:
            self._disk.append(self._tail, data)
        except OSError as error:
            self._undo(error)
        try:
            self._disk.sync(self._tail)
        except OSError as error:
            # What a failed fsync left on the disk nobody knows, and asking again would lie (fsync(2), "errseq"): only a new start can tell.
            self._broken = f"{error.strerror}; start the daemon anew"
            raise Refused("journal-broken", f"the journal cannot be written: {self._broken}", 507) from error
        self._tree, self._end = tree, self._end + len(data)
        self._entries += lines
        self._leaves += leaves

    def _undo(self, error: OSError) -> None:
        try:
            self._disk.cut(self._tail, self._end)
        except OSError as other:
            self._broken = f"{other.strerror}; start the daemon anew"
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "journal-full" if full else "journal-broken"
        raise Refused(reason, f"the journal cannot be written, so nothing is decided: {error.strerror}", 507) from error

    def publish(self) -> bytes:
        """Write tiles and checkpoint for all entries, so that every tool of the family can read them, and return the checkpoint.

        Raises:
            Refused: the disk is full or failed; the entries are safe, and it may be tried again.
        """
        with self._lock:
            try:
                return self._publish()
            except OSError as error:
                raise Refused(
                    "journal-full", f"the journal's tiles cannot be written: {error.strerror}", 507
                ) from error

    def _publish(self) -> bytes:
        size, before = self.size, self._published
        if size == before and (self.folder / CHECKPOINT).exists():
            return (self.folder / CHECKPOINT).read_bytes()
        written = []
        for number in range(before // WIDTH, -(-size // WIDTH)):
            low, width = number * WIDTH - self._first, min(WIDTH, size - number * WIDTH)
            self._tiles.write(ENTRIES, number, width, pack(self._entries[low : low + width]))
            self._tiles.write("0", number, width, b"".join(self._leaves[low : low + width]))
            written += [(ENTRIES, number, width), ("0", number, width)]
        for level in range(1, 8):
            total, known = size >> 8 * level, before >> 8 * level
            for number in range(known // WIDTH, -(-total // WIDTH)) if total > known else ():
                width = min(WIDTH, total - number * WIDTH)
                hashes = [self._complete(8 * level, number * WIDTH + index) for index in range(width)]
                self._tiles.write(str(level), number, width, b"".join(hashes))
                written.append((str(level), number, width))
        self._tiles.sync()
        told = note.sign(self.head(size), self._key)
        self._put(CHECKPOINT, told)
        self._published = size
        if size - size % WIDTH > self._first:
            self._rotate(size - size % WIDTH)
        for kind, number, width in written:
            self._tiles.drop_narrower(kind, number, width)
        return told

    def _rotate(self, first: int) -> None:
        """Begin the tail anew: what lies before entry ``first`` is in durable tiles."""
        entries, leaves = self._entries[first - self._first :], self._leaves[first - self._first :]
        data = self._tail_of(first, entries)
        self._disk.write(self.folder / TEMPORARY, data)
        try:
            self._disk.rename(self.folder / TEMPORARY, self.folder / TAIL)
            self._disk.sync_folder(self.folder)
            os.close(self._tail)
            self._tail = self._open_tail()
        except OSError as error:
            self._broken = f"{error.strerror}; start the daemon anew"  # which of both tails is the durable one?
            raise
        self._first, self._entries, self._leaves, self._end = first, entries, leaves, len(data)

    def head(self, size: int | None = None) -> Checkpoint:
        """Return what the checkpoint of the first ``size`` entries says (of all, by default)."""
        with self._lock:
            if size is None or size == self.size:
                return Checkpoint(self.origin, self.size, self._tree.root)
            return Checkpoint(self.origin, size, proofs.root_of(0, size, self._complete))

    def prove(self, entry: Mapping[str, Any], number: int) -> bytes:
        """Return the proof that ``entry`` is number ``number`` (from 1) here, under a checkpoint signed now (c2sp.org/tlog-proof)."""
        with self._lock:
            path = proofs.inclusion(number - 1, self.size, self._complete)
            return proving.written(encode(entry), number, path, note.sign(self.head(), self._key))

    def request(self, old: int) -> bytes:
        """Return what asks a witness, who has seen ``old`` entries, to countersign what is published (c2sp.org/tlog-witness)."""
        with self._lock:
            proof = proofs.consistency(old, self._published, self._complete) if old <= self._published else []
            return note.request(old, proof, (self.folder / CHECKPOINT).read_bytes())

    def countersigned(self, size: int, root: str, lines: Sequence[str]) -> bool:
        """Keep the lines of witnesses for the head of ``size`` entries and ``root`` (base64); return whether they were new.

        Raises:
            Corrupt: they are no signature lines, or of entries that are not here.
        """
        with self._lock:
            if not 0 <= size <= self.size:
                raise Corrupt(f"a witness signed {size} entries, {self.size} are here")
            path, head = self.folder / WITNESSED, self.head(size)
            if base64.b64encode(head.root).decode() != root:
                raise Corrupt(f"a witness signed {size} entries that are not the first here")
            before = note.parse_note(path.read_bytes()) if path.exists() else None
            known = note.lines_of(before)[1:] if before == head and before else []
            fresh = note.checked_lines(lines)
            kept = [line for line in known if line.split(" ")[1] not in {one.split(" ")[1] for one in fresh}]
            if size < self._witnessed or (before == head and fresh == known):
                return False
            self._put(WITNESSED, note.written(head, [note.signature(head, self._key), *kept, *fresh]))
            self._witnessed = size
            return True

    def close(self) -> None:
        """Publish what is not yet, and let the files go."""
        with self._lock:
            if self._tail >= 0:
                try:
                    if not self._broken:
                        self._publish()
                except OSError as error:
                    log.error("the journal's tiles cannot be written now: %s", error)
                os.close(self._tail)
                self._tail = -1
                self._broken = "it is closed"
            self._closing()

    def _complete(self, level: int, index: int) -> bytes:
        """Return the hash of a complete subtree, from memory or from the tiles."""
        start, end = index << level, (index + 1) << level
        if end <= self._first:
            return self._tiles.complete(level, index)
        if start >= self._first:
            tree = Tree()
            tree.add(b"".join(self._leaves[start - self._first : end - self._first]))
            return tree.root(end - start)
        return node_hash(self._complete(level - 1, 2 * index), self._complete(level - 1, 2 * index + 1))

    def _tail_of(self, first: int, entries: Sequence[bytes]) -> bytes:
        tree = self._tiles.frontier(first) if first else Frontier()
        for entry in entries:
            tree.add(leaf_hash(entry))
        signed = note.signature(Checkpoint(self.origin, tree.size, tree.root), self._key).encode()
        return b"".join([b"after %d\n" % first, *(entry + b"\n" for entry in entries), signed, b"\n"])

    def _put(self, name: str, data: bytes) -> None:
        """Replace a file of the journal's own folder, durably."""
        self._disk.write(self.folder / TEMPORARY, data)
        self._disk.rename(self.folder / TEMPORARY, self.folder / name)
        self._disk.sync_folder(self.folder)

    def _open_tail(self) -> int:
        return os.open(self.folder / TAIL, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)


def encode(entry: Mapping[str, Any]) -> bytes:
    """Return an entry as its line of JSON.

    Raises:
        ValueError: JSON cannot say it, or it is longer than ``LONGEST`` bytes.
    """
    line = json.dumps(entry, ensure_ascii=False, sort_keys=True, allow_nan=False, separators=(",", ":")).encode()
    if len(line) > LONGEST:
        raise ValueError(f"a journal entry is at most {LONGEST} bytes, not {len(line)}")
    return line


def _locked(folder: Path) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise Unreachable(f"{folder}: another process writes this journal") from error
    return descriptor
