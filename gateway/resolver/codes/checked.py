"""The one way in which a wrong check character is told, whatever the scheme."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gateway.resolver.codes.code import WrongCode
from gateway.resolver.codes.likely import near, resized

DIGITS = "0123456789"
HEXADECIMAL = "0123456789ABCDEF"
ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def misshapen(
    text: str,
    told: str,
    length: int,
    holds: Callable[[str], bool],
    canonical: Callable[[str], str],
    alphabet: str = DIGITS,
    last: str = "",
) -> WrongCode:
    """Return the refusal of a ``text`` that has not the form that ``told`` says, with the codes one slip away.

    A code has ``length`` characters; the others are as for ``verify``.
    """

    def likely() -> Iterator[str]:
        if len(text) == length:
            return (canonical(found) for found in near(text, alphabet, holds, last))
        if abs(len(text) - length) == 1:
            return (canonical(found) for found in resized(text, alphabet, holds))
        return iter(())

    foreign = [*(c for c in text[:-1] if c not in alphabet), *(c for c in text[-1:] if c not in (last or alphabet))]
    if foreign:
        here = f"'{foreign[0]}' does not belong there"
    else:
        here = "this has another form" if len(text) == length else f"here are {len(text)} characters"
    return WrongCode("not-a-code", f"{told}: {here}", likely)


def verify(
    thing: str,
    text: str,
    expected: str,
    holds: Callable[[str], bool],
    canonical: Callable[[str], str],
    alphabet: str = DIGITS,
    last: str = "",
    part: str = "",
) -> None:
    """Do nothing if ``text``, or the ``part`` of it that is given, ends with the ``expected`` check character.

    ``holds`` tells whether another text would be right, ``canonical`` spells it.

    Raises:
        WrongCode: it ends with another one.
    """
    found = (part or text)[-1]
    if found != expected:
        raise WrongCode(
            "wrong-check-digit",
            f"the check digit of this {thing} should be {expected}, not {found}: a digit is wrong",
            lambda: (canonical(right) for right in near(text, alphabet, holds, last)),
        )
