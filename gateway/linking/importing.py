"""A catalogue's file -> the book: in batches that stay when the rest is broken off, and every fault by its row."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from appliance.runtime.errors import Refused
from gateway.linking import reading
from gateway.linking.book import Book
from gateway.linking.entries import Entry, Reader, RowFault

LARGEST = 4 << 30  # bytes of a file
MOST_ROWS = 2_000_000
BATCH = 2000  # rows of one transaction
_NAME = re.compile(r"[\w.-]{1,64}")
_BODY = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True)
class Imported:
    """What an import did; ``again`` rows were in already when it began."""

    name: str
    format: str
    rows: int
    entries: int
    without_code: int
    left_out: int
    faults: int
    gone: int
    again: int


def run(
    book: Book,
    path: Path,
    *,
    name: str = "",
    kind: str = "",
    body: str = "",
    progress: Callable[[int, int], None] = lambda _done, _whole: None,
) -> Imported:
    """Import ``path`` as the catalogue ``name`` (default: the file's name); the same file again goes on where it was broken off.

    ``body`` names the other institution whose catalogue it is: nothing is registered from it, only towards it. ``progress`` is told the
    bytes that were read and their whole.

    Raises:
        Refused: ``too-large``, ``too-many``, ``unknown-format``, ``no-columns``, ``bad-name``, ``other-body``, ``unreadable``.
    """
    name = name or path.stem[:64]
    if not _NAME.fullmatch(name) or (body and not _BODY.fullmatch(body)):
        raise Refused(
            "bad-name", "a catalogue's name is up to 64 letters, digits, - and _; a body's as in the policy", 400
        )
    try:
        file = path.open("rb")
    except OSError as error:
        raise Refused("unreadable", f"{path} cannot be read: {error.strerror}", 400) from error
    with file:
        size = path.stat().st_size
        if size > LARGEST:
            raise Refused("too-large", f"{path.name} has more than {LARGEST >> 30} GiB", 413)
        kind = kind or reading.format_of(path, file.read(4096))
        file.seek(0)
        digest = _digest(file)
        return _run(book, file, name, kind, body, digest, size, progress)


def _run(
    book: Book,
    file: BinaryIO,
    name: str,
    kind: str,
    body: str,
    digest: str,
    size: int,
    progress: Callable[[int, int], None],
) -> Imported:
    rows = reading.FORMATS[kind](file)
    again = book.begin(name, body, f"{kind}:{digest}")
    reader, batch, wrong = Reader(), list[tuple[int, Entry]](), list[RowFault]()
    row = entries = without = left_out = faults = twice = 0
    for row, raw in rows:
        if row <= again:
            continue
        if row > MOST_ROWS:
            raise Refused("too-many", f"more than {MOST_ROWS} rows: split the file", 413)
        entry = None if isinstance(raw, RowFault) else reader.entry(row, raw)
        found = [raw] if isinstance(raw, RowFault) else reader.wrong
        wrong += found
        if entry is None:
            left_out += 1
        else:
            batch.append((row, entry))
            entries, without = entries + 1, without + (entry.code is None)
        faults += len(found)
        if len(batch) + len(wrong) >= BATCH:
            twice += book.add(name, row, batch, wrong)
            batch, wrong = [], []
            progress(file.tell(), size)
    twice += book.add(name, max(row, again), batch, wrong)
    gone = book.finish(name)
    progress(size, size)
    return Imported(name, kind, row, entries - twice, without, left_out + twice, faults + twice, gone, again)


def _digest(file: BinaryIO) -> str:
    found = hashlib.sha256()
    while piece := file.read(1 << 20):
        found.update(piece)
    file.seek(0)
    return found.hexdigest()
