"""What people write: full-width digits, other dashes, spaces, prefixes; taken as meant, or told as wrong."""

from __future__ import annotations

import re
import unicodedata

_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—―−", "-"))
_SPACED = re.compile(r"[ -]")


def plain(text: str) -> str:
    """Return ``text`` with full-width and other compatible characters as the ordinary ones, and every dash a hyphen."""
    return unicodedata.normalize("NFKC", text).translate(_DASHES)


def compact(text: str) -> str:
    """Return ``text`` as ``plain`` does, in upper case, without spaces and hyphens."""
    return _SPACED.sub("", plain(text)).upper()
