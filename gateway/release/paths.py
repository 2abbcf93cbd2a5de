"""Names of files inside a release, and the code that a release goes by in URLs and at origins."""

from __future__ import annotations

import string
import unicodedata
from functools import lru_cache

from appliance.runtime.errors import Refused
from gateway.resolver import codes

LONGEST = 400  # bytes of UTF-8 of a whole path: with an origin's own folders still below PATH_MAX and URL limits
LONGEST_PART = 120  # bytes of one folder or file name, below NAME_MAX also when percent-encoded digits are added
DEEPEST = 8  # folders
MANIFEST = "release.json"  # the envelope; it stands beside the files and cannot be one of them
LISTING = "release.listing.json"  # what its body signed so that it is listed; it goes along and is none of its files
DESCRIPTION = "release.yaml"  # what the staff wrote about the folder; it is read, never published
LONGEST_SHOWN = 160  # characters of a name that a person is shown
_MARKS = frozenset("-_.+~@=,()")
_USUAL = _MARKS | frozenset(string.ascii_letters + string.digits)  # what nearly all names are made of


def fault_in(path: str) -> str:
    """Return what is wrong with ``path`` as the name of a file in a release, or an empty text."""
    if not path:
        return "a path cannot be empty"
    if not path.isascii() and any(0xD800 <= ord(c) <= 0xDFFF for c in path):
        return "the name is not UTF-8 text"
    if len(path.encode()) > LONGEST:
        return f"a path has at most {LONGEST} bytes"
    if path in (MANIFEST, LISTING):
        return f"'{path}' is the name of what stands beside the files"
    if path != unicodedata.normalize("NFC", path):
        return "the name is not in Unicode's form NFC: two spellings could look the same"
    parts = path.split("/")
    if len(parts) > DEEPEST:
        return f"a path has at most {DEEPEST} levels"
    for part in parts:
        if not part:
            return "a path is relative and has no empty parts"
        if part.startswith("."):
            return f"'{part}' begins with a dot: no hidden files, no '.' and no '..'"
        if len(part.encode()) > LONGEST_PART:
            return f"a name has at most {LONGEST_PART} bytes"
        if _USUAL.issuperset(part):
            continue
        for character in part:
            if character not in _MARKS and unicodedata.category(character)[0] not in "LMN":
                return f"{character!r} cannot stand in a name: letters, digits and {' '.join(sorted(_MARKS))} can"
    return ""


def mended(path: str) -> str:
    """Return the nearest right name for ``path``, or an empty text where there is none."""
    text = unicodedata.normalize("NFC", path.encode(errors="replace").decode(errors="replace"))
    letters = "".join(c if c in _MARKS or c == "/" or unicodedata.category(c)[0] in "LMN" else "-" for c in text)
    near = "/".join(part.lstrip(".") for part in letters.split("/"))
    return "" if fault_in(near) else near


def shown(text: str) -> str:
    """Return ``text`` in one printable line of bounded length, for people: line ends and other controls are spelt out."""
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if len(line) <= LONGEST_SHOWN:
        return line
    half = LONGEST_SHOWN // 2
    return f"{line[:half]} ... {line[-half:]} ({len(text)} characters)"


@lru_cache(4096)  # asked with each request of a screen; refusals are not kept
def code_of(text: str) -> str:
    """Return ``text`` (the part after ``isli:``) if it is the one canonical spelling of an ISLI code.

    Raises:
        Refused: it is not (``bad-request``).
    """
    try:
        code = codes.parse(f"isli:{text}")
    except codes.WrongCode as error:
        raise Refused("bad-request", str(error), 400) from error
    if code.text != text:
        raise Refused("bad-request", f"the canonical spelling of this code is {code.text[:80]}", 400)
    return text
