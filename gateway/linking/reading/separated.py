"""CSV and tables with tabs: the first line names the columns."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import BinaryIO

from appliance.runtime.errors import Refused
from gateway.linking.entries import Raw, RowFault
from gateway.linking.reading.columns import field_of, raw
from gateway.linking.reading.lines import LONGEST_LINE, lines

MOST_COLUMNS = 256


def read(file: BinaryIO) -> Iterator[tuple[int, Raw | RowFault]]:
    """Yield the rows, counted from 1 behind the line of names.

    Raises:
        Refused: ``no-columns``: the first line names no title.
    """
    too_long: list[int] = []

    def texts() -> Iterator[str]:
        for number, text in lines(file):
            if text is None:
                too_long.append(number)
                yield "\n"  # an empty row in its place
            else:
                yield text.replace("\r\n", "\n").replace("\r", " ").replace("\0", " ")

    source = texts()
    first = next(source, "")
    separator = max(",\t;，", key=first.count)
    try:
        names = next(csv.reader([first], delimiter=separator), [])[:MOST_COLUMNS]
    except csv.Error:
        names = []
    if "title" not in map(field_of, names):
        raise Refused("no-columns", f"the first line names no column 'title' or '题名': {first.strip()[:200]!a}", 400)
    csv.field_size_limit(LONGEST_LINE)
    rows, row = csv.reader(source, delimiter=separator), 0
    while True:
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            row += 1
            yield row, RowFault(row, "malformed", f"this is no row of a table: {error}")
            continue
        if too_long:
            row += 1
            yield row, RowFault(row, "too-long", f"line {too_long.pop()} has more than {LONGEST_LINE} bytes")
        elif any(cell.strip() for cell in cells):
            row += 1
            yield row, raw(zip(names, cells, strict=False))
