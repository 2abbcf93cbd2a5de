"""What a playlist names: HLS (RFC 8216) and DASH (ISO/IEC 23009-1) -> paths below the channel's folder, pure."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element, ParseError  # only for their types: defusedxml parses

import m3u8
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from appliance.runtime.errors import Corrupt
from gateway.release import paths

LARGEST = 4 << 20  # bytes of a playlist
MOST = 100_000  # names in one
_DASH = "{urn:mpeg:dash:schema:mpd:2011}"
_PART = re.compile(r'#EXT-X-PART:(?:[^"]|"[^"]*")*?\bURI="([^"]*)"')
_VARIABLE = re.compile(r"\$(RepresentationID|Number|Time|Bandwidth)?(?:%0(\d{1,2})d)?\$")


@dataclass(frozen=True)
class Named:
    """What one playlist names: paths, and patterns of paths where it counts them."""

    paths: frozenset[str]
    patterns: tuple[re.Pattern[str], ...] = ()
    ended: bool = False  # nothing will be added

    def names(self, path: str) -> bool:
        """Return whether the playlist names ``path``."""
        return path in self.paths or any(pattern.fullmatch(path) for pattern in self.patterns)


def read(path: str, data: bytes) -> Named:
    """Return what the playlist ``data`` at ``path`` names.

    Raises:
        Corrupt: it is no playlist, or is not written to its end yet, or names what no channel can hold.
    """
    if len(data) > LARGEST:
        raise Corrupt(f"{path}: a playlist has at most {LARGEST} bytes")
    try:
        return _dash(path, data) if path.lower().endswith(".mpd") else _hls(path, data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Corrupt(f"{path}: a playlist is UTF-8 text") from error


def resolve(playlist: str, uri: str) -> str:
    """Return the path below the channel's folder that ``uri`` in the playlist at the path ``playlist`` names.

    Raises:
        Corrupt: it leads out of the channel, or is no name that a channel can hold.
    """
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise Corrupt(f"{playlist}: {uri[:80]!r} is no address") from error
    path = posixpath.normpath(posixpath.join(posixpath.dirname(playlist), unquote(parts.path)))
    if parts.scheme or parts.netloc or parts.path.startswith("/") or path.startswith("../") or not parts.path:
        raise Corrupt(f"{playlist}: {uri[:80]!r} leads out of the channel")
    if fault := paths.fault_in(path):
        raise Corrupt(f"{playlist}: {uri[:80]!r}: {fault}")
    return path


def newest(path: str, data: bytes) -> tuple[str, ...]:
    """Return the segment that an HLS playlist names last, and the part after it, if it is one of segments; of others nothing.

    Raises:
        Corrupt: as ``resolve``.
    """
    lines = data.decode("utf-8", "replace").splitlines() if data.startswith(b"#EXTM3U") else []
    if not any(line.startswith("#EXTINF") for line in lines):
        return ()
    last = next((line.strip() for line in reversed(lines) if line.strip() and not line.startswith("#")), "")
    part = next((match[1] for line in reversed(lines) if (match := _PART.match(line))), "")
    return tuple(resolve(path, uri) for uri in (last, part) if uri)


def _hls(path: str, text: str) -> Named:
    if not text.startswith("#EXTM3U") or not text.endswith("\n"):
        raise Corrupt(f"{path}: no whole playlist")
    try:
        playlist = m3u8.loads(text)
        uris = [segment.uri for segment in playlist.segments]
        uris += [part.uri for segment in playlist.segments for part in segment.parts]  # low latency
        uris += [segment.init_section.uri for segment in playlist.segments if segment.init_section]
        uris += [variant.uri for variant in (*playlist.playlists, *playlist.iframe_playlists)]
        uris += [rendition.uri for rendition in playlist.media]
        uris += [key.uri for key in playlist.keys if key and key.uri and not urlsplit(key.uri).scheme]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise Corrupt(f"{path}: no playlist: {str(error)[:200]}") from error
    named = frozenset(resolve(path, uri) for uri in uris if uri)
    if len(named) > MOST:
        raise Corrupt(f"{path}: names more than {MOST} files")
    return Named(named, ended=bool(playlist.is_endlist))


def _dash(path: str, data: bytes) -> Named:
    try:
        root = fromstring(data)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise Corrupt(f"{path}: no whole MPD: {str(error)[:200]}") from error
    if root.tag != f"{_DASH}MPD":
        raise Corrupt(f"{path}: no MPD")
    uris: set[str] = set()
    patterns: set[str] = set()
    for group in root.iter(f"{_DASH}AdaptationSet"):
        for representation in group.iter(f"{_DASH}Representation"):
            for place in (group, representation):
                for template in place.findall(f"{_DASH}SegmentTemplate"):
                    _template(path, template, representation, uris, patterns)
                for item in (
                    *place.findall(f"{_DASH}SegmentList//{_DASH}SegmentURL"),
                    *place.iter(f"{_DASH}Initialization"),
                ):
                    uris.update(uri for uri in (item.get("media"), item.get("sourceURL")) if uri)
    if len(uris) + len(patterns) > MOST:
        raise Corrupt(f"{path}: names more than {MOST} files")
    compiled = tuple(re.compile(pattern, re.ASCII) for pattern in sorted(patterns))
    return Named(frozenset(resolve(path, uri) for uri in uris), compiled, root.get("type", "static") == "static")


def _template(path: str, template: Element, representation: Element, uris: set[str], patterns: set[str]) -> None:
    told = {name: representation.get(name.lower(), "") for name in ("Bandwidth",)}
    told["RepresentationID"] = representation.get("id", "")
    if initialization := template.get("initialization"):
        uris.add(_VARIABLE.sub(lambda match: told.get(match.group(1) or "", "$"), initialization))
    if media := template.get("media"):
        # A name with a digit in the place of each number tells whether the template stays in the channel.
        example = resolve(path, _VARIABLE.sub(lambda match: told.get(match.group(1) or "", "1"), media))
        folder = posixpath.dirname(example)
        parts, last = [], 0
        media = posixpath.basename(media)
        for match in _VARIABLE.finditer(media):
            parts += [re.escape(unquote(media[last : match.start()])), _counted(match, told)]
            last = match.end()
        pattern = "".join([*parts, re.escape(unquote(media[last:]))])
        patterns.add((re.escape(folder) + "/" if folder else "") + pattern)


def _counted(match: re.Match[str], told: dict[str, str]) -> str:
    name = match.group(1)
    if name is None:
        return re.escape("$")
    return re.escape(told[name]) if name in told else r"\d{1,20}"
