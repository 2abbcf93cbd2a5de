"""The drop folder: unfinished uploads, which only one side writes and the exchange reads.

``CODE/release.json`` and ``CODE/SHA256``: names come from a parsed code and from digests, never from a sender. What is here was not judged.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from appliance.runtime.errors import Corrupt, Refused
from appliance.runtime.files import write_atomic
from gateway.release import paths

FOLDER_MODE, FILE_MODE = 0o750, 0o640
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def full(error: OSError) -> Exception:
    """Return a full disk as what senders are refused with, and any other failure as itself."""
    if error.errno in _FULL:
        return Refused("drop-full", f"the disk for uploads is full: {error.strerror}", 507)
    return error


class Drop:
    """The drop folder ``root``; ``free`` bytes of its disk are never used."""

    def __init__(self, root: Path, free: int) -> None:
        self.root, self.free = root, free

    def codes(self) -> list[str]:
        """Return the releases that something is here of."""
        found = []
        with os.scandir(self.root) as entries:
            for entry in entries:
                with contextlib.suppress(Refused):
                    found.append(paths.code_of(entry.name))
        return found

    def age(self, code: str, now: float) -> float:
        """Return the seconds since something of ``code`` was written, of ``now`` (seconds since the epoch)."""
        newest = max((entry.stat(follow_symlinks=False).st_mtime for entry in self._entries(code)), default=0.0)
        return now - newest

    def used(self, code: str) -> int:
        """Return the bytes that are here of ``code``."""
        return sum(entry.stat(follow_symlinks=False).st_size for entry in self._entries(code))

    def begin(self, code: str, envelope: bytes) -> None:
        """Keep the envelope of ``code``, in the place of the one before.

        Raises:
            Refused: the disk is full (``drop-full``).
        """
        folder = self._folder(code)
        try:
            folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
            write_atomic(folder / paths.MANIFEST, envelope, FILE_MODE)
        except OSError as error:
            raise full(error) from error

    def put_listing(self, code: str, listing: bytes) -> None:
        """Keep what the body signed for the listing of ``code``, in the place of what was here before.

        Raises:
            Refused: the disk is full (``drop-full``).
        """
        folder = self._folder(code)
        try:
            folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
            write_atomic(folder / paths.LISTING, listing, FILE_MODE)
        except OSError as error:
            raise full(error) from error

    def waiting(self) -> dict[str, bytes]:
        """Return the envelopes of releases that came with a listing, by code; those that cannot be read are left out."""
        found = {}
        for code in self.codes():
            folder = self._folder(code)
            with contextlib.suppress(OSError):
                if (folder / paths.LISTING).is_file():
                    found[code] = (folder / paths.MANIFEST).read_bytes()
        return found

    def offsets(self, code: str) -> dict[str, int]:
        """Return digest -> bytes of each part of ``code`` that is here."""
        return {
            entry.name: entry.stat(follow_symlinks=False).st_size
            for entry in self._entries(code)
            if _DIGEST.fullmatch(entry.name)
        }

    def keep(self, code: str, digests: set[str]) -> None:
        """Throw away what is here of ``code`` and is none of ``digests``."""
        for entry in self._entries(code):
            if entry.name not in digests and entry.name not in (paths.MANIFEST, paths.LISTING):
                Path(entry.path).unlink(missing_ok=True)

    @contextlib.contextmanager
    def append(self, code: str, sha256: str, offset: int) -> Iterator[Sink]:
        """Yield what takes the next bytes of a part, of which ``offset`` are here.

        Not forced to disk: after a power cut the sender is told how much is left, and every byte is verified when it is taken in.

        Raises:
            Refused: the disk is full (``drop-full``), also while writing.
            Corrupt: another number of bytes is here.
        """
        try:
            descriptor = os.open(
                self._part(code, sha256),
                os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC,
                FILE_MODE,
            )
        except OSError as error:
            raise full(error) from error
        sink = Sink(descriptor, offset, self.free)
        try:
            if os.fstat(descriptor).st_size != offset:
                raise Corrupt(f"{os.fstat(descriptor).st_size} bytes are here, not {offset}")
            yield sink
        finally:
            sink.close()

    def remove_part(self, code: str, sha256: str) -> None:
        """Throw a part away."""
        self._part(code, sha256).unlink(missing_ok=True)

    def remove(self, code: str) -> None:
        """Throw away all that is here of ``code``."""
        shutil.rmtree(self._folder(code), ignore_errors=True)

    def _entries(self, code: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._folder(code)) as entries:
                return list(entries)
        except FileNotFoundError:
            return []

    def _folder(self, code: str) -> Path:
        return self.root / paths.code_of(code)

    def _part(self, code: str, sha256: str) -> Path:
        if not _DIGEST.fullmatch(sha256):
            raise ValueError("not a SHA-256 in hex")
        return self._folder(code) / sha256


class Sink:
    """A part that is being appended to; ``offset`` counts what is here. Closing waits for a thread that writes."""

    def __init__(self, descriptor: int, offset: int, free: int) -> None:
        self._descriptor, self.offset, self._free = descriptor, offset, free
        self._alone = threading.Lock()

    def close(self) -> None:
        """Take nothing more."""
        with self._alone:
            os.close(self._descriptor)
            self._descriptor = -1

    def write(self, data: bytes) -> None:
        """Append ``data``.

        Raises:
            Refused: the disk is full (``drop-full``); what fitted is here.
        """
        with self._alone:
            self._write(data)

    def _write(self, data: bytes) -> None:
        disk = os.fstatvfs(self._descriptor)
        if disk.f_bavail * disk.f_frsize < self._free + len(data):
            raise Refused("drop-full", f"{self._free} bytes of the disk stay free: ask again when there is room", 507)
        view = memoryview(data)
        try:
            while view:
                written = os.write(self._descriptor, view)
                self.offset += written
                view = view[written:]
        except OSError as error:
            raise full(error) from error
