"""A rendition that a zone's ladder leaves out is refused also to who asks for its files by name."""

from __future__ import annotations

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from appliance.runtime.errors import HeadgateError, Refused
from appliance.runtime.once import Once
from gateway.delivery.live import PREFIX, Channels
from gateway.playlists import hidden
from gateway.playlists.hidden import Channel, Uses
from gateway.playlists.ladder import DASH, HLS, Limits
from gateway.serving.exchange import Exchange, Manifest
from gateway.store.objects import Objects

REASON = "not-in-ladder"
MOST_PLAYLISTS = 4000  # of a release that are read
MOST_PATHS = 500_000  # of all releases in memory
MOST_CHANNELS = 200
AGAIN = 5.0  # seconds until playlists that could not be read are asked for again


class Beyond:
    """What the screens of one zone are refused, by its ``limits``; ``clock`` tells seconds that only grow."""

    def __init__(
        self,
        limits: Limits,
        store: Objects,
        incoming: Path,
        exchange: Exchange,
        channels: Channels,
        tasks: asyncio.TaskGroup,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits, self._clock, self._channels = limits, clock, channels
        self._store, self._incoming, self._exchange = store, incoming, exchange
        self._once: Once[str, tuple[Uses, HeadgateError | None]] = Once(tasks, at_once=4, waiting=1000)
        # By version of a release: what is used by whom, why some of it is not known, and until when that holds.
        self._uses: OrderedDict[str, tuple[Uses, HeadgateError | None, float]] = OrderedDict()
        self._live: OrderedDict[str, tuple[str, Channel]] = (
            OrderedDict()
        )  # by code: the entry's digest, and what it says

    async def check(self, manifest: Manifest, code: str, path: str) -> None:
        """Pass what a rendition that is shown uses, or none at all.

        Raises:
            Refused: only renditions that the zone's ladder leaves out use it (``not-in-ladder``).
            HeadgateError: that cannot be known now, as playlists of the release do not come.
        """
        if not self._limits:
            return
        if manifest.live is not None and path.startswith(PREFIX):
            if await self._hides_live(manifest, code, path):
                raise _refused(path)
            return
        uses, failure = await self._of(manifest)
        if path in uses.hidden:
            raise _refused(path)
        file = manifest.files.get(path)
        if failure is not None and file is not None and file.type not in (HLS, DASH) and path not in uses.shown:
            raise failure

    def grants(self, manifest: Manifest, path: str) -> bool:
        """Return whether it is known by now that ``path`` may be served, so that ``check`` need not be asked."""
        if self._limits and manifest.live is not None and path.startswith(PREFIX):
            channel = self._live.get(manifest.release)
            return channel is not None and not channel[1].hides(path)
        known = self._uses.get(manifest.digest)
        return not self._limits or (known is not None and known[1] is None and path not in known[0].hidden)

    async def _of(self, manifest: Manifest) -> tuple[Uses, HeadgateError | None]:
        known = self._uses.get(manifest.digest)
        if known is not None and self._clock() < known[2]:
            self._uses.move_to_end(manifest.digest)
            return known[:2]
        return await self._once.do(manifest.digest, lambda: self._read(manifest))

    async def _read(self, manifest: Manifest) -> tuple[Uses, HeadgateError | None]:
        wanted = [path for path, file in manifest.files.items() if file.type in (HLS, DASH)]
        failure: HeadgateError | None = None
        if len(wanted) > MOST_PLAYLISTS:
            failure = Refused(
                "too-large", f"a release whose ladder is kept has at most {MOST_PLAYLISTS} playlists", 413
            )
        files: dict[str, tuple[bytes, str]] = {}
        for path, data in zip(
            wanted[:MOST_PLAYLISTS],
            await asyncio.gather(*(self._data(manifest, path) for path in wanted[:MOST_PLAYLISTS])),
            strict=True,
        ):
            if isinstance(data, HeadgateError):
                failure = data
            else:
                files[path] = data, manifest.files[path].type
        uses = await asyncio.to_thread(hidden.uses, files, self._limits)
        self._uses[manifest.digest] = uses, failure, float("inf") if failure is None else self._clock() + AGAIN
        self._uses.move_to_end(manifest.digest)
        while len(self._uses) > 1 and sum(len(u.shown) + len(u.hidden) for u, _, _ in self._uses.values()) > MOST_PATHS:
            self._uses.popitem(last=False)
        return uses, failure

    async def _data(self, manifest: Manifest, path: str) -> bytes | HeadgateError:
        """Return a playlist of the release, or why it does not come."""
        file = manifest.files[path]
        if file.size > hidden.LONGEST:
            return Refused("too-large", f"'{path}' is longer than a playlist may be", 413)
        try:
            opened = self._store.open(file.sha256, file.size) if self._exchange.allows(manifest, path) else None
            if opened is None:
                coming = await self._exchange.object(manifest, path)
                await coming.reach(file.size)
                opened = coming.open(self._store, self._incoming)
            with opened:
                return os.pread(opened.fileno(), file.size, 0)
        except HeadgateError as error:
            return error

    async def _hides_live(self, manifest: Manifest, code: str, path: str) -> bool:
        """Return whether the channel's entry hides ``path``; while it does not come, what it said last holds."""
        if path == manifest.entry or not manifest.entry.startswith(PREFIX):
            return False
        known = self._live.get(code)
        try:
            file, opened, _ = await self._channels.open(code, manifest.entry.removeprefix(PREFIX))
            with opened:
                if known is None or known[0] != file.sha256:
                    data = os.pread(opened.fileno(), file.size, 0)
                    known = file.sha256, hidden.channel(manifest.entry, data, file.type, self._limits)
        except HeadgateError:
            if known is None:
                raise
        self._live[code] = known
        self._live.move_to_end(code)
        while len(self._live) > MOST_CHANNELS:
            self._live.popitem(last=False)
        return known[1].hides(path)


def _refused(path: str) -> Refused:
    return Refused(REASON, f"'{path}' is of a rendition that the screens of this zone are not shown", 403)
