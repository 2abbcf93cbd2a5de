"""What is known of one scheme of identifiers: its name, how it is read, shown, told apart and recognised."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from gateway.resolver.codes.code import Code


def nowhere(_: str) -> None:
    """Return no address: the scheme has none that everybody may use."""
    return


@dataclass(frozen=True)
class Scheme:
    """One scheme; ``read`` takes what follows the name and may find that the code is another scheme's."""

    name: str
    title: str
    chinese: str
    standard: str
    check: str  # what tells a slip
    example: str  # canonical
    read: Callable[[str], Code]
    show: Callable[[str], str]
    parts: Callable[[str], dict[str, str]]
    uri: Callable[[str], str | None] = nowhere
    bare: re.Pattern[str] | None = None  # of a text without spaces that came without a scheme's name, upper case
    raw: bool = False  # what follows the name is opaque: no character of it is folded
