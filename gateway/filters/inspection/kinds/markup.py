"""DASH manifests, XML and SVG: no entities, nothing that runs, nothing from elsewhere."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from gateway.filters.inspection import refusal
from gateway.filters.inspection.kinds import references
from gateway.filters.inspection.kinds.kind import Told, Whole
from gateway.filters.inspection.kinds.text import decoded

MOST = 500_000  # elements
DEEPEST = 64
MPD = "{urn:mpeg:dash:schema:mpd:2011}"
SVG = "{http://www.w3.org/2000/svg}"
XLINK = "{http://www.w3.org/1999/xlink}href"
REFERRING = frozenset("BaseURL Location PatchLocation ContentSteering".split())  # noqa: SIM905 (names of the schema)
ATTRIBUTES = frozenset("media initialization index sourceURL mediaRange bitstreamSwitching".split())  # noqa: SIM905
RUNNING = frozenset("script foreignObject iframe embed object audio video handler listener".split())  # noqa: SIM905
_URL = re.compile(r"url\(\s*['\"]?(?!#)|@import|expression\(|javascript:", re.IGNORECASE)
_PICTURE = re.compile(r"data:image/(png|jpeg|webp|gif);base64,[A-Za-z0-9+/=\s]*", re.ASCII)


def parsed(data: bytes) -> Element:
    """Return the root of the document.

    Raises:
        Refused: it is no XML, brings entities or a document type, or is too deep.
    """
    text = decoded(data)
    try:
        root: Element = ElementTree.fromstring(text.lstrip("\ufeff").encode(), forbid_dtd=True)
    except DefusedXmlException as error:
        raise refusal.bomb(f"a document type or entities: {str(error)[:100]}") from error
    except (ParseError, ValueError, LookupError) as error:
        raise refusal.mismatch(f"this is no XML: {str(error)[:200]}") from error
    stack, count = [(root, 1)], 0
    while stack:
        element, depth = stack.pop()
        count += 1
        if depth > DEEPEST or count > MOST:
            raise refusal.bomb(f"more than {DEEPEST} elements in one another, or {MOST} at all")
        stack += [(child, depth + 1) for child in element]
    return root


class Dash(Whole):
    """A media presentation description (ISO/IEC 23009-1)."""

    largest = 16 << 20

    def judge(self, data: bytes) -> None:
        """Refuse what is no MPD, or leads out."""
        root = parsed(data)
        if root.tag != f"{MPD}MPD":
            raise refusal.mismatch("this is no media presentation description")
        for element in root.iter():
            if not isinstance(element.tag, str):
                continue
            name = element.tag.rpartition("}")[2]
            if name == "ContentProtection":
                raise refusal.encrypted_content(
                    "the media is played with a key (ContentProtection): nobody can look into it"
                )
            if element.get(XLINK):
                raise refusal.outside("a part of the manifest is said to be in another place")
            if name in REFERRING and (text := (element.text or "").strip()):
                references.check(text, self.told.path)
            for key, value in element.attrib.items():
                if key in ATTRIBUTES and value and name != "Representation":
                    references.check(re.sub(r"\$[^$]*\$", "1", value), self.told.path)


class Xml(Whole):
    """XML and SVG."""

    largest = 16 << 20

    def __init__(self, told: Told) -> None:
        super().__init__(told)
        self._svg = told.type == "image/svg+xml"

    def judge(self, data: bytes) -> None:
        """Refuse what runs or leads out."""
        root = parsed(data)
        if self._svg and root.tag != f"{SVG}svg":
            raise refusal.mismatch("this is no SVG")
        if b"<?xml-stylesheet" in data:
            raise refusal.outside("a style sheet is said to be in another place")
        for element in root.iter():
            if isinstance(element.tag, str):
                self._element(element)

    def _element(self, element: Element) -> None:
        name = element.tag.rpartition("}")[2]
        if name in RUNNING and (self._svg or "svg" in element.tag or "xhtml" in element.tag):
            raise refusal.active(f"an element <{name}>")
        if name == "style" and _URL.search(element.text or ""):
            raise refusal.outside("a style leads out of the picture")
        for key, value in element.attrib.items():
            plain = key.rpartition("}")[2].lower()
            if plain.startswith("on"):
                raise refusal.active(f"an attribute {plain[:40]}")
            if plain in ("href", "src") and value and not value.startswith("#") and not _PICTURE.fullmatch(value):
                raise refusal.outside(f"'{value[:100]}' leads out of the picture")
            if _URL.search(value):
                raise refusal.outside(f"an attribute {plain[:40]} leads out of the picture")
