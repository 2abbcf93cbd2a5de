"""Dublin Core in XML: every element that holds elements of Dublin Core is a record, so OAI-PMH, RDF/XML and plain lists all read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO
from xml.sax.handler import ContentHandler

from gateway.linking.entries import PERHAPS, Raw, RowFault
from gateway.linking.reading import xml

SPACES = ("http://purl.org/dc/elements/1.1/", "http://purl.org/dc/terms/")
RESOURCE = ("http://www.w3.org/1999/02/22-rdf-syntax-ns#", "resource")
LINKS = {  # what Dublin Core calls a relation -> the type of link
    "relation": "related",
    "source": "source",
    "isPartOf": "belong-to",
    "hasPart": "contain",
    "references": "cite",
    "isReferencedBy": "cite-by",
    "isVersionOf": "is-equivalent-to",
    "hasVersion": "is-equivalent-to",
    "isFormatOf": "is-equivalent-to",
    "hasFormat": "is-equivalent-to",
}
NAMES = ("creator", "contributor")


class _Handler(ContentHandler):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[int, Raw | RowFault]] = []
        self.count = 0
        self._stack: list[list[tuple[str, str]]] = []  # of each open element: its Dublin Core children
        self._text: list[str] = []
        self._length = 0
        self._resource = ""

    def startElementNS(self, name: tuple[str | None, str], qname: str | None, attrs: Any) -> None:  # noqa: N802
        if len(self._stack) >= xml.DEEPEST:
            raise xml.TooDeep(f"elements lie more than {xml.DEEPEST} deep")
        if not any(self._stack):
            self._length = 0
        self._stack.append([])
        self._text = []
        self._resource = attrs.get(RESOURCE, "")

    def endElementNS(self, name: tuple[str | None, str], qname: str | None) -> None:  # noqa: N802
        fields = self._stack.pop()
        if name[0] in SPACES and self._stack and not fields:
            self._stack[-1].append((name[1], "".join(self._text) or self._resource))
        elif fields:
            self.count += 1
            if self._length > xml.LONGEST_RECORD:
                told: Raw | RowFault = RowFault(self.count, "too-long", f"more than {xml.LONGEST_RECORD} characters")
            else:
                told = raw(fields)
            self.found.append((self.count, told))
            self._length = 0
        self._text, self._resource = [], ""

    def characters(self, content: str) -> None:
        self._length += len(content)
        if self._length <= xml.LONGEST_RECORD:
            self._text.append(content)


def raw(fields: list[tuple[str, str]]) -> Raw:
    """Return what a record of (element's name, text) says; an ISLI code among its identifiers is taken as its own."""

    def of(*names: str) -> list[str]:
        return [text.strip() for name, text in fields if name in names and text.strip()]

    identifiers = of("identifier")
    own = next((text for text in identifiers if text.lower().startswith("isli")), "")
    return Raw(
        key=next(iter(identifiers), ""),
        code=own,
        title=next(iter(of("title", "alternative")), ""),
        kind=next(iter(of("type")), ""),
        year=next(iter(of("issued", "date", "created")), ""),
        names=tuple(of(*NAMES)),
        identifiers=tuple((PERHAPS, text) for text in identifiers if text != own),
        links=tuple((LINKS[name], text.strip()) for name, text in fields if name in LINKS and _code_like(text)),
    )


def _code_like(text: str) -> bool:
    """Whether a relation's text may be a code; most are titles, which are no fault."""
    return any(c.isdigit() for c in text) and len(text.split()) <= 3


def read(file: BinaryIO) -> Iterator[tuple[int, Raw | RowFault]]:
    """Yield the records, counted from 1."""
    return xml.read(file, _Handler())
