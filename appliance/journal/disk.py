"""The few operations on files that a journal's durability rests on; tests record them and cut the power between any two."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from appliance.runtime.files import sync_folder

AT_ONCE = 8  # files that wait for their fsync at the same time: the filesystem answers all of them with one commit


class Disk:
    """The real disk."""

    def append(self, file: int, data: bytes) -> None:
        """Write ``data`` behind what the open file holds; not durable yet."""
        view = memoryview(data)
        while view:
            view = view[os.write(file, view) :]

    def sync(self, file: int) -> None:
        """Make the open file's content durable."""
        os.fdatasync(file)

    def cut(self, file: int, size: int) -> None:
        """Make the open file end after ``size`` bytes, durably."""
        os.ftruncate(file, size)
        os.fsync(file)

    def write(self, path: Path, data: bytes) -> None:
        """Write a whole file, whose content is durable on return; its name is not yet."""
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o640)
        try:
            self.append(file, data)
            os.fsync(file)
        finally:
            os.close(file)

    def write_all(self, files: Sequence[tuple[Path, bytes]]) -> None:
        """Do as ``write`` with each of ``files``."""
        if len(files) <= 1:
            for path, data in files:
                self.write(path, data)
            return
        with ThreadPoolExecutor(min(AT_ONCE, len(files))) as pool:
            for done in [pool.submit(self.write, path, data) for path, data in files]:
                done.result()

    def rename(self, path: Path, to: Path) -> None:
        """Give a file its name, in place of what had it."""
        path.replace(to)

    def unlink(self, path: Path) -> None:
        """Remove a file, where it is there."""
        path.unlink(missing_ok=True)

    def make_folder(self, path: Path) -> None:
        """Make a folder."""
        path.mkdir(exist_ok=True)

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder durable."""
        sync_folder(path)
