"""Which segment comes after which, as a playlist of a film or an MPD names them; pure."""

from __future__ import annotations

from itertools import pairwise

from appliance.runtime.errors import Corrupt
from gateway.playlists.ladder import DASH, HLS
from gateway.release import playlists, presentations
from gateway.release.references import resolve

LONGEST = 1 << 20  # bytes of a playlist whose order is known


def following(path: str, data: bytes, kind: str) -> dict[str, str]:
    """Return for each segment that the playlist ``data`` at ``path`` (of the media type ``kind``) names the one that comes after it.

    Nothing is said of what cannot be read or leads elsewhere. A representation's last segment may seem to be followed by the next
    one's first file.
    """
    if len(data) > LONGEST or kind not in (HLS, DASH):
        return {}
    try:
        told = presentations.parse(data) if kind == DASH else playlists.parse(data)
    except Corrupt:
        return {}
    inner = told.playlists if isinstance(told, playlists.Playlist) else frozenset()
    names: list[str] = []
    for reference in told.references:
        try:
            name = resolve(path, reference.text)
        except ValueError:
            continue
        if reference.text not in inner and (not names or names[-1] != name):
            names.append(name)
    return {one: other for one, other in pairwise(names) if one != other}
