"""One turn after the other: what the packager finished is signed into the origin's folder, segments before the playlists that name them."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.runtime.errors import Refused
from gateway.release.live.follow import Folder, Look, Playlist, Stamp
from gateway.release.live.outlet import Outlet
from gateway.release.manifest import Live

STOPPED = 3  # segments after which a packager that wrote no playlist has stopped


@dataclass
class Turn:
    """What one turn did, for whoever watches."""

    signed: tuple[tuple[str, int], ...] = ()  # paths and bytes; playlists last
    removed: int = 0
    faults: tuple[str, ...] = ()
    newest: float | None = None  # seconds since 1970 when a playlist was last written; None where there is none
    state: str = "waiting"  # for the first playlist; then live, stopped or ended


class Signer:
    """Signs what is in ``folder`` into ``outlet``; ``now`` (seconds since 1970) goes in."""

    def __init__(self, folder: Folder, outlet: Outlet, live: Live) -> None:
        self._folder, self._outlet, self._live = folder, outlet, live

    def turn(self, now: float) -> Turn:
        """Sign what is new, changed or due."""
        look = self._folder.look()
        signed: list[tuple[str, int]] = []
        faults = list(look.faults)
        current = [playlist for playlist in look.playlists.values() if self._current(playlist, look, now)]
        for path, stamp in sorted(look.files.items(), key=lambda item: item[1].changed):
            if any(playlist.named.names(path) for playlist in current) and self._outlet.due(path, stamp, now):
                data = self._folder.read(path, stamp, self._live.largest)
                if data is not None:
                    self._sign(path, data, stamp, now, signed, faults)
        for path in look.in_order():
            playlist = look.playlists[path]
            if playlist in current and self._outlet.due(path, playlist.stamp, now):
                self._sign(path, playlist.data, playlist.stamp, now, signed, faults)
        newest = max((playlist.stamp.changed / 1e9 for playlist in look.playlists.values()), default=None)
        return Turn(tuple(signed), self._outlet.sweep(now), tuple(faults), newest, self._state(look, now))

    def _sign(
        self, path: str, data: bytes, stamp: Stamp, now: float, signed: list[tuple[str, int]], faults: list[str]
    ) -> None:
        try:
            self._outlet.put(path, data, stamp, now)
        except Refused as error:
            faults.append(str(error))
        else:
            signed.append((path, len(data)))

    def _current(self, playlist: Playlist, look: Look, now: float) -> bool:
        """Return whether a playlist is of now: nobody signs anew what a packager that stopped left behind."""
        if playlist.leads:
            named = [look.playlists[path] for path in playlist.named.paths if path in look.playlists]
            return any(not each.leads and self._current(each, look, now) for each in named)
        age = now - playlist.stamp.changed / 1e9
        return age < self._live.segment * (self._live.window if playlist.named.ended else STOPPED) + 1

    def _state(self, look: Look, now: float) -> str:
        media = [playlist for playlist in look.playlists.values() if not playlist.leads]
        if not media:
            return "waiting"
        if all(playlist.named.ended for playlist in media):
            return "ended"
        return "live" if any(self._current(playlist, look, now) for playlist in media) else "stopped"


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the channel's folder at the origin for one signer.

    Raises:
        Refused: another signer holds it (``channel-taken``).
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Refused("channel-taken", f"another 'headgate release live' signs into {folder}") from error
        yield
    finally:
        os.close(descriptor)
