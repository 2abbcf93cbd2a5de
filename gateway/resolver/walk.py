"""Links followed from one code to others: bounded in depth, in breadth and as a whole. Pure over what reads the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

DEEPEST = 6  # links from the start
BROADEST = 256  # links of one code, each way: as many as a record has
MOST = 2_000  # codes of a walk

Direction = Literal["forward", "backward", "both"]


@dataclass(frozen=True, order=True)
class Edge:
    """A link: the record of ``source`` says that ``target`` is its ``type``."""

    source: str
    type: str
    target: str


@dataclass(frozen=True)
class Backward:
    """Links to a code; ``after`` asks for the next ones, and is empty where there are none."""

    edges: tuple[Edge, ...]
    after: str


@dataclass(frozen=True)
class Walk:
    """What was reached: each code with its distance from the start, and the links; ``cut``: there is more than the bounds let see."""

    codes: dict[str, int]
    edges: tuple[Edge, ...]
    cut: bool


class Links(Protocol):
    """What a walk reads."""

    def forward(self, code: object) -> list[Edge]:
        """Return the links from ``code``."""

    def backward(self, code: object, after: str = "", most: int = 100, types: Sequence[str] = ()) -> Backward:
        """Return at most ``most`` links to ``code``."""


def walk(
    links: Links, start: str, depth: int, breadth: int, direction: Direction = "both", types: Sequence[str] = ()
) -> Walk:
    """Return what is reached from ``start``, nearest first; larger bounds than the largest count as those."""
    depth, breadth = min(depth, DEEPEST), min(breadth, BROADEST)
    codes, edges, cut = {start: 0}, dict[Edge, None](), False
    edge_of = [start]
    for distance in range(1, depth + 1):
        reached = []
        for code in edge_of:
            found, more = _around(links, code, breadth, direction, types)
            cut = cut or more
            for edge in found:
                other = edge.target if edge.source == code else edge.source
                if other not in codes:
                    if len(codes) >= MOST:
                        cut = True
                        continue
                    codes[other] = distance
                    reached.append(other)
                edges[edge] = None
        edge_of = reached
    return Walk(codes, tuple(edges), cut)


def _around(
    links: Links, code: str, breadth: int, direction: Direction, types: Sequence[str]
) -> tuple[list[Edge], bool]:
    """Return the links of one code, and whether it has more."""
    found, more = list[Edge](), False
    if direction != "backward":
        forward = [edge for edge in links.forward(code) if not types or edge.type in types]
        found, more = forward[:breadth], len(forward) > breadth
    if direction != "forward":
        back = links.backward(code, most=breadth, types=types)
        found, more = [*found, *back.edges], more or bool(back.after)
    return found, more
