"""What people write: full-width digits, other dashes, spaces, prefixes; taken as meant, or told as wrong."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from gateway.resolver.codes.code import WrongCode

_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—―−", "-"))
_SPACED = re.compile(r"[ -]")


def plain(text: str) -> str:
    """Return ``text`` with full-width and other compatible characters as the ordinary ones, and every dash a hyphen."""
    return unicodedata.normalize("NFKC", text).translate(_DASHES)


def compact(text: str) -> str:
    """Return ``text`` as ``plain`` does, in upper case, without spaces and hyphens."""
    return _SPACED.sub("", plain(text)).upper()


def characters(text: str, allowed: str, thing: str, shape: str, mended: Callable[[str], str] | None = None) -> None:
    """Do nothing if ``text`` is there and holds ``allowed`` characters alone.

    Raises:
        WrongCode: it does not; ``mended`` returns the canonical code of a text whose letters were read as digits.
    """
    if not text:
        raise WrongCode("not-a-code", f"there is nothing: {shape}")
    wrong = next((c for c in text if c not in allowed), "")
    if not wrong:
        return

    def likely() -> list[str]:
        as_digits = text.upper().translate(_MISREAD)
        if mended is None or as_digits == text or any(c not in allowed for c in as_digits):
            return []
        try:
            return [mended(as_digits)]
        except WrongCode:
            return []

    raise WrongCode("not-a-code", f"'{wrong}' does not belong into {thing}: {shape}", likely)


_MISREAD = str.maketrans("OQDILZEASGTB", "000112345678")  # letters that stand where a digit was
