"""DASH presentations (ISO/IEC 23009-1): the bytes of an MPD -> every segment it names, its renditions, how long it plays."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from appliance.runtime.errors import Corrupt
from gateway.release.playlists import LONGEST_PLAY, Rendition
from gateway.release.references import MOST, Reference

LONGEST = 8 << 20  # bytes of an MPD
MOST_SOUGHT = 500  # references that are sought in the whole text, because they do not stand in its order
_DURATION = re.compile(r"P(?:(\d{1,6})D)?(?:T(?:(\d{1,7})H)?(?:(\d{1,9})M)?(?:(\d{1,9}(?:\.\d{1,9})?)S)?)?", re.ASCII)
_FIELD = re.compile(r"\$(RepresentationID|Number|Bandwidth|Time)?(%0(\d{1,2})d)?\$", re.ASCII)
_LINK = "{http://www.w3.org/1999/xlink}href"


@dataclass(frozen=True)
class Presentation:
    """What an MPD says."""

    references: tuple[Reference, ...]
    renditions: tuple[Rendition, ...]
    seconds: float
    ended: bool = True  # static: nothing will be added
    encrypted: tuple[int, str] | None = None  # the first line (from 1) that says that segments are encrypted, and how


@dataclass(frozen=True)
class Counted:
    """Segments of a live representation that are counted and not listed: the address of each is made of its number, or of its time."""

    media: str  # the address, with ``$Number$`` or ``$Time$`` in it
    first: int  # number of the first segment
    step: int  # of one segment, in units of which ``scale`` are a second
    scale: int
    begins: float  # seconds since 1970 at which the first one begins
    ends: float  # seconds since 1970 after which none begins


class _Reading:
    """Collects references; looks for the line of each from where the one before stood, as they come in the order of the text."""

    def __init__(self, text: str) -> None:
        self.references: list[Reference] = []
        self._text, self._place, self._line, self._left = text, 0, 1, MOST_SOUGHT
        self._lines: dict[str, int] = {}

    def refer(self, text: str, written: str, end: int = 0) -> None:
        if len(self.references) >= MOST:
            raise Corrupt(f"names more than {MOST} files")
        if written not in self._lines:
            self._lines[written] = self._line_of(written)
        self.references.append(Reference(text, self._lines[written], end))

    def _line_of(self, written: str) -> int:
        place = self._text.find(written, self._place)
        if place < 0:
            self._left -= 1
            place = self._text.find(written) if self._left > 0 else -1
            if place < 0:  # written with entities, or sought often enough
                return 1
            return self._text.count("\n", 0, place) + 1
        self._line += self._text.count("\n", self._place, place)
        self._place = place
        return self._line


def parse(data: bytes) -> Presentation:
    """Return what the MPD ``data`` says: templates and timelines are written out, so that each segment is a reference.

    Raises:
        Corrupt: it is no MPD, or names more than can be.
    """
    root, text = _root(data), data.decode(errors="replace")
    reading, renditions, seconds = _Reading(text), [], 0.0
    for element in root.iter():  # what a player would follow besides segments
        if href := element.get(_LINK):
            reading.refer(href, href)
        if _name(element) in ("Location", "PatchLocation") and element.text:
            reading.refer(element.text.strip(), element.text.strip())
    total = _seconds(root.get("mediaPresentationDuration"))
    periods = _children(root, "Period")
    for period in periods:
        length = _seconds(period.get("duration")) or (total if len(periods) == 1 else 0.0)
        seconds += length
        for kinds in _children(period, "AdaptationSet"):
            for each in _children(kinds, "Representation"):
                renditions.append(_rendition(kinds, each))
                _segments(reading, (root, period, kinds, each), length)
    ended = root.get("type", "static") != "dynamic"
    played = min(total or seconds, LONGEST_PLAY)
    return Presentation(tuple(reading.references), tuple(renditions), played, ended, _encrypted(root, text))


def files(data: bytes) -> tuple[tuple[str, ...], ...]:
    """Return the addresses that each representation of the MPD ``data`` is made of, as they come one after the other.

    Raises:
        Corrupt: it is no MPD, or names more than can be.
    """
    root, total = _root(data), 0
    found = []
    for period, levels in _representations(root):
        reading = _Reading("")
        _segments(reading, levels, _seconds(period.get("duration")) or _seconds(root.get("mediaPresentationDuration")))
        total += len(reading.references)
        if total > MOST:
            raise Corrupt(f"names more than {MOST} files")
        found.append(tuple(reference.text for reference in reading.references))
    return tuple(found)


def counted(data: bytes) -> tuple[Counted, ...]:
    """Return the representations of the live MPD ``data`` whose segments are counted; none where it is not live.

    Raises:
        Corrupt: it is no MPD.
    """
    root = _root(data)
    if root.get("type") != "dynamic" or (zero := _moment(root.get("availabilityStartTime", ""))) is None:
        return ()
    found = []
    for period, levels in _representations(root):
        templates, told = _levels(levels, "SegmentTemplate"), dict[str, str]()
        for template in templates:
            told |= template.attrib
        step, base = _whole(told.get("duration"), 0), _base(levels)[0]
        listed = any(_children(template, "SegmentTimeline") for template in templates)
        if listed or not step or "media" not in told or ":" in base or base.startswith("/"):
            continue
        names = {"RepresentationID": levels[-1].get("id", ""), "Bandwidth": levels[-1].get("bandwidth", "0")}
        media = _joined(base, _filled(told["media"], names, known_alone=True))
        begins = zero + _seconds(period.get("start"))
        length = _seconds(period.get("duration"))
        ends = begins + length if length else math.inf
        found.append(
            Counted(
                media, _whole(told.get("startNumber"), 1), step, _whole(told.get("timescale"), 1) or 1, begins, ends
            )
        )
    return tuple(found)


def _root(data: bytes) -> Element:
    if len(data) > LONGEST:
        raise Corrupt(f"is longer than {LONGEST} bytes")
    try:
        root: Element = ElementTree.fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise Corrupt(f"cannot be read as XML: {str(error)[:200]}") from error
    if _name(root) != "MPD":
        raise Corrupt(f"is no MPD: its root is '{_name(root)[:60]}'")
    return root


def _representations(root: Element) -> Iterator[tuple[Element, tuple[Element, ...]]]:
    """Yield each representation as its period, and as the elements that it is in."""
    for period in _children(root, "Period"):
        for kinds in _children(period, "AdaptationSet"):
            for each in _children(kinds, "Representation"):
                yield period, (root, period, kinds, each)


def _base(levels: tuple[Element, ...]) -> tuple[str, str]:
    """Return the address below which a representation's files are, and how its last part is written."""
    base, written = "", ""
    for level in levels:
        for found in _children(level, "BaseURL")[:1]:
            written = (found.text or "").strip()
            base = _joined(base, written)
    return base, written


