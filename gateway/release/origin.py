"""An origin's folder on this machine's disk, as the sink that a release is published to.

A file is written beside its place under a name made of its digest, and moved there whole. Whoever was interrupted finds it again:
its chunks are compared with their signed digests, and only what is missing is copied.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from appliance.runtime.errors import Refused
from appliance.runtime.files import sync_folder, write_atomic
from gateway.release import folder as folders
from gateway.release import paths, publishing
from gateway.release.folder import Progress
from gateway.release.manifest import PIECE, File, Release

UNFINISHED = ".headgate-"  # and the file's SHA-256; no file of a release begins with a dot


class OriginFolder:
    """The folder ``origin``/releases/CODE of one release; made by ``opened``, which keeps others from writing there."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def manifest(self) -> tuple[bytes, Release] | None:
        """Return the envelope that is there and what it claims, or None."""
        return folders.read_claimed(self.target)

    def have(self, path: str, file: File) -> int | None:
        """Return how many verified bytes are there, in whole pieces, of a file that was broken off; None: it is in its place."""
        place = self.target / path
        if place.is_file() and place.stat().st_size == file.size and folders.digest_of(place)[0] == file.sha256:
            return None
        good = 0
        with contextlib.suppress(FileNotFoundError), self._unfinished(path, file).open("rb") as data:
            while good + PIECE < file.size:  # the last one is copied again: it is what finishes the file
                piece = data.read(PIECE)
                if len(piece) < PIECE or not file.signs(good, piece):
                    break
                good += PIECE
        return good

    def take(self, path: str, file: File, first: int, data: bytes) -> None:
        """Write the piece at ``first``, and nothing behind it."""
        unfinished = self._unfinished(path, file)
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        with os.fdopen(descriptor, "wb") as out:
            out.truncate(first)
            out.seek(first)
            out.write(data)

    def finish(self, path: str, file: File) -> None:
        """Make the file durable, and move it into its place."""
        unfinished, place = self._unfinished(path, file), self.target / path
        if not file.size:
            self.take(path, file, 0, b"")
        with unfinished.open("rb+") as out:
            os.fchmod(out.fileno(), 0o644)
            os.fsync(out.fileno())
        unfinished.replace(place)
        sync_folder(place.parent)

    def commit(self, envelope: bytes) -> None:
        """Write the manifest, and throw away what earlier attempts left."""
        write_atomic(self.target / paths.MANIFEST, envelope)
        for left in self.target.rglob(f"{UNFINISHED}*"):
            left.unlink()

    def _unfinished(self, path: str, file: File) -> Path:
        return (self.target / path).parent / f"{UNFINISHED}{file.sha256}"


@contextlib.contextmanager
def opened(origin: Path, code: str) -> Iterator[OriginFolder]:
    """Yield the folder of the release ``code`` below ``origin``, where nobody else publishes meanwhile.

    Raises:
        Refused: somebody else does (``busy``), or the disk is full (``store-full``).
    """
    target = origin / "releases" / paths.code_of(code)
    target.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield OriginFolder(target)
    except BlockingIOError as error:
        raise Refused("busy", f"{target} is being published to by another call", 503) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            told = "make room and publish again: it goes on from here"
            raise Refused("store-full", f"the origin's disk is full ({error.strerror}); {told}", 507) from error
        raise
    finally:
        os.close(descriptor)


def publish(folder: Path, origin: Path, progress: Progress = lambda _: None) -> tuple[Path, int]:
    """Publish the release in ``folder`` to the origin's folder ``origin``; return where, and how many files were copied.

    Raises:
        ConfigError, Refused: as ``publishing.publish`` and ``opened``.
    """
    found = publishing.made_in(folder)
    with opened(origin, found[1].code) as sink:
        return sink.target, publishing.publish(folder, sink, progress)
