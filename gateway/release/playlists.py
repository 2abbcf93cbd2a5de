"""HLS playlists (RFC 8216): bytes -> what they name, their renditions and how long they play."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import m3u8

from appliance.runtime.errors import Corrupt
from gateway.release.references import MOST, Reference

LONGEST = 8 << 20  # bytes of a playlist: a day of segments of two seconds takes some 2 MiB
LONGEST_PLAY = 10_000_000  # seconds, some four months
_URI = re.compile(r'URI="([^"]*)"')
_METHOD = re.compile(r"[:,]\s*METHOD\s*=\s*([^,\s]+)", re.ASCII)
_RANGE = re.compile(r'(?:^#EXT-X-BYTERANGE:|BYTERANGE=")(\d{1,19})(?:@(\d{1,19}))?', re.ASCII)
# What the library raises for texts that are no playlists: it takes attributes apart without looking first.
_FAILURES = (ValueError, KeyError, IndexError, TypeError, AttributeError, ArithmeticError, StopIteration)


@dataclass(frozen=True)
class Rendition:
    """One quality of a film: what its playlist or its MPD says of it."""

    name: str
    bandwidth: int = 0  # bits a second
    width: int = 0
    height: int = 0
    codecs: str = ""
    kind: str = "video"  # video, audio or subtitles


@dataclass(frozen=True)
class Playlist:
    """A master playlist (it has renditions) or a media playlist (it has seconds)."""

    references: tuple[Reference, ...]
    playlists: frozenset[str]  # those references that are playlists themselves
    renditions: tuple[Rendition, ...]
    seconds: float
    ended: bool
    encrypted: tuple[int, str] | None = None  # the first line (from 1) that says how segments are encrypted, and how


def parse(data: bytes) -> Playlist:
    """Return what the playlist ``data`` says.

    Every line that is no tag and every ``URI="..."`` of any tag is a reference, also of tags that the library does not know:
    a player may.

    Raises:
        Corrupt: it is no playlist.
    """
    if len(data) > LONGEST:
        raise Corrupt(f"is longer than {LONGEST} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise Corrupt("is not UTF-8 text") from error
    if not text.startswith("#EXTM3U"):
        raise Corrupt("does not begin with #EXTM3U")
    references = _references(text)
    try:
        told = m3u8.loads(text)
        renditions = tuple(_renditions(told))
        seconds = sum(float(segment.duration or 0) for segment in told.segments)
    except _FAILURES as error:
        raise Corrupt(f"cannot be read as a playlist: {str(error)[:200] or type(error).__name__}") from error
    if not math.isfinite(seconds) or not 0 <= seconds <= LONGEST_PLAY:
        raise Corrupt(f"plays for more than {LONGEST_PLAY} seconds")
    inner = [p.uri for p in (*told.playlists, *told.iframe_playlists, *told.media) if p.uri]
    return Playlist(references, frozenset(inner), renditions, seconds, bool(told.is_endlist), _encrypted(text))


def _encrypted(text: str) -> tuple[int, str] | None:
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(("#EXT-X-KEY", "#EXT-X-SESSION-KEY")):
            method = _METHOD.search(line)
            if method is None or method[1] != "NONE":
                return number, method[1][:40] if method else "with a key"
    return None


def _references(text: str) -> tuple[Reference, ...]:
    found: list[Reference] = []
    pending = 0  # the end of the byte range that the next address is asked for
    ends: dict[str, int] = {}  # where the range before ended, of each file
    length, start = 0, None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if line.startswith("#") and not line.startswith("#EXT"):
            continue  # a comment
        if line.startswith("#"):
            match = _RANGE.search(line)
            end = int(match[1]) + int(match[2] or 0) if match else 0
            found += [Reference(uri, number, end) for uri in _URI.findall(line)]
            if match and line.startswith("#EXT-X-BYTERANGE:"):
                length, start = int(match[1]), match[2]
        elif line:
            if length:
                pending = (int(start) if start is not None else ends.get(line, 0)) + length
                ends[line] = pending
            found.append(Reference(line, number, pending))
            length, start, pending = 0, None, 0
        if len(found) > MOST:
            raise Corrupt(f"names more than {MOST} files")
    return tuple(found)


def _renditions(told: m3u8.M3U8) -> list[Rendition]:
    found = []
    for each in told.playlists:
        info = each.stream_info
        width, height = info.resolution or (0, 0)
        name = str(each.uri or "")
        kind = "video" if info.resolution or not info.codecs else "audio"
        found.append(Rendition(name, int(info.bandwidth or 0), int(width), int(height), str(info.codecs or ""), kind))
    found += [
        Rendition(str(medium.name or medium.uri), kind="audio" if medium.type == "AUDIO" else "subtitles")
        for medium in told.media
        if medium.uri
    ]
    return found
