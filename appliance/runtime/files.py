"""Files that are whole or not there, also after a power cut."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def write_atomic(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace ``path`` by ``data`` durably, as ``replacing`` does."""
    with replacing(path, mode) as file:
        file.write(data)


@contextmanager
def replacing(path: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Yield what takes the place of ``path`` durably, once it is whole: temporary file, fsync, rename, fsync of the folder.

    A device or a pipe, such as ``/dev/stdout``, is never replaced: it takes what is written.
    """
    if _takes_what_is_written(path):
        with path.open("wb") as file:
            yield file
        return
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _takes_what_is_written(path: Path) -> bool:
    try:
        kind = path.stat().st_mode
    except OSError:  # not there, or not ours to look at: whoever writes tells
        return False
    return stat.S_ISCHR(kind) or stat.S_ISFIFO(kind) or path.parent == Path("/dev")


def sync_folder(folder: Path) -> None:
    """Make renames and removals in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
