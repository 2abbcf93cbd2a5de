"""Which files belong only to renditions that a class of screens is not shown, as master playlists and MPDs have it; pure."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from appliance.runtime.errors import Corrupt
from gateway.playlists.ladder import DASH, HLS, Limits, filtered
from gateway.release import playlists, presentations
from gateway.release.live import names
from gateway.release.live.names import Named
from gateway.release.references import Reference, resolve

LONGEST = playlists.LONGEST  # bytes of one playlist


@dataclass(frozen=True)
class Uses:
    """The paths of a release that renditions which are shown use, and those that only others do."""

    shown: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()


def uses(files: Mapping[str, tuple[bytes, str]], limits: Limits) -> Uses:
    """Return what is used by whom in a release whose playlists and MPDs are ``files`` (path -> bytes and media type).

    What names nothing that can be read is passed over: it plays nowhere.
    """
    listed: dict[str, set[str]] = {}  # what each media playlist names
    shown: set[str] = set()
    hidden: set[str] = set()
    for path, (data, kind) in files.items():
        try:
            named = _named(path, data, kind)
            if kind == HLS and b"#EXT-X-STREAM-INF" not in data:
                listed[path] = named
                continue
            kept = _named(path, filtered(data, kind, limits), kind)
        except Corrupt:
            continue
        shown |= kept
        hidden |= named - kept
    hidden -= shown
    for path, named in listed.items():  # what no master playlist names is played as it is
        (hidden if path in hidden else shown).update(named)
    return Uses(frozenset(shown), frozenset(hidden - shown))


@dataclass(frozen=True)
class Channel:
    """What a live channel's master playlist or MPD names: all of it, and what is shown of that; nothing where it is neither."""

    all: Named | None = None
    shown: Named | None = None

    def hides(self, path: str) -> bool:
        """Return whether ``path`` is of a rendition that is not shown: named by that one, or in its folder.

        A live channel's segments are named by media playlists that change all the time: where renditions share a folder, only the
        playlists are known.
        """
        if self.all is None or self.shown is None or self.shown.names(path):
            return False
        folder = posixpath.dirname(path)
        alone = folder in _folders(self.all.paths - self.shown.paths) - _folders(self.shown.paths)
        return self.all.names(path) or (bool(folder) and alone)


def channel(path: str, data: bytes, kind: str, limits: Limits) -> Channel:
    """Return what the playlist ``data`` at ``path`` (of the media type ``kind``) says of a channel.

    Raises:
        Corrupt: it cannot be read.
    """
    if kind not in (HLS, DASH) or (kind == HLS and b"#EXT-X-STREAM-INF" not in data):
        return Channel()
    return Channel(names.read(path, data), names.read(path, filtered(data, kind, limits)))


def _named(path: str, data: bytes, kind: str) -> set[str]:
    told = presentations.parse(data) if kind == DASH else playlists.parse(data)
    return set(_resolved(path, told.references))


def _resolved(path: str, references: Iterable[Reference]) -> Iterable[str]:
    for reference in references:
        try:
            yield resolve(path, reference.text)
        except ValueError:
            continue


def _folders(paths: Iterable[str]) -> set[str]:
    return {posixpath.dirname(path) for path in paths}
