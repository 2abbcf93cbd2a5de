"""The zones as a drawing: islands, their compartments in the box, the exchange between, lanes as arrows. Only places, no markup."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.isolation.report.grade import State, zone_state
from gateway.isolation.report.model import Audit, Lane, Opening, Zone

WIDTH = 1180
ISLAND, CABLE, ROOM, MIDDLE = 152, 24, 260, 190  # widths, from the shore to the middle
HEAD, ROW, SPACE, TOP, BAND = 46, 19, 30, 34, 26  # heights
MOST_ROWS, MOST_LANES, MOST_BRIDGES = 5, 10, 6
LEFT = ("culture", "institution")  # sources of content stand on the left, screens and management on the right
ORDER = (*LEFT, "bigscreen", "smallscreen", "management")


@dataclass(frozen=True)
class Row:
    """One line in a compartment: what is served, for whom, or what may be reached, where."""

    y: float
    outward: bool
    port: str
    run: str
    ends: str


@dataclass(frozen=True)
class Compartment:
    """A zone: its island on the shore, its cable, and its room in the box."""

    zone: Zone
    state: State
    left: bool
    y: float
    height: float
    rows: tuple[Row, ...]
    more: int
    networks: tuple[str, ...]

    @property
    def island(self) -> float:
        """The island's left edge."""
        return 0.0 if self.left else WIDTH - ISLAND

    @property
    def room(self) -> float:
        """The room's left edge."""
        return ISLAND + CABLE if self.left else WIDTH - ISLAND - CABLE - ROOM

    @property
    def inner(self) -> float:
        """The edge at which lanes begin and end."""
        return self.room + (ROOM if self.left else 0)


@dataclass(frozen=True)
class Arrow:
    """A lane: a curve into the exchange, its row there, and a curve out of it."""

    lane: Lane
    y: float
    into: str
    out: str
    label: str


@dataclass(frozen=True)
class Cut:
    """A place between two compartments where no path is."""

    x: float
    y: float
    reach: float = 64  # to both sides
    shown: bool = True  # the audit shows it


@dataclass(frozen=True)
class Bridge:
    """Something that was found to join two zones."""

    path: str
    x: float
    y: float
    label: str


@dataclass(frozen=True)
class Picture:
    """All that is drawn."""

    height: float
    compartments: tuple[Compartment, ...]
    arrows: tuple[Arrow, ...]
    cuts: tuple[Cut, ...]
    bridges: tuple[Bridge, ...]
    middle: tuple[float, float, float, float]  # x, y, width, height of the exchange
    more_lanes: int
    width: float = WIDTH
    island: float = ISLAND
    room: float = ROOM
    box: tuple[float, float] = field(default=(ISLAND + CABLE / 2, WIDTH - ISLAND - CABLE / 2))


def draw(audit: Audit) -> Picture:
    """Return the drawing of ``audit``'s zones and lanes."""
    zones = sorted(audit.zones, key=lambda zone: ORDER.index(zone.name) if zone.name in ORDER else len(ORDER))
    left = [zone for zone in zones if zone.name in LEFT]
    right = [zone for zone in zones if zone.name not in LEFT]
    heights = {zone.name: _height(_of(audit, zone)) for zone in audit.zones}
    lanes = audit.lanes[:MOST_LANES]
    middle = 74 + max(1, len(lanes)) * 42 + (24 if len(audit.lanes) > MOST_LANES else 0)
    columns = [sum(heights[z.name] for z in column) + SPACE * max(0, len(column) - 1) for column in (left, right)]
    pairs = _joined(audit)
    under = TOP + 10 + (BAND * len(pairs) + 8 if pairs else 0)  # whatever hangs from above
    inside = max(*columns, middle + 2 * SPACE)
    compartments = []
    for column, tall, is_left in zip((left, right), columns, (True, False), strict=True):
        y = under + (inside - tall) / 2
        for zone in column:
            compartments.append(_compartment(audit, zone, is_left, y, heights[zone.name]))
            y += heights[zone.name] + SPACE
    top = under + (inside - middle) / 2
    place = ((WIDTH - MIDDLE) / 2, top, MIDDLE, middle)
    by_name = {one.zone.name: one for one in compartments}
    arrows = _arrows([lane for lane in lanes if {lane.source, lane.target} <= set(by_name)], by_name, place)
    cuts = [
        Cut(one.room + ROOM / 2, one.y + one.height + SPACE / 2, shown=_apart(audit, one, other))
        for one, other in itertools.pairwise(compartments)
        if one.left == other.left
    ]
    if left and right:
        apart = all(one.state != "not-shown" for one in compartments) and not audit.findings
        cuts.append(Cut(WIDTH / 2, top + middle + SPACE * 0.7, WIDTH / 2 - ISLAND - CABLE - ROOM, apart))
    return Picture(
        inside + under + 34,
        tuple(compartments),
        arrows,
        tuple(cuts),
        _bridges(pairs, by_name),
        place,
        max(0, len(audit.lanes) - MOST_LANES),
    )