def _moment(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _encrypted(root: Element, text: str) -> tuple[int, str] | None:
    for element in root.iter():
        if _name(element) == "ContentProtection":
            return text.count("\n", 0, max(0, text.find("ContentProtection"))) + 1, "ContentProtection"
    return None


def _segments(reading: _Reading, levels: tuple[Element, ...], length: float) -> None:
    """Refer to every file that one representation is made of."""
    base, written = _base(levels)
    if ":" in base or base.startswith("/"):
        reading.refer(base, written)  # elsewhere, with all that is below it
        return
    each = levels[-1]
    names = {"RepresentationID": each.get("id", ""), "Bandwidth": each.get("bandwidth", "0")}
    templates, lists = _levels(levels, "SegmentTemplate"), _levels(levels, "SegmentList")
    if templates:
        _template(reading, templates, names, base, length)
    elif lists:
        for element in (inner for found in lists for inner in found.iter()):
            address = element.get("sourceURL") or element.get("media") or ""
            if _name(element) in ("Initialization", "SegmentURL", "RepresentationIndex") and (address or base):
                end = _end(element.get("mediaRange") or element.get("range"))
                reading.refer(_joined(base, address) if address else base, address or written, end)
    elif base:
        ends = [_end(e.get("range")) for found in _levels(levels, "SegmentBase") for e in found.iter()]
        reading.refer(base, written, max(ends, default=0))


def _template(reading: _Reading, templates: list[Element], names: dict[str, str], base: str, length: float) -> None:
    told: dict[str, str] = {}
    for template in templates:  # the inner ones say more
        told |= template.attrib
    timelines = [line for template in templates for line in _children(template, "SegmentTimeline")]
    initial = [e.get("sourceURL", "") for template in templates for e in _children(template, "Initialization")]
    for address in filter(None, (told.get("initialization"), told.get("index"), *initial)):
        reading.refer(_joined(base, _filled(address, names)), address)
    media = told.get("media")
    if media is None:
        return
    scale, number = _whole(told.get("timescale"), 1) or 1, _whole(told.get("startNumber"), 1)
    if timelines:
        moments = _timeline(timelines[-1], length * scale + _whole(told.get("presentationTimeOffset"), 0))
    else:
        step = _whole(told.get("duration"), 0)
        count = math.ceil(length * scale / step - 0.05) if step else 1  # a rest below a twentieth is rounding
        if count > MOST:
            raise Corrupt(f"names more than {MOST} files")
        moments = (step * index for index in range(count))
    for index, moment in enumerate(moments):
        filled = _filled(media, {**names, "Number": str(number + index), "Time": str(moment)})
        reading.refer(_joined(base, filled), media)


def _timeline(timeline: Element, end: float) -> Iterator[int]:
    """Yield when each segment of a ``SegmentTimeline`` begins, in its time scale."""
    now, runs = 0, _children(timeline, "S")
    for index, run in enumerate(runs):
        now = _whole(run.get("t"), now)
        step = _whole(run.get("d"), 0)
        repeat = run.get("r", "0")
        if repeat.startswith("-"):  # until the next one begins, or the period ends
            until = _whole(runs[index + 1].get("t"), now) if index + 1 < len(runs) else end
            times = math.ceil((until - now) / step) if step else 1
        else:
            times = _whole(repeat, 0) + 1
        if times > MOST:
            raise Corrupt(f"names more than {MOST} files")
        for _ in range(times):
            yield now
            now += step


def _filled(template: str, names: dict[str, str], *, known_alone: bool = False) -> str:
    """Return ``template`` with its ``$Number%05d$`` and the like filled in (ISO/IEC 23009-1 section 5.3.9.4.4).

    ``known_alone``: what has no name in ``names`` stays as it is.
    """

    def fill(match: re.Match[str]) -> str:
        name, _, width = match.groups()
        if known_alone and name not in names:
            return match[0]
        value = "$" if name is None else names.get(name, "")
        return value.zfill(int(width)) if width and name else value

    return _FIELD.sub(fill, template)


def _rendition(kinds: Element, each: Element) -> Rendition:
    def told(name: str) -> str:
        return each.get(name) or kinds.get(name) or ""

    mime = f"{told('contentType')} {told('mimeType')}"
    kind = "video" if "video" in mime else "audio" if "audio" in mime else "subtitles"
    width, height = (_whole(told(name) or None, 0) for name in ("width", "height"))
    name = each.get("id", "")
    return Rendition(name, _whole(each.get("bandwidth"), 0), width, height, told("codecs"), kind)


def _seconds(duration: str | None) -> float:
    if duration is None:
        return 0.0
    match = _DURATION.fullmatch(duration)
    if match is None:
        raise Corrupt(f"has a duration that is none: '{duration[:40]}'")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if total > LONGEST_PLAY:
        raise Corrupt(f"plays for more than {LONGEST_PLAY} seconds")
    return total


def _whole(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not re.fullmatch(r"\d{1,19}", text, re.ASCII):
        raise Corrupt(f"has a number that is none: '{text[:40]}'")
    return int(text)


def _end(span: str | None) -> int:
    match = re.fullmatch(r"\d{1,19}-(\d{1,19})", span or "", re.ASCII)
    return int(match[1]) + 1 if match else 0


def _joined(base: str, address: str) -> str:
    return address if ":" in address or address.startswith("/") else base[: base.rfind("/") + 1] + address


def _levels(levels: tuple[Element, ...], name: str) -> list[Element]:
    return [found for level in levels for found in _children(level, name)]


def _children(element: Element, name: str) -> list[Element]:
    return [child for child in element if _name(child) == name]


def _name(element: Element) -> str:
    tag: Any = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""
