"""The one way in which a wrong check character is told, whatever the scheme."""

from __future__ import annotations

from collections.abc import Callable

from gateway.resolver.codes.code import WrongCode
from gateway.resolver.codes.likely import near

DIGITS = "0123456789"
HEXADECIMAL = "0123456789ABCDEF"
ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def verify(
    thing: str,
    text: str,
    expected: str,
    holds: Callable[[str], bool],
    canonical: Callable[[str], str],
    alphabet: str = DIGITS,
    last: str = "",
) -> None:
    """Do nothing if ``text`` ends with the ``expected`` check character.

    ``holds`` tells whether another text would be right, ``canonical`` spells it.

    Raises:
        WrongCode: it ends with another one.
    """
    if text[-1] != expected:
        raise WrongCode(
            "wrong-check-digit",
            f"the check digit of this {thing} should be {expected}, not {text[-1]}: a digit is wrong",
            lambda: (canonical(found) for found in near(text, alphabet, holds, last)),
        )
