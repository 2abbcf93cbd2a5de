"""XML, piece by piece, through defusedxml: no DTD, no entities; what a handler finished is yielded before the next piece is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Protocol
from xml.sax import SAXParseException
from xml.sax.handler import feature_namespaces

from defusedxml import sax
from defusedxml.common import DefusedXmlException

from gateway.linking.entries import Raw, RowFault

PIECE = 64 << 10  # bytes
LONGEST_RECORD = 256 << 10  # characters of text in one record
DEEPEST = 64  # elements inside each other


class Handler(Protocol):
    """What makes rows of elements: a ``ContentHandler`` too."""

    found: list[tuple[int, Raw | RowFault]]  # finished since it was emptied
    count: int  # records so far


class TooDeep(Exception):
    """Elements lie deeper inside each other than any catalogue's."""


def read(file: BinaryIO, handler: Handler) -> Iterator[tuple[int, Raw | RowFault]]:
    """Yield what ``handler`` makes of the file; where the XML breaks off, that is the last thing told."""
    parser = sax.make_parser()
    parser.forbid_dtd = True
    parser.setFeature(feature_namespaces, 1)
    parser.setContentHandler(handler)
    try:
        while piece := file.read(PIECE):
            parser.feed(piece)
            yield from handler.found
            handler.found.clear()
        parser.close()
        yield from handler.found
    except (SAXParseException, DefusedXmlException, TooDeep, ValueError) as error:
        yield from handler.found
        told = error.getMessage() if isinstance(error, SAXParseException) else str(error) or type(error).__name__
        where = f" at line {error.getLineNumber()}" if isinstance(error, SAXParseException) else ""
        yield (
            handler.count + 1,
            RowFault(handler.count + 1, "malformed", f"the XML cannot be read further{where}: {told}"),
        )
