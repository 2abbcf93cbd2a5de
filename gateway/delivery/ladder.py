"""What the screens of this zone see of a master playlist or an MPD: their own ladder, made once for each version."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from typing import BinaryIO

from gateway.isolation.policy import Policy
from gateway.playlists.ladder import DASH, HLS, LONGEST, Limits, filtered
from gateway.serving.coming import Coming, Object
from gateway.serving.exchange import LiveFile

MOST = 256  # filtered playlists in memory
MOST_BYTES = 16 << 20  # of them together


class Shown:
    """The playlists of one zone, filtered by its limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._made: OrderedDict[str, tuple[str, bytes]] = OrderedDict()  # digest -> digest and bytes of what is shown
        self._bytes = 0

    def filters(self, kind: str) -> bool:
        """Return whether a file of the media type ``kind`` is looked into."""
        return bool(self._limits) and kind in (HLS, DASH)

    async def show(
        self, file: Object | LiveFile, opened: BinaryIO, coming: Coming | None
    ) -> tuple[Object | LiveFile, BinaryIO, Coming | None]:
        """Return ``file`` as this zone sees it; ``opened`` is closed where that is another one, or where it cannot be read.

        Raises:
            HeadgateError: it does not come whole, or cannot be read (an unreadable playlist is not shown unfiltered).
        """
        try:
            if file.sha256 not in self._made:
                if (
                    file.size > LONGEST
                ):  # a long list of segments, as no master playlist is; an MPD of that size is refused
                    if file.type == HLS:
                        return file, opened, coming
                    filtered(b" " * (LONGEST + 1), file.type, self._limits)
                if coming is not None:
                    await coming.reach(file.size)
                data = os.pread(opened.fileno(), file.size, 0)
                self._keep(file.sha256, filtered(data, file.type, self._limits))
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


def limits_of(policy: Policy, zone: str) -> Limits:
    """Return what the policy limits in ``zone``."""
    ladder = policy.ladders.get(zone)
    return Limits(ladder.height or 0, ladder.bandwidth or 0, ladder.codecs) if ladder else Limits()


def _in_memory(data: bytes) -> BinaryIO:
    """Return a file that is nowhere on the disk: what sends by descriptor sends it too."""
    file = os.fdopen(os.memfd_create("playlist", os.MFD_CLOEXEC), "w+b", buffering=0)
    file.write(data)
    return file
