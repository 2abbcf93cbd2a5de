"""How often delivery took back what it had told nginx: a number in memory that nginx reads before each answer from what it remembers."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path

SIZE = ctypes.sizeof(ctypes.c_uint32)  # bytes, as ``templates/quick.lua`` reads them


class Recalls:
    """The number in the file at ``path``: never another file there, and never a shorter one, since nginx has it in its memory.

    Raises:
        OSError: it cannot be read and written.
    """

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            os.posix_fallocate(descriptor, 0, SIZE)  # a full file system is told now, not by a signal later
            memory = mmap.mmap(descriptor, SIZE)
        finally:
            os.close(descriptor)
        self._number = ctypes.c_uint32.from_buffer(memory)

    def recall(self) -> None:
        """Make all that nginx remembers now useless, at once; what it opens by must be gone before."""
        self._number.value += 1
