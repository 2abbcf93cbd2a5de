"""Walks over links, bounded."""

from collections.abc import Sequence

import pytest

from gateway.resolver import walk as walking
from gateway.resolver.walk import Backward, Direction, Edge, walk


class Graph:
    """Links in memory."""

    def __init__(self, *edges: tuple[str, str, str]) -> None:
        self.edges = [Edge(*edge) for edge in edges]

    def forward(self, code: object) -> list[Edge]:
        return [edge for edge in self.edges if edge.source == code]

    def backward(self, code: object, after: str = "", most: int = 100, types: Sequence[str] = ()) -> Backward:
        found = sorted(e for e in self.edges if e.target == code and (not types or e.type in types))
        return Backward(tuple(found[:most]), "more" if len(found) > most else "")


RING = Graph(("a", "next", "b"), ("b", "next", "c"), ("c", "next", "a"), ("a", "part", "p"))


@pytest.mark.parametrize(
    ("depth", "direction", "types", "codes"),
    [
        (0, "both", (), {"a": 0}),
        (1, "forward", (), {"a": 0, "b": 1, "p": 1}),
        (1, "forward", ("next",), {"a": 0, "b": 1}),
        (1, "backward", (), {"a": 0, "c": 1}),
        (9, "forward", (), {"a": 0, "b": 1, "p": 1, "c": 2}),
        (1, "both", (), {"a": 0, "b": 1, "p": 1, "c": 1}),
    ],
)
def test_what_is_reached(depth: int, direction: Direction, types: Sequence[str], codes: dict[str, int]) -> None:
    """Each code is reached once, at its least distance; a ring ends."""
    found = walk(RING, "a", depth, 10, direction, types)
    assert found.codes == codes
    assert not found.cut
    assert {edge.type for edge in found.edges} <= set(types or ("next", "part"))


def test_breadth_and_number_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left out because of a bound is told, and no link leads to a code that is not there."""
    star = Graph(*(("a", "part", f"x{n}") for n in range(50)), *((f"y{n}", "part", "a") for n in range(50)))
    found = walk(star, "a", 1, 10)
    assert (len(found.codes), len(found.edges), found.cut) == (21, 20, True)
    monkeypatch.setattr(walking, "MOST", 30)
    found = walk(star, "a", 1, 100)
    assert (len(found.codes), found.cut) == (30, True)
    assert all(edge.source in found.codes and edge.target in found.codes for edge in found.edges)
