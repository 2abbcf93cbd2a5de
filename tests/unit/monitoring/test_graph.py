"""Where a code's links are drawn."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.graph import HIGH, MOST_IN_COLUMN, WIDE, draw


def graph(*edges: tuple[str, str], bodies: dict[str, str] | None = None) -> dict[str, Any]:
    """Return a walk's graph from ``a``."""
    codes = dict.fromkeys(["a", *(end for edge in edges for end in edge)])
    nodes = [
        {"code": code, "title": code, **({"body": bodies[code]} if bodies and code in bodies else {})} for code in codes
    ]
    told = [{"source": s, "type": "related", "target": t, "across": False} for s, t in edges]
    return {"start": "a", "whole": True, "nodes": nodes, "edges": told}


def test_what_is_named_stands_right_and_what_names_left():
    """Columns count the links from the start; the side of the first link is kept on the way."""
    told = draw(graph(("a", "b"), ("b", "c"), ("x", "a"), ("x", "y")))

    at = {box.code: box.x for box in told.boxes}
    assert at["y"] < at["x"] < at["a"] < at["b"] < at["c"]
    assert len(told.lines) == 4


def test_boxes_lie_inside_and_not_over_each_other():
    """A column that is too full counts the rest."""
    told = draw(graph(*[("a", f"b{n}") for n in range(40)]))

    assert [box.more for box in told.boxes if not box.code] == [40 - MOST_IN_COLUMN]
    assert len(told.lines) == MOST_IN_COLUMN
    ys = sorted(box.y for box in told.boxes if box.x > 100)
    assert all(second - first >= HIGH for first, second in itertools.pairwise(ys))
    assert all(0 <= box.x <= told.width - WIDE and 0 <= box.y <= told.height - HIGH for box in told.boxes)


def test_bodies_have_colours():
    """The start's own body has the first colour, what nobody answers for none."""
    told = draw(graph(("a", "b"), ("a", "c"), bodies={"a": "library", "b": "museum"}))

    assert told.bodies == (("library", 0), ("museum", 1))
    assert {box.code: box.colour for box in told.boxes} == {"a": 0, "b": 1, "c": -1}


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef")), max_size=30))
def test_any_graph_is_drawn(edges: list[tuple[str, str]]):
    """Loops, links to itself and codes that are not reached: each code is drawn once at most, and always at the same place."""
    told = draw(graph(*edges))

    codes = [box.code for box in told.boxes if box.code]
    assert len(codes) == len(set(codes))
    assert "a" in codes
    assert told == draw(graph(*edges))
