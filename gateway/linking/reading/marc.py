"""MARCXML through pymarc: MARC 21, and CNMARC/UNIMARC as Chinese libraries keep it (told apart record by record)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from pymarc import Record
from pymarc.exceptions import PymarcException
from pymarc.marcxml import MARC_XML_NS, XmlHandler

from gateway.linking.entries import Raw, RowFault
from gateway.linking.reading import xml

NAMESPACE: str = MARC_XML_NS
# leader/06 -> kind
KINDS_21 = {
    "a": "text", "t": "text", "c": "score", "d": "score", "e": "map", "f": "map", "g": "film", "i": "sound", "j": "sound",
    "k": "image", "r": "object",
}  # fmt: skip
KINDS_UNI = KINDS_21 | {"b": "text"}
STANDARD = {"0": "isrc", "2": "ismn", "3": "gtin"}  # MARC 21 024, by its first indicator
# Linking entries (the host, the parts, other forms, whatever else) -> type of link.
LINKS_21 = {
    "773": "belong-to", "774": "contain", "775": "is-equivalent-to", "776": "is-equivalent-to", "786": "source", "787": "related",
}  # fmt: skip
LINKS_UNI = {
    "461": "belong-to", "462": "belong-to", "463": "belong-to", "464": "contain", "452": "is-equivalent-to", "455": "source",
    "488": "related",
}  # fmt: skip
SCHEMES_UNI = {"010": "isbn", "011": "issn", "013": "ismn", "016": "isrc"}
SCHEMES = ("doi", "hdl", "isan", "isni", "eidr", "isbn", "issn", "ismn", "isrc", "gtin", "grid", "dci")


class _Handler(XmlHandler):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[int, Raw | RowFault]] = []
        self.count = 0
        self._length = 0
        self._depth = 0
        self._fault = ""

    def startElementNS(self, name: tuple[str | None, str], qname: str | None, attrs: Any) -> None:  # noqa: N802
        self._depth += 1
        if self._depth > xml.DEEPEST:
            raise xml.TooDeep(f"elements lie more than {xml.DEEPEST} deep")
        if name[1] == "record":
            self._length, self._fault = 0, ""
        self._guarded(super().startElementNS, name, qname, attrs)

    def endElementNS(self, name: tuple[str | None, str], qname: str | None) -> None:  # noqa: N802
        self._depth -= 1
        self._guarded(super().endElementNS, name, qname)

    def characters(self, content: str) -> None:
        self._length += len(content)
        if self._length <= xml.LONGEST_RECORD:
            super().characters(content)

    def process_record(self, record: Record) -> None:
        """Keep what a whole record says."""
        self.count += 1
        if self._length > xml.LONGEST_RECORD:
            told: Raw | RowFault = RowFault(self.count, "too-long", f"more than {xml.LONGEST_RECORD} characters")
        elif self._fault:
            told = RowFault(self.count, "malformed", f"this is no MARC record: {self._fault}")
        else:
            told = raw(record)
        self.found.append((self.count, told))

    def _guarded(self, call: Any, *arguments: Any) -> None:
        """Let pymarc take a part; what it stumbles over makes the record at hand a wrong one."""
        try:
            call(*arguments)
        except (PymarcException, KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
            self._fault = self._fault or f"{type(error).__name__} {error}"[:120]


def raw(record: Record) -> Raw:
    """Return what a MARC record says."""
    return _unimarc(record) if record.get_fields("200") and not record.get_fields("245") else _marc21(record)


def _marc21(record: Record) -> Raw:
    identifiers = [("isbn", text) for text in _all(record, "020", "a")]
    identifiers += [("issn", text) for text in _all(record, "022", "a")]
    own = ""
    for field in record.get_fields("024"):
        text = next(iter(field.get_subfields("a")), "").strip()
        source = next(iter(field.get_subfields("2")), "").strip().lower()
        if source == "isli" or text.lower().startswith("isli"):
            own = own or text
        elif scheme := STANDARD.get(field.indicator1) or (source if source in SCHEMES else ""):
            identifiers.append((scheme, text))
    return Raw(
        key=_control(record, "001"),
        code=own,
        title=" ".join(text.strip(" /:;=,") for code in "abnp" for text in _all(record, "245", code)[:1]),
        kind=KINDS_21.get(str(record.leader)[6:7], ""),
        year=next(iter(_all(record, "264", "c") + _all(record, "260", "c")), "") or _control(record, "008")[7:11],
        names=tuple(text.strip(" ,.") for tag in ("100", "110", "700", "710") for text in _all(record, tag, "a")),
        identifiers=tuple(identifiers),
        links=tuple(_links(record, LINKS_21, {"o": "", "z": "isbn", "x": "issn"})),
    )


def _unimarc(record: Record) -> Raw:
    identifiers = [(scheme, text) for tag, scheme in SCHEMES_UNI.items() for text in _all(record, tag, "a")]
    own = ""
    for field in record.get_fields("017"):
        text = next(iter(field.get_subfields("a")), "").strip()
        source = next(iter(field.get_subfields("2")), "").strip().lower()
        if source == "isli" or text.lower().startswith("isli"):
            own = own or text
        elif source in SCHEMES:
            identifiers.append((source, text))
    general = next(iter(_all(record, "100", "a")), "")
    return Raw(
        key=_control(record, "001"),
        code=own,
        title=" ".join(text.strip(" /:;=,") for code in "aehi" for text in _all(record, "200", code)[:1]),
        kind=KINDS_UNI.get(str(record.leader)[6:7], ""),
        year=next(iter(_all(record, "210", "d") + _all(record, "214", "d")), "") or general[9:13],
        names=tuple(
            (text + "".join(field.get_subfields("b")[:1])).strip(" ,.")
            for field in record.get_fields("700", "701", "702", "710", "711", "712")
            for text in field.get_subfields("a")[:1]
        ),
        identifiers=tuple(identifiers),
        links=tuple(_links(record, LINKS_UNI, {"y": "isbn", "x": "issn"})),
    )


def _links(record: Record, types: dict[str, str], schemes: dict[str, str]) -> Iterator[tuple[str, str]]:
    for field in record.get_fields(*types):
        for code, scheme in schemes.items():
            for text in field.get_subfields(code)[:1]:
                yield types[field.tag], f"{scheme}:{text.strip()}" if scheme else text.strip()


def _all(record: Record, tag: str, code: str) -> list[str]:
    return [text.strip() for field in record.get_fields(tag) for text in field.get_subfields(code)]


def _control(record: Record, tag: str) -> str:
    return next((field.data or "" for field in record.get_fields(tag)), "")


def read(file: BinaryIO) -> Iterator[tuple[int, Raw | RowFault]]:
    """Yield the records, counted from 1."""
    return xml.read(file, _Handler())
