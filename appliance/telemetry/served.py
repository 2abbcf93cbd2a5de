"""What the screens of each zone had since its delivery's start, read from the metrics that the daemons of the box write; pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from appliance.telemetry.exposition import Gathered, total

PREFIX, UNIT = "headgate_delivery_", "delivery-"
TITLES = 10  # told, those with the most sessions
REASONS = 20  # told, those with the most refusals
TOGETHER = 120.0  # seconds between the starts of daemons whose figures are of the same time
LARGEST = float(1 << 53)  # beyond, a figure says nothing believable


@dataclass(frozen=True)
class Mean:
    """What players told of one thing: the sum and how many told it."""

    total: float = 0.0
    count: int = 0

    @property
    def average(self) -> float | None:
        """Return the average, None where nobody told anything."""
        return self.total / self.count if self.count else None


@dataclass(frozen=True)
class Title:
    """What players told of one release."""

    release: str
    sessions: int
    stalls: int
    start: Mean = Mean()  # seconds
    bitrate: Mean = Mean()  # bit/s

    def told(self) -> dict[str, Any]:
        """Return everything for a program."""
        return {**asdict(self), "start": self.start.average, "bitrate": self.bitrate.average}


@dataclass(frozen=True)
class Served:
    """The figures of one zone."""

    zone: str
    screen: str = ""  # big, small, or empty for a zone of neither
    started: float = 0.0  # when delivery started, in seconds since 1970; 0: not told
    requests: int = 0
    bytes: int = 0  # of content
    hit_bytes: int = 0  # of those, in the store when they were asked for
    broken_off: int = 0
    withdrawn: int = 0
    sessions: int = 0  # players of the last minute
    begun: int = 0  # sessions since the start
    stalls: int = 0
    start: Mean = Mean()  # seconds until a player played
    buffer: Mean = Mean()  # seconds of content that a player held
    bitrate: Mean = Mean()  # bit/s
    refusals: Mapping[str, int] = field(default_factory=dict)  # by reason
    titles: tuple[Title, ...] = ()

    @property
    def hit_share(self) -> float | None:
        """Return the share of bytes that were in the store when they were asked for, None where nothing was sent."""
        return self.hit_bytes / self.bytes if self.bytes else None

    def told(self) -> dict[str, Any]:
        """Return everything for a program."""
        averages = {name: getattr(self, name).average for name in ("start", "buffer", "bitrate")}
        titles = [title.told() for title in self.titles]
        return {**asdict(self), **averages, "titles": titles, "hit_share": self.hit_share}


@dataclass(frozen=True)
class BoxServed:
    """The figures of a box: its zones, what came from parents and origins, what it sent to other boxes, and what cannot be read."""

    zones: tuple[Served, ...] = ()
    fetched: int = 0  # bytes
    shared: int = 0  # bytes
    together: bool = True  # all of it was counted from about the same time on
    unread: Mapping[str, str] = field(default_factory=dict)  # why, by unit

    @property
    def sent(self) -> int:
        """Return the bytes of content that were sent to screens and to other boxes."""
        return sum(zone.bytes for zone in self.zones) + self.shared

    @property
    def offload(self) -> float | None:
        """Return the share of what was sent that no parent or origin had to give; None where that cannot be said."""
        return None if self.unread or not self.together else offload(self.fetched, self.sent)

    def told(self) -> dict[str, Any]:
        """Return everything for a program."""
        return {
            "zones": [zone.told() for zone in self.zones],
            "fetched": self.fetched,
            "shared": self.shared,
            "offload": self.offload,
            "unread": dict(self.unread),
        }


def offload(fetched: float, sent: float) -> float | None:
    """Return ``1 - fetched / sent`` (bytes), below 0 where more came than was sent on; None where nothing was sent."""
    return 1 - fetched / sent if sent > 0 else None


def served(gathered: Gathered) -> BoxServed:
    """Return the figures of all zones that have a delivery, in the order of their names."""
    zones = {unit.removeprefix(UNIT): families for unit, families in gathered.units.items() if unit.startswith(UNIT)}
    counting = {
        unit: families
        for unit, families in gathered.units.items()
        if unit == "fetch" or unit.startswith((UNIT, "share-"))
    }
    started = [at for families in counting.values() if (at := _started(families))]
    return BoxServed(
        tuple(_zone(zone, families) for zone, families in sorted(zones.items())),
        total({"fetch": gathered.units.get("fetch", ())}, "headgate_fetch_bytes_total"),
        total(gathered.units, "headgate_share_bytes_total"),
        not started or max(started) - min(started) <= TOGETHER,
        {unit: why for unit, why in gathered.skipped.items() if unit == "fetch" or unit.startswith((UNIT, "share-"))},
    )


def _started(families: Iterable[Metric]) -> float:
    found = (s.value for family in families for s in family.samples if s.name == "headgate_started_timestamp_seconds")
    return next((_believed(value) for value in found), 0.0)


def _zone(zone: str, families: Iterable[Metric]) -> Served:
    # What a unit says of another zone than its own is passed over: it can lie about itself only.
    families = tuple(families)
    samples = [s for family in families for s in family.samples if s.labels.get("zone") == zone]

    def sum_of(name: str, **labels: str) -> float:
        found = (s for s in samples if s.name == PREFIX + name and labels.items() <= s.labels.items())
        return _believed(sum(_believed(sample.value) for sample in found))

    def number(name: str, **labels: str) -> int:
        return int(sum_of(name, **labels))

    def mean(name: str, end: str = "", **labels: str) -> Mean:
        return Mean(sum_of(f"{name}_sum{end}", **labels), number(f"{name}_count{end}", **labels))

    def most(name: str, label: str, shown: int) -> dict[str, int]:
        found = {s.labels.get(label, ""): int(_believed(s.value)) for s in samples if s.name == PREFIX + name}
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0]))[:shown])

    def title(release: str, sessions: int) -> Title:
        stalls = number("title_stalls_total", release=release)
        start = mean("title_start_seconds", "_total", release=release)
        return Title(release, sessions, stalls, start, mean("title_bitrate_bits", "_total", release=release))

    titles = most("title_sessions_total", "release", TITLES)
    return Served(
        zone=zone,
        screen=_screen(samples),
        started=_started(families),
        requests=number("requests_total"),
        bytes=number("bytes_total"),
        hit_bytes=number("bytes_total", cache="hit"),
        broken_off=number("broken_off_total"),
        withdrawn=number("withdrawn_total"),
        sessions=number("sessions"),
        begun=number("sessions_begun_total"),
        stalls=number("stalls_total"),
        start=mean("start_seconds"),
        buffer=mean("buffer_seconds"),
        bitrate=mean("bitrate_bits"),
        refusals=most("refusals_total", "reason", REASONS),
        titles=tuple(title(release, sessions) for release, sessions in titles.items()),
    )


def _screen(samples: Iterable[Sample]) -> str:
    found = next((sample.labels["screen"] for sample in samples if "screen" in sample.labels), "")
    return found if found in ("big", "small") else ""


def _believed(value: float) -> float:
    """Return ``value``, or 0 where it is no figure."""
    return value if math.isfinite(value) and 0 <= value <= LARGEST else 0.0
