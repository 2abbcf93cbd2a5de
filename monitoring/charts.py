"""Rows of figures -> the shapes of a chart, as SVG paths in a space that is stretched to where it stands; pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

WIDE, HIGH = 600.0, 120.0

Row = Sequence[float | None]  # None: not known


@dataclass(frozen=True)
class Shape:
    """One row: its ``path``, which ``fills`` an area or is a line."""

    name: str
    path: str
    fills: bool


@dataclass(frozen=True)
class Chart:
    """Shapes from the back to the front, and the value at the upper edge."""

    top: float
    shapes: tuple[Shape, ...]
    steps: int

    @property
    def empty(self) -> bool:
        """Whether nothing of it is known."""
        return not any(shape.path for shape in self.shapes)


def draw(
    *,
    stacked: Mapping[str, Row] | None = None,
    lines: Mapping[str, Row] | None = None,
    top: float | None = None,
    least: float = 1.0,
) -> Chart:
    """Return the chart of rows of one length: ``stacked`` areas with a line above, and ``lines``; ``top`` or what holds all, ``least``."""
    stacked, lines = stacked or {}, lines or {}
    heaps: dict[str, tuple[Row, Row]] = {}
    under: Row = []
    for name, row in stacked.items():
        under = under or [None if value is None else 0.0 for value in row]
        over = [None if a is None or b is None else a + b for a, b in zip(under, row, strict=True)]
        heaps[name], under = (under, over), over
    every = [value for row in (*(over for _, over in heaps.values()), *lines.values()) for value in row if value]
    high = top or nice(max([least, *every]))
    shapes = [Shape(name, _area(below, above, high), fills=True) for name, (below, above) in heaps.items()]
    shapes += [Shape(name, _line(above, high), fills=False) for name, (_, above) in heaps.items()]
    shapes += [Shape(name, _line(row, high), fills=False) for name, row in lines.items()]
    count = next((len(row) for row in (*stacked.values(), *lines.values())), 0)
    return Chart(high, tuple(shapes), count)


def nice(value: float) -> float:
    """Return the least of 1, 2, 4 and 10 times a power of ten that is not below ``value``: halves of it are read easily."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(part * power for part in (1.0, 2.0, 4.0, 10.0) if part * power >= value * (1 - 1e-9))


def _line(row: Row, top: float) -> str:
    parts = []
    for run in _runs(row):
        points = [f"{_x(at, len(row))} {_y(row[at], top)}" for at in run]
        parts.append(f"M{'L'.join(points)}" if len(points) > 1 else f"M{points[0]}h0")  # a dot, by its round ends
    return "".join(parts)


def _area(below: Row, above: Row, top: float) -> str:
    parts = []
    for run in _runs(above):
        if len(run) > 1:
            points = [f"{_x(at, len(above))} {_y(above[at], top)}" for at in run]
            points += [f"{_x(at, len(above))} {_y(below[at], top)}" for at in reversed(run)]
            parts.append(f"M{'L'.join(points)}Z")
    return "".join(parts)


def _runs(row: Row) -> Iterable[list[int]]:
    run: list[int] = []
    for at, value in enumerate([*row, None]):
        if value is not None:
            run.append(at)
        elif run:
            yield run
            run = []


def _x(at: int, count: int) -> str:
    return f"{(at + 0.5) * WIDE / count:.1f}"


def _y(value: float | None, top: float) -> str:
    return f"{HIGH - min(1.0, max(0.0, (value or 0.0) / top)) * HIGH:.1f}"
