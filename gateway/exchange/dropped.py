"""What lies in a drop folder, as the exchange reads it: plain files by a parsed code and a digest; no link is followed."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from appliance.runtime.errors import Refused
from gateway.release import paths, signed
from gateway.release.trust import bundle

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # who writes there may leave a FIFO or a link


class Dropped:
    """The drop folder ``root``, which the peer of its name writes and nobody here does."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def envelope(self, code: str) -> bytes:
        """Return the envelope of the release ``code``.

        Raises:
            Refused: none lies there (``unknown-release``), or it is longer than any (``too-large``).
        """
        with self._open(code, paths.MANIFEST) as file:
            data = file.read(signed.LONGEST + 1)
        if len(data) > signed.LONGEST:
            raise Refused("too-large", f"an envelope has at most {signed.LONGEST} bytes", 413)
        return data

    def listing(self, code: str) -> bytes | None:
        """Return what the body signed for the release's listing, None where nothing of it lies there.

        Raises:
            Refused: it is longer than any (``too-large``).
        """
        try:
            file = self._open(code, paths.LISTING)
        except Refused:
            return None
        with file:
            data = file.read(bundle.LONGEST + 1)
        if len(data) > bundle.LONGEST:
            raise Refused("too-large", f"a listing has at most {bundle.LONGEST} bytes", 413)
        return data

    def part(self, code: str, sha256: str, size: int) -> BinaryIO:
        """Return the file of this digest, opened for reading; its bytes are not verified.

        Raises:
            Refused: it does not lie there in its full ``size`` (``unknown-path``).
        """
        file = self._open(code, sha256)
        held = os.fstat(file.fileno()).st_size
        if held != size:
            file.close()
            raise Refused("unknown-path", f"{held} of its {size} bytes are in the drop folder", 404)
        return file

    def _open(self, code: str, name: str) -> BinaryIO:
        reason = "unknown-release" if name == paths.MANIFEST else "unknown-path"
        try:
            folder = os.open(self._root / paths.code_of(code), os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                descriptor = os.open(name, _FLAGS, dir_fd=folder)
            finally:
                os.close(folder)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.ENXIO):
                raise Refused(reason, f"nothing of that name lies in the drop folder: {error.strerror}", 404) from error
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise Refused(reason, "what lies in the drop folder is no plain file", 404)
        return os.fdopen(descriptor, "rb", buffering=0)
