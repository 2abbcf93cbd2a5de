"""What delivery and nginx's workers have in common memory, which a worker reads before each answer from what it remembers.

How often delivery took back what it had told, until when it may be remembered, and what every player is told now.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path

TOLD = 512  # bytes of what players are told


class Common(ctypes.Structure):
    """As ``templates/quick.lua`` reads it."""

    _fields_ = (
        ("number", ctypes.c_uint32),
        ("turn", ctypes.c_uint32),  # of ``told``: its last bit says which of the two holds
        ("lease", ctypes.c_double),  # seconds since 1970
        ("told", ctypes.c_char * TOLD * 2),
    )


class Recalls:
    """The file at ``path``: never another file there, and never a shorter one, since nginx has it in its memory.

    Raises:
        OSError: it cannot be read and written.
    """

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            os.posix_fallocate(
                descriptor, 0, ctypes.sizeof(Common)
            )  # a full file system is told now, not by a signal later
            memory = mmap.mmap(descriptor, ctypes.sizeof(Common))
        finally:
            os.close(descriptor)
        self._common = Common.from_buffer(memory)

    def recall(self) -> None:
        """Make all that nginx remembers now useless, at once; what it opens by must be gone before."""
        self._common.number += 1

    def lend(self, until: float, told: str) -> None:
        """Let workers answer by what they remember until ``until`` (seconds since 1970), and tell players ``told`` with it."""
        common, text = self._common, told.encode()
        if len(text) < TOLD and text != common.told[common.turn % 2].value:
            common.told[(common.turn + 1) % 2].value = text  # nobody reads this one until it is its turn
            common.turn += 1
        common.lease = until
