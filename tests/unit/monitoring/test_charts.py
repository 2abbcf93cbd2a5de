"""Figures as shapes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.charts import HIGH, WIDE, draw, nice


def test_a_line_goes_from_the_middle_of_each_step_to_the_next() -> None:
    """The upper edge is a figure that is read easily; what is above it is cut there."""
    chart = draw(lines={"a": [0, 5, 10]})
    assert (chart.top, chart.steps) == (10, 3)
    assert [shape.path for shape in chart.shapes] == ["M100.0 120.0L300.0 60.0L500.0 0.0"]
    assert draw(lines={"a": [2.0, -1.0]}, top=1.0).shapes[0].path == "M150.0 0.0L450.0 120.0"


def test_what_is_not_known_is_left_open() -> None:
    """A line ends before it and begins anew after it; a figure alone is a dot."""
    chart = draw(lines={"a": [1, 1, None, 1]})
    assert chart.shapes[0].path == "M75.0 0.0L225.0 0.0M525.0 0.0h0"
    assert draw(lines={"a": [None, None]}).empty
    assert draw().empty


def test_areas_are_stacked() -> None:
    """The second stands on the first, and the edge holds both."""
    lower, upper, *edges = draw(stacked={"a": [1, 1], "b": [3, 3]}).shapes
    assert (lower.fills, upper.fills, [edge.fills for edge in edges]) == (True, True, [False, False])
    assert lower.path == "M150.0 90.0L450.0 90.0L450.0 120.0L150.0 120.0Z"
    assert upper.path == "M150.0 0.0L450.0 0.0L450.0 90.0L150.0 90.0Z"


@pytest.mark.parametrize(
    ("value", "top"), [(1, 1), (1.01, 2), (3, 4), (4.1, 10), (0.03, 0.04), (5e8, 1e9), (1000, 1000)]
)
def test_the_upper_edge_is_read_easily(value: float, top: float) -> None:
    """So is its half."""
    assert nice(value) == pytest.approx(top)


@given(st.lists(st.none() | st.floats(0, 1e15), min_size=1, max_size=50))
def test_every_point_is_within_the_drawing(row: list[float | None]) -> None:
    """Whatever boxes tell."""
    for shape in draw(stacked={"a": row}, lines={"b": row}).shapes:
        for point in shape.path.replace("Z", "").replace("h0", "").replace("M", "L").split("L")[1:]:
            x, y = map(float, point.split(" "))
            assert 0 <= x <= WIDE
            assert 0 <= y <= HIGH
