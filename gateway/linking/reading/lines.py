"""A text file's lines, each bounded; UTF-8, or GB 18030 as spreadsheets in China still write it."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO

LONGEST_LINE = 256 << 10  # bytes


def encoding_of(file: BinaryIO) -> str:
    """Return how the text in ``file`` is written, and go back to its beginning."""
    decoder, piece = codecs.getincrementaldecoder("utf-8")(), b""
    try:
        while piece := file.read(1 << 20):
            decoder.decode(piece)
        decoder.decode(b"", final=True)
        found = "utf-8-sig"
    except UnicodeDecodeError:
        found = "gb18030"
    file.seek(0)
    return found


def lines(file: BinaryIO) -> Iterator[tuple[int, str | None]]:
    """Yield each line with its number from 1; None in the place of one that is too long. Bytes that are no text become U+FFFD."""
    encoding, number = encoding_of(file), 0
    while piece := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(piece) > LONGEST_LINE and not piece.endswith(b"\n"):
            while piece and not piece.endswith(b"\n"):
                piece = file.readline(LONGEST_LINE)
            yield number, None
            continue
        text = piece.decode("gb18030" if encoding == "gb18030" else "utf-8", errors="replace")
        yield number, text.removeprefix("\ufeff") if number == 1 else text
