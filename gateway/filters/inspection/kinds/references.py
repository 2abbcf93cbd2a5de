"""References from one file of a release to another: relative, and inside."""

from __future__ import annotations

import re
from urllib.parse import unquote

from gateway.filters.inspection import refusal

LONGEST = 2000  # characters
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
_ODD = re.compile(r"[\x00-\x20\x7f\\]")


def check(reference: str, path: str) -> str:
    """Return the path in the release to which ``reference`` in the file ``path`` leads.

    Raises:
        Refused: it leads out (``outside-reference``).
    """
    if len(reference) > LONGEST:
        raise refusal.outside(f"a reference of {len(reference)} characters")
    told = reference[:200]
    if _SCHEME.match(reference):
        raise refusal.outside(f"'{told}' names a scheme: only files of the release can be referred to")
    plain = unquote(re.split(r"[?#]", reference, maxsplit=1)[0])
    if _ODD.search(plain) or "%" in plain:
        raise refusal.outside(f"'{told}' holds a character that no path has")
    if plain.startswith("/"):
        raise refusal.outside(f"'{told}' is no relative reference")
    parts = path.split("/")[:-1]
    for part in plain.split("/"):
        if part == "..":
            if not parts:
                raise refusal.outside(f"'{told}' leads out of the release")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
