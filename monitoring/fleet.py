"""The fleet as its boxes tell it: Sparkplug messages -> state, as values (specification 3.0, section 5, host application)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from appliance.telemetry.sparkplug import BD_SEQ, Metric, Payload, Value

MOST_BOXES = 10_000  # certificates bound this long before
ASK_AGAIN = 5.0  # seconds between two requests for a birth


@dataclass(frozen=True)
class Box:
    """What a box last said; times in seconds since 1970, 0 for never."""

    site: str
    online: bool = False
    seen: float = 0.0
    changed: float = 0.0  # when ``online`` last changed
    bd_seq: int | None = None
    seq: int | None = None  # None: a birth is awaited
    asked: float = 0.0  # when a birth was last asked for
    metrics: Mapping[str, Value] = field(default_factory=dict)
    aliases: Mapping[int, str] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """Return a metric as text, empty where it was not told."""
        value = self.metrics.get(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str) -> int:
        """Return a metric as a number, 0 where it was not told."""
        value = self.metrics.get(name)
        return value if isinstance(value, int) else 0

    def zones(self) -> dict[str, dict[str, str]]:
        """Return the zones by name, each with its state, port, addresses and detail."""
        found: dict[str, dict[str, str]] = {}
        for name, value in self.metrics.items():
            parts = name.split("/")
            if len(parts) == 3 and parts[0] == "zones" and isinstance(value, str):
                found.setdefault(parts[1], {})[parts[2]] = value
        return found


@dataclass(frozen=True)
class Heard:
    """What a message meant: the box after it, the metrics to keep, and whether to ask for a birth."""

    box: Box
    keep: Mapping[str, Value] = field(default_factory=dict)
    whole: bool = False  # ``keep`` is all there is; what else was kept is gone
    ask_birth: bool = False


Fleet = Mapping[str, Box]


def hear(box: Box, kind: str, payload: Payload, now: float) -> Heard:
    """Return what a message of ``kind`` (NBIRTH, NDATA, NDEATH) of ``box`` means."""
    match kind:
        case "NBIRTH":
            return _birth(box, payload, now)
        case "NDATA":
            return _data(box, payload, now)
        case "NDEATH":
            return _death(box, payload, now)
    return Heard(box)


def unheard(box: Box, now: float, silence: float) -> Box:
    """Return ``box`` as offline where nothing was heard for ``silence`` seconds: its will may be lost with the broker."""
    if box.online and now - box.seen > silence:
        return replace(box, online=False, changed=now, seq=None)
    return box


def _birth(box: Box, payload: Payload, now: float) -> Heard:
    number = next((m.value for m in payload.metrics if m.name == BD_SEQ and isinstance(m.value, int)), None)
    metrics = {m.name: m.value for m in payload.metrics if m.name is not None and m.name != BD_SEQ and not _control(m)}
    after = Box(
        box.site,
        online=True,
        seen=now,
        changed=box.changed if box.online else now,
        bd_seq=number,
        seq=payload.seq,
        metrics=metrics,
        aliases={m.alias: m.name for m in payload.metrics if m.alias is not None and m.name is not None},
    )
    return Heard(after, metrics, whole=True, ask_birth=False)


def _data(box: Box, payload: Payload, now: float) -> Heard:
    expected = None if box.seq is None else (box.seq + 1) & 255
    if expected is None or payload.seq != expected:
        # Something was missed, or we started after the birth: values by name are good, the rest may be old.
        ask = now - box.asked >= ASK_AGAIN
        after = replace(box, seen=now, seq=None, asked=now if ask else box.asked)
        return Heard(after, ask_birth=ask)
    changes = {name: m.value for m in payload.metrics if (name := _name(box, m)) is not None and name in box.metrics}
    after = replace(box, seen=now, seq=payload.seq, metrics={**box.metrics, **changes})
    return Heard(after, changes)


def _death(box: Box, payload: Payload, now: float) -> Heard:
    number = next((m.value for m in payload.metrics if m.name == BD_SEQ), None)
    if not box.online or (box.bd_seq is not None and number != box.bd_seq):
        return Heard(
            box
        )  # the will of an earlier connection (tck-id-operational-behavior-host-application-death-bdseq)
    return Heard(replace(box, online=False, changed=now, seq=None))


def _name(box: Box, metric: Metric) -> str | None:
    if metric.name is not None:
        return metric.name
    return box.aliases.get(metric.alias) if metric.alias is not None else None


def _control(metric: Metric) -> bool:
    return metric.name is not None and metric.name.startswith("Node Control/")
