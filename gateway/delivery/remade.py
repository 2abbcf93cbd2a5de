"""Playlists that a screen is shown otherwise than they are in the store: made once for each version, and bounded."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable
from typing import BinaryIO

from appliance.runtime.errors import Corrupt
from gateway.playlists.ladder import HLS, LONGEST
from gateway.serving.coming import Coming, Object
from gateway.serving.exchange import LiveFile

MOST = 256  # playlists in memory
MOST_BYTES = 16 << 20  # of them together


class Remade:
    """What ``make`` gives of playlists (their bytes and media type), by their digests."""

    def __init__(self, make: Callable[[bytes, str], bytes]) -> None:
        self._make = make
        self._made: OrderedDict[str, tuple[str, bytes]] = OrderedDict()  # digest -> digest and bytes of what is shown
        self._bytes = 0

    async def show(
        self, file: Object | LiveFile, opened: BinaryIO, coming: Coming | None
    ) -> tuple[Object | LiveFile, BinaryIO, Coming | None]:
        """Return ``file`` as it is shown; ``opened`` is closed where that is another one, or where it cannot be read.

        Raises:
            HeadgateError: it does not come whole, or cannot be read (what cannot be made is not shown as it is).
        """
        try:
            if file.sha256 not in self._made:
                if file.size > LONGEST and file.type == HLS:  # a long list of segments, as no master playlist is
                    return file, opened, coming
                self._keep(file.sha256, self._make(await _whole(file, opened, coming), file.type))
            sha256, data = self._made[file.sha256]
            self._made.move_to_end(file.sha256)
        except BaseException:
            opened.close()
            raise
        if sha256 == file.sha256:
            return file, opened, coming
        opened.close()
        return (
            file.model_copy(update={"sha256": sha256, "size": len(data)})
            if isinstance(file, LiveFile)
            else Object(sha256, len(data), file.type),
            _in_memory(data),
            None,
        )

    def _keep(self, sha256: str, data: bytes) -> None:
        digest = hashlib.sha256(data).hexdigest()
        data = b"" if digest == sha256 else data  # unchanged: it is served from the store
        self._made[sha256] = digest, data
        self._bytes += len(data)
        while len(self._made) > MOST or (self._bytes > MOST_BYTES and len(self._made) > 1):
            self._bytes -= len(self._made.popitem(last=False)[1][1])


async def _whole(file: Object | LiveFile, opened: BinaryIO, coming: Coming | None) -> bytes:
    if file.size > LONGEST:
        raise Corrupt(f"an MPD that is filtered has at most {LONGEST} bytes")
    if coming is not None:
        await coming.reach(file.size)
    return os.pread(opened.fileno(), file.size, 0)


def _in_memory(data: bytes) -> BinaryIO:
    """Return a file that is nowhere on the disk: what sends by descriptor sends it too."""
    file = os.fdopen(os.memfd_create("playlist", os.MFD_CLOEXEC), "w+b", buffering=0)
    file.write(data)
    return file
