"""Catalogues' formats: bytes -> rows (number, ``Raw`` or what is wrong with the row), a file a format; nothing is kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from appliance.runtime.errors import Refused
from gateway.linking.entries import Raw, RowFault
from gateway.linking.reading import dublin_core, json_rows, marc, separated

Rows = Iterator[tuple[int, Raw | RowFault]]
FORMATS: dict[str, Callable[[BinaryIO], Rows]] = {
    "csv": separated.read,
    "jsonl": json_rows.read,
    "marcxml": marc.read,
    "dc": dublin_core.read,
}
_ENDINGS = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


def format_of(path: Path, head: bytes) -> str:
    """Return which of FORMATS the file is, by its name's ending and, for XML, by how it begins.

    Raises:
        Refused: ``unknown-format``.
    """
    if path.suffix.lower() in _ENDINGS:
        return _ENDINGS[path.suffix.lower()]
    if marc.NAMESPACE.encode() in head or b"<datafield" in head or b":datafield" in head:
        return "marcxml"
    if b"purl.org/dc/" in head:
        return "dc"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return "jsonl"
    raise Refused("unknown-format", f"which format is {path.name}? say it: --format {'|'.join(FORMATS)}", 400)
