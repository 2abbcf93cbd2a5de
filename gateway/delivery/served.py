"""What the screens of each zone had since its delivery's start, read from the metrics that delivery writes; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

PREFIX = "headgate_delivery_"
TITLES = 10  # shown, those with the most sessions


@dataclass(frozen=True)
class Title:
    """What players told of one release; None where they told nothing."""

    release: str
    sessions: int
    stalls: int
    start: float | None  # seconds, on average
    bitrate: float | None  # bit/s, on average


@dataclass(frozen=True)
class Served:
    """The figures of one zone."""

    zone: str
    screen: str  # big, small, or empty for a zone of neither
    requests: int
    bytes: int  # of content
    hit_bytes: int  # of those, from the store
    broken_off: int
    withdrawn: int
    sessions: int  # players of the last minute
    stalls: int
    start: float | None  # seconds until a player played, on average
    buffer: float | None  # seconds of content that a player held, on average
    bitrate: float | None  # bit/s, on average
    refusals: Mapping[str, int] = field(default_factory=dict)  # by reason
    titles: tuple[Title, ...] = ()

    @property
    def offload(self) -> float | None:
        """Return the share of bytes that no origin was asked for, None where nothing was sent."""
        return self.hit_bytes / self.bytes if self.bytes else None

    def told(self) -> dict[str, Any]:
        """Return everything for a program."""
        return {**asdict(self), "offload": self.offload}


def served(units: Mapping[str, Iterable[Metric]]) -> tuple[Served, ...]:
    """Return the figures of each zone that has a delivery among ``units`` (families by unit), in the order of their names."""
    samples = [
        sample
        for unit, families in units.items()
        if unit.startswith("delivery-")
        for family in families
        for sample in family.samples
        if sample.name.startswith(PREFIX)
    ]
    zones = sorted({sample.labels["zone"] for sample in samples if sample.labels.get("zone")})
    return tuple(_zone(zone, [sample for sample in samples if sample.labels.get("zone") == zone]) for zone in zones)


def _zone(zone: str, samples: list[Sample]) -> Served:
    def total(name: str, **labels: str) -> float:
        return sum(
            sample.value
            for sample in samples
            if sample.name == PREFIX + name and labels.items() <= sample.labels.items()
        )

    def average(name: str, **labels: str) -> float | None:
        count = total(f"{name}_count", **labels)
        return total(f"{name}_sum", **labels) / count if count else None

    def by(name: str, label: str) -> dict[str, int]:
        found = {sample.labels[label]: int(sample.value) for sample in samples if sample.name == PREFIX + name}
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def title(release: str, sessions: int) -> Title:
        def mean(name: str) -> float | None:
            count = total(f"title_{name}_count_total", release=release)
            return total(f"title_{name}_sum_total", release=release) / count if count else None

        stalls = int(total("title_stalls_total", release=release))
        return Title(release, sessions, stalls, mean("start_seconds"), mean("bitrate_bits"))

    titles = list(by("title_sessions_total", "release").items())[:TITLES]
    return Served(
        zone=zone,
        screen=next((sample.labels["screen"] for sample in samples if "screen" in sample.labels), ""),
        requests=int(total("requests_total")),
        bytes=int(total("bytes_total")),
        hit_bytes=int(total("bytes_total", cache="hit")),
        broken_off=int(total("broken_off_total")),
        withdrawn=int(total("withdrawn_total")),
        sessions=int(total("sessions")),
        stalls=int(total("stalls_total")),
        start=average("start_seconds"),
        buffer=average("buffer_seconds"),
        bitrate=average("bitrate_bits"),
        refusals=by("refusals_total", "reason"),
        titles=tuple(title(release, sessions) for release, sessions in titles),
    )