def fit(text: str, width: float, size: float) -> str:
    """Return ``text``, cut with an ellipsis so that it fits ``width`` in letters of ``size``."""
    room = width
    for place, letter in enumerate(text):
        room -= size * (1.0 if unicodedata.east_asian_width(letter) in "WF" else 0.57)
        if room < 0:
            return text[: max(1, place - 1)] + "…"
    return text


def _of(audit: Audit, zone: Zone) -> list[Opening]:
    return [opening for opening in audit.openings if opening.zone == zone.name]


def _height(openings: Sequence[Opening]) -> float:
    shown = min(len(openings), MOST_ROWS) + (len(openings) > MOST_ROWS)
    return max(94, HEAD + 14 + max(1, shown) * ROW)


def _compartment(audit: Audit, zone: Zone, is_left: bool, y: float, height: float) -> Compartment:
    openings = _of(audit, zone)
    rows = tuple(
        Row(
            y + HEAD + 14 + index * ROW,
            opening.kind == "reach",
            opening.port,
            fit(opening.run, 58, 11),
            fit(", ".join(opening.ends), 112, 11),
        )
        for index, opening in enumerate(openings[:MOST_ROWS])
    )
    networks = tuple(fit(network, ISLAND - 24, 12) for network in zone.networks[:3])
    state = zone_state(audit, zone.name)
    return Compartment(zone, state, is_left, y, height, rows, max(0, len(openings) - MOST_ROWS), networks)


def _arrows(
    lanes: Sequence[Lane], rooms: dict[str, Compartment], place: tuple[float, float, float, float]
) -> tuple[Arrow, ...]:
    """Return the lanes as curves; each compartment's ends are spread over its inner edge in the lanes' order."""
    x, top, width, _ = place
    ends: dict[str, list[tuple[int, str]]] = {name: [] for name in rooms}
    for index, lane in enumerate(lanes):
        ends[lane.source].append((index, "out"))
        ends[lane.target].append((index, "in"))

    def at(name: str, index: int, way: str) -> tuple[float, float]:
        room = rooms[name]
        place = ends[name].index((index, way))
        return room.inner, room.y + 20 + (room.height - 40) * (place + 0.5) / len(ends[name])

    arrows = []
    for index, lane in enumerate(lanes):
        y = top + 74 + index * 42 + 14
        same = rooms[lane.source].left == rooms[lane.target].left
        start, end = at(lane.source, index, "out"), at(lane.target, index, "in")
        entry = (x if rooms[lane.source].left else x + width, y - (7 if same else 0))
        leave = (x if rooms[lane.target].left else x + width, y + (7 if same else 0))
        arrows.append(Arrow(lane, y, _curve(start, entry), _curve(leave, end), fit(lane.name, width - 52, 13)))
    return tuple(arrows)


def _apart(audit: Audit, one: Compartment, other: Compartment) -> bool:
    """Return whether the audit shows that no path joins two neighbours."""
    joined = any({one.zone.name, other.zone.name} <= set(finding.zones) for finding in audit.findings)
    return not joined and "not-shown" not in (one.state, other.state)


def _bridges(pairs: Sequence[tuple[str, str, str]], rooms: dict[str, Compartment]) -> tuple[Bridge, ...]:
    """Return each bridge as a line over the top that comes down to both zones."""
    found = []
    for index, (one, other, name) in enumerate(pairs):
        over = TOP + 22 + index * BAND
        legs = []
        for room in (rooms[one], rooms[other]):
            x, y = room.inner + (11 + 6 * index) * (1 if room.left else -1), room.y + 16 + 6 * index
            legs.append(f"M{room.inner:.1f} {y:.1f} H{x:.1f} V{over:.1f} H{WIDTH / 2:.1f}")
        found.append(Bridge(" ".join(legs), WIDTH / 2, over, fit(name, 170, 11.5)))
    return tuple(found)


def _joined(audit: Audit) -> list[tuple[str, str, str]]:
    """Return the zones that findings join, and the findings' names, each once."""
    names = {zone.name for zone in audit.zones}
    pairs = {
        (finding.zones[0], finding.zones[1], finding.name): None
        for finding in audit.findings
        if len(set(finding.zones[:2])) > 1 and set(finding.zones[:2]) <= names
    }
    return list(pairs)[:MOST_BRIDGES]


def _curve(start: tuple[float, float], end: tuple[float, float]) -> str:
    """Return the path from ``start`` to ``end`` that leaves and arrives level."""
    bend = (end[0] - start[0]) / 2
    return (
        f"M{start[0]:.1f} {start[1]:.1f} C{start[0] + bend:.1f} {start[1]:.1f} "
        f"{end[0] - bend:.1f} {end[1]:.1f} {end[0]:.1f} {end[1]:.1f}"
    )
