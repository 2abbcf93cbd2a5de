"""A proposed link and why it is proposed: nouns, and what makes two statements of a link the same one; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.resolver.vocabulary import KINDS

State = Literal["proposed", "accepted", "rejected", "registered"]
STATES: tuple[State, ...] = ("proposed", "accepted", "rejected", "registered")
Basis = Literal["identifier", "stated", "name"]  # a shared identifier, the catalogue's own word, alike names
BASES: tuple[Basis, ...] = ("identifier", "stated", "name")


@dataclass(frozen=True)
class Why:
    """One ground, as a word of ``reasons.WORDS`` and what fills its blanks."""

    word: str
    blanks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Proposal:
    """A link that might be made."""

    source: str  # canonical code of a thing of the institution's own
    type: str  # of the vocabulary
    target: str
    score: float  # 0 to 1
    basis: Basis
    why: tuple[Why, ...]
    source_title: str = ""
    target_title: str = ""
    target_body: str = ""  # of another institution; empty: of the institution's own catalogue, or not known here

    @property
    def statement(self) -> str:
        """What it says, whichever way it is put: a link that reads the same from its other end is the same statement."""
        return statement(self.source, self.type, self.target)


def statement(source: str, kind: str, target: str) -> str:
    """Return the one spelling of a link: of a symmetric type the lower code first, of a type with an inverse the first of both words."""
    inverse = KINDS[kind].inverse if kind in KINDS else None
    if inverse is not None and (inverse < kind or (inverse == kind and target < source)):
        source, kind, target = target, inverse, source
    return f"{source} {kind} {target}"
