"""JSON Lines: an object a line, with the keys of ``columns``; the records of a registry's snapshot are such lines too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from gateway.linking.entries import Raw, RowFault
from gateway.linking.reading.columns import raw
from gateway.linking.reading.lines import LONGEST_LINE, lines

MOST_VALUES = 400  # of one object


def read(file: BinaryIO) -> Iterator[tuple[int, Raw | RowFault]]:
    """Yield the objects, by the number of their line."""
    for number, text in lines(file):
        if text is None:
            yield number, RowFault(number, "too-long", f"the line has more than {LONGEST_LINE} bytes")
            continue
        if not text.strip():
            continue
        try:
            told = json.loads(text)
        except (ValueError, RecursionError):
            yield number, RowFault(number, "malformed", "the line is no JSON")
            continue
        if isinstance(told, dict):
            yield number, raw(list(_cells(told))[:MOST_VALUES])
        else:
            yield number, RowFault(number, "malformed", "the line is no object")


def _cells(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in told.items():
        if name == "links" and isinstance(value, list):
            for link in value:
                if isinstance(link, dict):
                    yield str(link.get("type", "")), str(link.get("target", ""))
        elif name == "metadata" and isinstance(value, dict):
            yield from _cells(value)
        elif isinstance(value, list):
            yield from ((name, str(one)) for one in value if isinstance(one, str | int))
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            yield name, str(value)
