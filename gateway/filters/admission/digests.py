"""Bytes that come in, against the digests that their manifest signs: each chunk, and the whole.

The whole is digested also where every chunk has its own: the store's names must be true whatever a manifest claims, or a body
could put its bytes under the name of another's object. The first chunk's digest is that of the whole so far, and the last piece is
judged by the whole: neither costs anything, and an object that came in one piece is digested once.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

from appliance.runtime.errors import Refused
from gateway.filters.admission.decide import Refuse
from gateway.release import paths
from gateway.release.manifest import PIECE, File

BLOCK = 256 << 10  # bytes digested at once: they stay in the processor's cache for the second digest
MOST = 1024  # objects on their way; the one that was seen last longest ago is forgotten
_NAME = re.compile(r"[0-9a-z]{1,80}(-[0-9a-z]{1,40})?", re.ASCII)


def open_incoming(folder: Path, name: str) -> int:
    """Return a descriptor of what the exchange wrote as ``name``.

    Raises:
        Refused: it is no name of a file there (``bad-request``).
    """
    if not _NAME.fullmatch(name):
        raise Refused("bad-request", "this is no name of an incoming file", 400)
    return _open(folder / name)


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise Refused("bad-request", f"the file to be judged cannot be read: {error.strerror}", 400) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Refused("bad-request", "what is to be judged is no plain file", 400)
    return descriptor


def read_incoming(folder: Path, name: str, largest: int) -> bytes:
    """Return the whole of an incoming file of at most ``largest`` bytes.

    Raises:
        Refused: it is longer (``too-large``), or there is none (``bad-request``).
    """
    return _read(open_incoming(folder, name), largest)


def read_kept(folder: Path, code: str, largest: int) -> bytes:
    """Return the envelope of at most ``largest`` bytes that the exchange keeps of the release ``code``.

    Raises:
        Refused: it is longer (``too-large``), or there is none (``bad-request``).
    """
    return _read(_open(folder / f"{paths.code_of(code)}.json"), largest)


def _read(descriptor: int, largest: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise Refused("too-large", f"this is longer than {largest} bytes", 413)
    return data


@dataclass
class _Running:
    file: File
    at: int = 0  # bytes digested
    whole: hashlib._Hash = field(default_factory=hashlib.sha256)


class Digests:
    """The objects on their way, each with its digest so far."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: OrderedDict[str, _Running] = OrderedDict()

    def take(self, file: File, name: str, first: int, count: int, *, last: bool) -> int:
        """Return up to where the incoming file ``name`` is what ``file`` signs, after ``count`` bytes from ``first`` on.

        Raises:
            Refused: it is not (``digest-mismatch``), or the pieces do not come in order (``bad-request``).
        """
        running = self._running.pop(name, None) if first else _Running(file)
        if running is None or running.file != file or running.at != first or not 0 <= count <= PIECE:
            raise Refused("bad-request", "the pieces of an object come one after the other", 400)
        end = first + count
        if end > file.size or (last and end != file.size):
            raise mismatch(f"{end} bytes came, the manifest says {file.size}")
        if not last and (not count or count % file.chunk):
            raise Refused("bad-request", f"a piece but the last is made of chunks of {file.chunk} bytes", 400)
        before = _Running(file, running.at, running.whole.copy())
        try:
            self._digest(running, name, count, last=last)
        except Refused:
            if first:  # the right bytes may come from elsewhere, in the place of these
                self._keep(name, before)
            raise
        if not last:
            self._keep(name, running)
        return end if last or file.chunks else 0

    def _keep(self, name: str, running: _Running) -> None:
        self._running[name] = running
        while len(self._running) > MOST:
            self._running.popitem(last=False)

    def _digest(self, running: _Running, name: str, count: int, *, last: bool) -> None:
        file, end = running.file, running.at + count
        descriptor = open_incoming(self._folder, name)
        try:
            view = memoryview(bytearray(min(BLOCK, count)))
            if last:
                self._read(running, descriptor, view, end, None)
            while running.at < end:
                first, part = running.at, hashlib.sha256() if running.at else None
                self._read(running, descriptor, view, first + file.chunk, part)
                if file.chunks and (part or running.whole).digest() != file.digest_at(first):
                    number, of = first // file.chunk + 1, -(-file.size // file.chunk)
                    raise mismatch(f"the SHA-256 of the chunk {number} of {of} is not the manifest's")
        finally:
            os.close(descriptor)
        if last and running.whole.hexdigest() != file.sha256:
            raise mismatch("the SHA-256 of what came is not the manifest's")

    @staticmethod
    def _read(running: _Running, descriptor: int, view: memoryview, upto: int, part: hashlib._Hash | None) -> None:
        """Digest the bytes up to ``upto``, also into ``part``."""
        while running.at < upto:
            came = os.preadv(descriptor, [view[: upto - running.at]], running.at)
            if not came:
                raise mismatch("fewer bytes are there than were announced")
            running.whole.update(view[:came])
            if part is not None:
                part.update(view[:came])
            running.at += came


def mismatch(sentence: str) -> Refused:
    """Return the refusal of bytes that are not what the manifest signs."""
    return Refuse("digest-mismatch", sentence).error()
