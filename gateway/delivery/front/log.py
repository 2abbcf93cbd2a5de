"""nginx's log of transfers, read by offset, in a file that outlives delivery and stays small.

nginx appends for ever, and is never asked to open another file: what was counted is taken out of the file as a hole, which gives its
memory back and moves no offset. So there is no instant at which a line could go to a file that nobody reads any more. A mark says which
file it is of and how far that was read; a file that is another one (after a boot) is begun at its beginning.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gateway.delivery.front.lines import LONGEST

AT_ONCE = 256 << 10  # bytes read at a time: what is alike in them is counted together, and others run in between
ALIKE = 8 * AT_ONCE  # while much in them is alike, which takes as long then
HOLE = 1 << 20  # bytes: smaller ones are not worth a call
PAGE = 4096  # bytes; holes are whole pages
OFFSET = 48  # bits of a mark
PUNCH_KEEP_SIZE = 2 | 1  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, <linux/falloc.h>
_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


class Block(NamedTuple):
    """Whole lines that follow each other."""

    texts: list[bytes]
    begins: int  # the mark of where the first one begins
    mark: int  # of where the last one ends

    def places(self) -> Iterator[tuple[bytes, int]]:
        """Yield each line with the mark of where it begins."""
        begins = self.begins
        for text in self.texts:
            yield text, begins
            begins += len(text) + 1


class Log:
    """The log at ``path``, which nginx makes or this.

    Raises:
        OSError: it cannot be read and written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open()

    def _open(self) -> None:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o660)
        told = os.fstat(self._descriptor)
        self._inode = told.st_ino
        self._name = int.from_bytes(hashlib.sha256(b"%d %d" % (told.st_dev, told.st_ino)).digest()[:2], "big")
        try:
            self._holed = os.lseek(self._descriptor, 0, os.SEEK_DATA)
        except OSError:  # ENXIO: it is empty, or a hole to its end
            self._holed = told.st_size
        self._offset, self._rest, self._skips = self._holed, b"", self._holed > 0  # a hole ends within a line

    def close(self) -> None:
        """Let it go."""
        os.close(self._descriptor)

    @property
    def unread(self) -> int:
        """How many bytes wait to be read."""
        return max(0, os.fstat(self._descriptor).st_size - self._offset)

    @property
    def room(self) -> int:
        """How many bytes its file system has left: nginx goes on where it can write no line."""
        told = os.fstatvfs(self._descriptor)
        return told.f_bavail * told.f_frsize

    @property
    def mark(self) -> int:
        """How far it was read, as a number that also says which file it is."""
        return self._mark(self._offset)

    @property
    def end(self) -> int:
        """The mark of where nginx's next line will begin."""
        return self._mark(os.fstat(self._descriptor).st_size)

    def _mark(self, offset: int) -> int:
        return self._name << OFFSET | offset

    def covers(self, mark: int, of: int) -> bool:
        """Return whether the mark ``mark`` says that the line that ends at the mark ``of`` was counted."""
        return mark >> OFFSET == of >> OFFSET and of <= mark <= self.end

    def blocks(self) -> Iterator[Block]:
        """Yield the whole lines that were not read yet; one that is longer than any can be is yielded without its text."""
        while (some := self.some()) is not None:
            yield some

    def some(self, *, alike: bool = False) -> Block | None:
        """Return the next lines, as ``blocks`` does, not all at once, but more where they are ``alike``; None where there are none now."""
        data = os.pread(self._descriptor, ALIKE if alike else AT_ONCE, self._offset + len(self._rest))
        if not data:
            return Block([], self.mark, self.mark) if self._follow() else None
        begins, texts = self._offset, list[bytes]()
        whole, newline, self._rest = (self._rest + data).rpartition(b"\n")
        if newline:
            self._offset += len(whole) + 1
            texts = whole.split(b"\n")
            if self._skips:
                self._skips = False
                begins += len(texts.pop(0)) + 1
        if len(self._rest) > LONGEST:
            self._offset += len(self._rest)
            self._rest = b""
            if not self._skips:
                self._skips = True
                texts.append(b"")
        return Block(texts, self._mark(begins), self.mark)

    def _follow(self) -> bool:
        """Go on in another file if one is in this one's place, or at the beginning of one that was cut short; return whether so."""
        try:
            told = self._path.stat()
        except FileNotFoundError:
            return False
        if told.st_ino == self._inode and told.st_size >= self._offset + len(self._rest):
            return False
        os.close(self._descriptor)
        self._open()
        return True

    def punch(self, upto: int) -> None:
        """Give the memory of what is before the mark ``upto``, where a line begins, back, but for some of it.

        Raises:
            OSError: the file system cannot.
        """
        if upto >> OFFSET != self._name:  # of the file that was here before
            return
        # The end of the line before it stays, so that a reader knows where it begins.
        end = ((upto & (1 << OFFSET) - 1) - 1) // PAGE * PAGE
        if end - self._holed >= HOLE:
            if _libc.fallocate(self._descriptor, PUNCH_KEEP_SIZE, self._holed, end - self._holed):
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code), str(self._path))
            self._holed = end

    def append(self, text: str) -> None:
        """Add a line, between two of nginx's.

        Raises:
            OSError: the file system is full.
        """
        line = text.encode() + b"\n"
        if os.write(self._descriptor, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
