"""Following links from one identifier: breadth first, bounded, no loops, across institutions; pure but for the ``links_of`` it is given."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from appliance.runtime.errors import Refused

DEEPEST = 8  # links from the start
BROADEST = 200  # links of one identifier and direction that are followed
MOST_NODES = 1000  # identifiers of one walk
MOST_EDGES = 5000
MOST_FOLLOWED = 20_000  # links that are looked at in one walk

Direction = Literal["forward", "backward"]
# (code, direction) -> (type, the code at the other end), in a steady order; forward: the links a record names, backward: who names it.
LinksOf = Callable[[str, Direction], Iterable[tuple[str, str]]]


@dataclass(frozen=True)
class Asked:
    """What a walk follows.

    Raises:
        Refused: ``bad-request``: a bound is out of range.
    """

    depth: int = 1
    breadth: int = 50
    direction: Literal["forward", "backward", "both"] = "forward"
    types: frozenset[str] = frozenset()  # empty: all

    def __post_init__(self) -> None:
        if not 1 <= self.depth <= DEEPEST:
            raise Refused("bad-request", f"'depth' is 1 to {DEEPEST}", 400)
        if not 1 <= self.breadth <= BROADEST:
            raise Refused("bad-request", f"'breadth' is 1 to {BROADEST}", 400)
        if self.direction not in ("forward", "backward", "both"):
            raise Refused("bad-request", "'direction' is forward, backward or both", 400)


@dataclass(frozen=True)
class Node:
    """One identifier that was reached, and how many links it is away from the start."""

    code: str
    depth: int


@dataclass(frozen=True, order=True)
class Edge:
    """One link, as its source's record has it."""

    source: str
    type: str
    target: str


@dataclass(frozen=True)
class Walk:
    """What was found; ``whole`` is False where a bound cut something off."""

    start: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    whole: bool


def walk(start: str, links_of: LinksOf, asked: Asked, seen: Callable[[Collection[str]], Collection[str]] = set) -> Walk:
    """Return what is reached from ``start``.

    ``seen`` tells which of the codes the asker may see: others are neither told nor walked through. It is asked once a level.
    """
    depths, edges, level, whole, left = {start: 0}, dict[Edge, None](), [start], True, MOST_FOLLOWED
    for depth in range(1, asked.depth + 1):
        found, cut = _level(level, links_of, asked, left)
        left -= len(found)
        whole &= not cut
        allowed = seen({other for _, other in found})
        level = []
        for edge, other in found:
            if other not in depths and other in allowed:
                if len(depths) >= MOST_NODES:
                    whole = False
                    continue
                depths[other] = depth
                level.append(other)
            if other in depths and edge not in edges:
                if len(edges) >= MOST_EDGES:
                    whole = False
                    continue
                edges[edge] = None
        if not level:
            break
    return Walk(start, tuple(Node(code, depth) for code, depth in depths.items()), tuple(edges), whole)


def _level(level: Iterable[str], links_of: LinksOf, asked: Asked, left: int) -> tuple[list[tuple[Edge, str]], bool]:
    """Return at most ``left`` links of the codes of ``level`` with the code that each leads to, and whether some were left out."""
    found: list[tuple[Edge, str]] = []
    cut = False
    for code in level:
        for direction in _directions(asked):
            taken = 0
            for kind, other in links_of(code, direction):
                if asked.types and kind not in asked.types:
                    continue
                if taken == asked.breadth or len(found) >= left:
                    cut = True
                    break
                taken += 1
                edge = Edge(code, kind, other) if direction == "forward" else Edge(other, kind, code)
                found.append((edge, other))
    return found, cut


def _directions(asked: Asked) -> tuple[Direction, ...]:
    return ("forward", "backward") if asked.direction == "both" else (asked.direction,)
