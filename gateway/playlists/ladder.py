"""The renditions that one class of screens sees: a master playlist or an MPD without those that are too much for it; pure.

The rendition of the lowest bitrate always stays, so that every screen plays; audio, subtitles and I-frame playlists go with the
renditions that use them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from xml.etree.ElementTree import Element, ParseError, register_namespace, tostring

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from appliance.runtime.errors import Corrupt

LONGEST = 1 << 20  # bytes of a master playlist or an MPD that is filtered
HLS, DASH = "application/vnd.apple.mpegurl", "application/dash+xml"
MPD = "urn:mpeg:dash:schema:mpd:2011"
_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^,]*)', re.ASCII)
_GROUPS = ("AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS")
_VARIANT, _IFRAMES, _MEDIA = "#EXT-X-STREAM-INF:", "#EXT-X-I-FRAME-STREAM-INF:", "#EXT-X-MEDIA:"
Item = TypeVar("Item")


@dataclass(frozen=True)
class Limits:
    """The most that a class of screens is shown; zero or nothing is not limited."""

    height: int = 0  # pixels
    bandwidth: int = 0  # bits a second
    codecs: tuple[str, ...] = ()  # leading parts of RFC 6381 names, such as avc1 and mp4a

    def __bool__(self) -> bool:
        """Return whether anything is limited."""
        return bool(self.height or self.bandwidth or self.codecs)

    def allow(self, rendition: Quality) -> bool:
        """Return whether ``rendition`` is not too much; what it does not say of itself is no reason."""
        return (
            (not self.height or rendition.height <= self.height)
            and (not self.bandwidth or rendition.bandwidth <= self.bandwidth)
            and (not self.codecs or all(codec.startswith(self.codecs) for codec in rendition.codecs))
        )


@dataclass(frozen=True)
class Quality:
    """What a rendition says of itself."""

    bandwidth: int = 0  # bits a second
    height: int = 0  # pixels
    codecs: tuple[str, ...] = ()


def filtered(data: bytes, kind: str, limits: Limits) -> bytes:
    """Return ``data`` (of the media type ``kind``) with the renditions that ``limits`` allow; the same bytes where nothing goes.

    Raises:
        Corrupt: it is longer than a master playlist may be, or cannot be read.
    """
    if not limits:
        return data
    if len(data) > LONGEST:
        raise Corrupt(f"a playlist that is filtered has at most {LONGEST} bytes")
    return _dash(data, limits) if kind == DASH else _hls(data, limits) if kind == HLS else data


def attributes(line: str) -> dict[str, str]:
    """Return the attributes of an HLS tag (RFC 8216 section 4.2), quotes taken off."""
    return {name: value.strip().strip('"') for name, value in _ATTRIBUTE.findall(line.partition(":")[2])}


def _kept(items: Sequence[Item], quality: Callable[[Item], Quality], limits: Limits) -> list[Item]:
    kept = [item for item in items if limits.allow(quality(item))]
    return kept or sorted(items, key=lambda item: quality(item).bandwidth)[:1]


def _hls(data: bytes, limits: Limits) -> bytes:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise Corrupt("a playlist is UTF-8 text") from error
    lines = text.splitlines(keepends=True)
    if not text.startswith("#EXTM3U"):
        raise Corrupt("a playlist begins with #EXTM3U")
    variants = [index for index, line in enumerate(lines) if line.startswith(_VARIANT)]
    pictures = [index for index, line in enumerate(lines) if line.startswith(_IFRAMES)]
    kept = set(_kept(variants, lambda index: _quality(attributes(lines[index])), limits))
    kept |= {index for index in pictures if limits.allow(_quality(attributes(lines[index])))}
    used = {
        (group, told[group])
        for index in kept
        for told in [attributes(lines[index])]
        for group in _GROUPS
        if group in told
    }
    once = {
        (group, told[group])
        for index in (*variants, *pictures)
        for told in [attributes(lines[index])]
        for group in _GROUPS
        if group in told
    }
    shown, address = [], True  # whether the address that comes next stays
    for index, line in enumerate(lines):
        if line.startswith((_VARIANT, _IFRAMES)):
            if line.startswith(_VARIANT):
                address = index in kept
            if index not in kept:
                continue
        elif line.startswith(_MEDIA):
            told = attributes(line)
            group = (told.get("TYPE", ""), told.get("GROUP-ID", ""))
            if group in once and group not in used:
                continue
        elif line.strip() and not line.startswith("#"):
            stays, address = address, True
            if not stays:
                continue
        shown.append(line)
    return "".join(shown).encode() if len(shown) < len(lines) else data


def _quality(told: dict[str, str]) -> Quality:
    height = re.fullmatch(r"\d{1,6}x(\d{1,6})", told.get("RESOLUTION", ""), re.ASCII)
    codecs = tuple(codec.strip() for codec in told.get("CODECS", "").split(",") if codec.strip())
    return Quality(_whole(told.get("BANDWIDTH")), int(height[1]) if height else 0, codecs)


def _dash(data: bytes, limits: Limits) -> bytes:
    try:
        root = ElementTree.fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise Corrupt(f"cannot be read as XML: {str(error)[:200]}") from error
    gone = 0
    for period in root.iter(f"{{{MPD}}}Period"):
        sets = period.findall(f"{{{MPD}}}AdaptationSet")
        videos = [(group, each) for group in sets for each in group.findall(f"{{{MPD}}}Representation")]
        videos = [(group, each) for group, each in videos if "video" in _told(group, each, "contentType", "mimeType")]
        kept = {id(each) for _, each in _kept(videos, lambda pair: _representation(*pair), limits)}
        for group, each in videos:
            if id(each) not in kept:
                group.remove(each)
                gone += 1
        for group in sets:
            if not group.findall(f"{{{MPD}}}Representation") and any(group is before for before, _ in videos):
                period.remove(group)
    if not gone:
        return data
    for name in ("maxWidth", "maxHeight", "maxBandwidth"):  # of what is not there any more
        for group in root.iter(f"{{{MPD}}}AdaptationSet"):
            group.attrib.pop(name, None)
    register_namespace("", MPD)
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True))


def _representation(group: Element, each: Element) -> Quality:
    height, codecs = _told(group, each, "height"), _told(group, each, "codecs")
    return Quality(
        _whole(each.get("bandwidth")), _whole(height), tuple(c.strip() for c in codecs.split(",") if c.strip())
    )


def _told(group: Element, each: Element, *names: str) -> str:
    return " ".join(each.get(name) or group.get(name) or "" for name in names).strip()


def _whole(text: str | None) -> int:
    return int(text) if text and re.fullmatch(r"\d{1,12}", text, re.ASCII) else 0
