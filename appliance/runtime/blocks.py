"""Long literal texts of a YAML file (``name: |``), put aside so that a slow reader need not walk through them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

LONG = 2048  # characters from which a text is worth it
PLACEHOLDER = "put aside\n"
# A key and `|` end a line; what follows is indented deeper than the line of the key, or blank.
_BLOCK = re.compile(r"^(?P<indent> *+)[A-Za-z0-9_-]++: *+\| *+\n(?P<body>(?:(?P=indent) [^\n]*+\n|\n)++)", re.MULTILINE)
_BLANK = re.compile(r"^\n", re.MULTILINE)


@dataclass(frozen=True)
class Skeleton:
    """A text without its long literal texts: those by the line (from 0) of their keys in the whole text."""

    text: str
    aside: Mapping[int, str]
    _shifts: tuple[tuple[int, int], ...] = ()  # (line of the skeleton, lines left out before it)

    def line_of(self, line: int) -> int:
        """Return the line in the whole text of a line of the skeleton, both from 0."""
        place = bisect_right(self._shifts, line, key=lambda shift: shift[0])
        return line + (self._shifts[place - 1][1] if place else 0)


def put_aside(text: str) -> Skeleton:
    """Return ``text`` with one placeholder line instead of each long literal text that is simply indented."""
    text = text if text.endswith("\n") else text + "\n"
    parts: list[str] = []
    aside: dict[int, str] = {}
    shifts: list[tuple[int, int]] = []
    done = line = left_out = 0
    for block in _BLOCK.finditer(text):
        body = block["body"].rstrip("\n") + "\n"
        indent = " " * (len(body) - len(body.lstrip(" ")))
        plain = body.replace("\n" + indent, "\n").removeprefix(indent)
        lines = body.count("\n")
        # Each line that is not blank begins with the indentation of the first, or the text means something else.
        whole = body.count("\n" + indent) + 1 + len(_BLANK.findall(body)) == lines
        if len(body) < LONG or not indent or not whole or "\r" in body:
            continue
        start = block.start("body")
        parts += [text[done:start], indent, PLACEHOLDER]
        line += text.count("\n", done, start)
        aside[line - 1] = plain
        line += lines
        left_out += lines - 1
        shifts.append((line - left_out, left_out))
        done = start + len(body)
    return Skeleton("".join([*parts, text[done:]]), aside, tuple(shifts))
