"""Bytes that come in, against the digests that their manifest signs: each chunk, and the whole.

The whole is digested also where every chunk has its own: the store's names must be true whatever a manifest claims, or a body
could put its bytes under the name of another's object. The first chunk's digest is that of the whole so far, which costs nothing.
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
from gateway.release.manifest import CHUNK, File

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
        if running is None or running.file != file or running.at != first or (first % CHUNK) or not 0 <= count <= CHUNK:
            raise Refused("bad-request", "the pieces of an object come one after the other", 400)
        end = first + count
        if end > file.size or (last and end != file.size):
            raise mismatch(f"{end} bytes came, the manifest says {file.size}")
        if not last and count != CHUNK:
            raise Refused("bad-request", f"a piece but the last has {CHUNK} bytes", 400)
        before = _Running(file, running.at, running.whole.copy())
        try:
            self._digest(running, name, count)
        except Refused:
            if first:  # the right bytes may come from elsewhere, in the place of these
                self._keep(name, before)
            raise
        if last and running.whole.hexdigest() != file.sha256:
            raise mismatch("the SHA-256 of what came is not the manifest's")
        if not last:
            self._keep(name, running)
        return end if last or file.chunks else 0

    def _keep(self, name: str, running: _Running) -> None:
        self._running[name] = running
        while len(self._running) > MOST:
            self._running.popitem(last=False)

    def _digest(self, running: _Running, name: str, count: int) -> None:
        signs = running.file.chunks[running.at // CHUNK] if running.file.chunks else ""
        part = hashlib.sha256() if signs and running.at else None
        descriptor = open_incoming(self._folder, name)
        try:
            block, end = bytearray(BLOCK), running.at + count
            view = memoryview(block)
            while running.at < end:
                came = os.preadv(descriptor, [view[: end - running.at]], running.at)
                if not came:
                    raise mismatch("fewer bytes are there than were announced")
                running.whole.update(view[:came])
                if part is not None:
                    part.update(view[:came])
                running.at += came
        finally:
            os.close(descriptor)
        if signs and (part or running.whole).hexdigest() != signs:
            number = (running.at - 1) // CHUNK
            raise mismatch(f"the SHA-256 of the piece {number + 1} of {len(running.file.chunks)} is not the manifest's")


def mismatch(sentence: str) -> Refused:
    """Return the refusal of bytes that are not what the manifest signs."""
    return Refuse("digest-mismatch", sentence).error()
