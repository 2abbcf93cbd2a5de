"""The folder that a running packager writes into: which playlists are whole, and which files they name. Nothing half-written is taken."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from appliance.runtime.errors import Corrupt
from gateway.release import paths
from gateway.release.live import names
from gateway.release.live.freshness import is_playlist
from gateway.release.live.names import Named

MOST_FILES = 20_000  # looked at


@dataclass(frozen=True)
class Stamp:
    """What changes when a file does (stat(2))."""

    inode: int
    size: int  # bytes
    changed: int  # nanoseconds since 1970

    @classmethod
    def of(cls, told: os.stat_result) -> Stamp:
        """Return the stamp in ``told``."""
        return cls(told.st_ino, told.st_size, told.st_mtime_ns)


@dataclass(frozen=True)
class Playlist:
    """A playlist that was whole when it was read."""

    stamp: Stamp
    data: bytes
    named: Named

    @property
    def leads(self) -> bool:
        """Whether it names other playlists: a master playlist."""
        return any(is_playlist(path) for path in self.named.paths)


@dataclass(frozen=True)
class Look:
    """What the folder holds now: whole playlists, and the files that they name."""

    playlists: dict[str, Playlist] = field(default_factory=dict)
    files: dict[str, Stamp] = field(default_factory=dict)
    faults: tuple[str, ...] = ()  # playlists that cannot be taken, and why

    def in_order(self) -> list[str]:
        """Return the playlists, those that name others last: nothing is published before what it names."""
        return sorted(self.playlists, key=lambda path: (self.playlists[path].leads, path))


class Folder:
    """Looks at ``folder`` again and again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken: dict[str, Playlist] = {}
        self._seen: dict[str, Stamp] = {}

    def look(self) -> Look:
        """Return what is whole now.

        A playlist that was renamed into the place of another is whole. One written in place (the same inode) is taken when it did not
        change between two looks. A file is whole once a playlist names it that was written after it.
        """
        there = dict(self._walk(self._folder, ""))
        faults = []
        for path, stamp in there.items():
            if not is_playlist(path) or (path in self._taken and self._taken[path].stamp == stamp):
                continue
            before = self._seen.get(path)
            if before is None or (before.inode == stamp.inode and before != stamp):
                continue  # perhaps still being written
            try:
                playlist = self._read(path, stamp)
            except Corrupt as error:
                faults.append(str(error))
            else:
                if playlist is not None:
                    self._taken[path] = playlist
        self._seen = {path: stamp for path, stamp in there.items() if is_playlist(path)}
        self._taken = {path: playlist for path, playlist in self._taken.items() if path in there}
        files = {
            path: stamp
            for path, stamp in there.items()
            if not is_playlist(path)
            and any(
                (path in playlist.named.paths or stamp.changed <= playlist.stamp.changed) and playlist.named.names(path)
                for playlist in self._taken.values()
            )
        }
        return Look(dict(self._taken), files, tuple(faults))

    def read(self, path: str, stamp: Stamp, largest: int) -> bytes | None:
        """Return the file at ``path`` if it is still the one of ``stamp``, of at most ``largest`` bytes; else None."""
        try:
            with (self._folder / path).open("rb") as file:
                if Stamp.of(os.fstat(file.fileno())) != stamp:
                    return None
                data = file.read(largest + 1)
                return data if Stamp.of(os.fstat(file.fileno())) == stamp and len(data) == stamp.size else None
        except OSError:  # it went meanwhile: packagers remove what left the window
            return None

    def _read(self, path: str, stamp: Stamp) -> Playlist | None:
        data = self.read(path, stamp, names.LARGEST)
        return None if data is None else Playlist(stamp, data, names.read(path, data))

    def _walk(self, folder: Path, below: str) -> Iterator[tuple[str, Stamp]]:
        count = 0
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except FileNotFoundError:
            return
        for entry in entries:
            path = f"{below}{entry.name}"
            if entry.name.endswith(".tmp") or paths.fault_in(path):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(Path(entry.path), f"{path}/")
                continue
            try:
                told = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            count += 1
            if stat.S_ISREG(told.st_mode) and count <= MOST_FILES:
                yield path, Stamp.of(told)
