"""A walk's nodes and edges -> where everything is drawn: what names the start on its left, what it names on its right; pure.

Columns, not springs: titles are read, and the same links are always drawn in the same place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDE, HIGH = 186, 46  # of a box
GAP_X, GAP_Y = 96, 14
MARGIN = 8
MOST_IN_COLUMN = 12  # boxes; the others are counted in one
COLOURS = 6  # of bodies, beside the start's own


@dataclass(frozen=True)
class Box:
    """One identifier, or (without a code) how many more there are."""

    x: int
    y: int
    code: str
    title: str
    more: int
    colour: int  # 0 the start's body, -1 not known, else a body of its own


@dataclass(frozen=True)
class Line:
    """One link, as a path from its source's side to its target's, and where its type is written."""

    path: str
    x: int
    y: int
    type: str
    across: bool


@dataclass(frozen=True)
class Drawing:
    """What the page draws."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    bodies: tuple[tuple[str, int], ...]  # name, colour


def draw(graph: Mapping[str, Any]) -> Drawing:
    """Return the drawing of ``graph``, as ``walk_formats.as_graph`` tells it."""
    nodes = {node["code"]: node for node in graph["nodes"]}
    edges: Sequence[Mapping[str, Any]] = graph["edges"]
    columns: dict[int, list[str]] = {}
    for code, column in _columns(graph["start"], edges).items():
        if code in nodes:
            columns.setdefault(column, []).append(code)
    colours = _colours(graph["start"], nodes)
    tall = max(min(len(codes), MOST_IN_COLUMN + 1) for codes in columns.values())
    height = 2 * MARGIN + tall * HIGH + (tall - 1) * GAP_Y
    first = min(columns)
    boxes: dict[str, Box] = {}
    rest: list[Box] = []
    for column, codes in sorted(columns.items()):
        shown, more = codes[:MOST_IN_COLUMN], len(codes) - MOST_IN_COLUMN
        count = len(shown) + (more > 0)
        x = MARGIN + (column - first) * (WIDE + GAP_X)
        y = (height - count * HIGH - (count - 1) * GAP_Y) // 2
        for code in shown:
            body = nodes[code].get("body")
            boxes[code] = Box(x, y, code, str(nodes[code].get("title") or ""), 0, colours.get(body, -1) if body else -1)
            y += HIGH + GAP_Y
        if more > 0:
            rest.append(Box(x, y, "", "", more, -1))
    drawn = [edge for edge in edges if edge["source"] in boxes and edge["target"] in boxes]
    start = MARGIN - first * (WIDE + GAP_X)
    lines = [_line(boxes[edge["source"]], boxes[edge["target"]], edge, start) for edge in drawn]
    width = 2 * MARGIN + (max(columns) - first) * (WIDE + GAP_X) + WIDE
    return Drawing(width, height, (*boxes.values(), *rest), tuple(lines), tuple(colours.items()))


def _columns(start: str, edges: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return the column of each code: as many to the right or left as links lead there, the first of which tells the side."""
    ends: dict[str, list[tuple[str, int]]] = {}
    for edge in edges:
        ends.setdefault(edge["source"], []).append((edge["target"], 1))
        ends.setdefault(edge["target"], []).append((edge["source"], -1))
    found, queue = {start: 0}, deque([start])
    while queue:
        code = queue.popleft()
        for other, side in ends.get(code, []):
            if other not in found:
                here = found[code]
                found[other] = here + (side if here == 0 else 1 if here > 0 else -1)
                queue.append(other)
    return found


def _colours(start: str, nodes: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    own = nodes[start].get("body") if start in nodes else None
    others = sorted({node["body"] for node in nodes.values() if node.get("body")} - {own})
    return ({own: 0} if own else {}) | {body: 1 + at % COLOURS for at, body in enumerate(others)}


def _line(source: Box, target: Box, edge: Mapping[str, Any], start: int) -> Line:
    """Return the curve of a link; its type stands at the end that lies farther from the start, where fewer curves meet."""
    y1, y2 = source.y + HIGH // 2, target.y + HIGH // 2
    kind, across = str(edge["type"]), bool(edge["across"])
    if source.x == target.x:  # within a column: round its right side
        x1 = x2 = source.x + WIDE
        bend = 46 + abs(y1 - y2) // 12
        path = f"M{x1} {y1}C{x1 + bend} {y1} {x2 + bend} {y2} {x2 + 7} {y2}"
        return Line(path, x1 + bend * 3 // 4, (y1 + y2) // 2, kind, across)
    right = target.x > source.x
    x1, x2 = (source.x + WIDE, target.x - 7) if right else (source.x, target.x + WIDE + 7)
    middle = (x1 + x2) // 2
    near = 0.3 if abs(source.x - start) > abs(target.x - start) else 0.7
    x, y = _at(near, (x1, middle, middle, x2)), _at(near, (y1, y1, y2, y2))
    return Line(f"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}", x, y, kind, across)


def _at(t: float, points: tuple[int, int, int, int]) -> int:
    """Return where a cubic Bezier curve is at ``t``."""
    a, b, c, d = points
    u = 1 - t
    return round(u * u * u * a + 3 * u * u * t * b + 3 * u * t * t * c + t * t * t * d)
