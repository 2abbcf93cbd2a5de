"""What one file of a release says about another: relative addresses, resolved inside the release's folder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from gateway.release import paths

MOST = 200_000  # references of one file
LONGEST = 2000  # characters of one
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")  # RFC 3986 section 3.1


@dataclass(frozen=True)
class Reference:
    """An address that a file names, the line (from 1) where it stands, and the last byte that is asked of it."""

    text: str
    line: int = 1
    end: int = 0  # bytes; 0: the whole file


def resolve(base: str, text: str) -> str:
    """Return the path in the folder that ``text``, written in the file ``base``, leads to.

    Raises:
        ValueError: it leads elsewhere, or to no name that can stand in a release; the sentence says so.
    """
    if len(text) > LONGEST:
        raise ValueError(f"an address has at most {LONGEST} characters")
    if _SCHEME.match(text) or text.startswith(("/", "\\")):
        raise ValueError("points elsewhere: only relative addresses of files in this folder can be played from a box")
    if "?" in text or "#" in text:
        raise ValueError("has a query or a fragment: a box serves files by their path alone")
    try:
        plain = unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise ValueError("is no UTF-8 after percent-decoding") from error
    parts = base.split("/")[:-1]
    for part in plain.split("/"):
        if part == "..":
            if not parts:
                raise ValueError("leads out of the folder")
            parts.pop()
        elif part != ".":
            parts.append(part)
    path = "/".join(parts)
    if fault := paths.fault_in(path):
        raise ValueError(fault)
    return path


def cycles(graph: dict[str, Iterable[str]]) -> list[list[str]]:
    """Return a way round for each file of ``graph`` (file -> files it names) from which following names comes back to it."""
    found: list[list[str]] = []
    done: set[str] = set()
    for start in graph:
        if start in done:
            continue
        way: list[str] = [start]
        inside = {start}
        ahead = [iter(graph[start])]
        while ahead:
            following = next(ahead[-1], None)
            if following is None:
                ahead.pop()
                left = way.pop()
                inside.discard(left)
                done.add(left)
            elif following in inside:
                found.append([*way[way.index(following) :], following])
            elif following in graph and following not in done:
                way.append(following)
                inside.add(following)
                ahead.append(iter(graph[following]))
    return found
