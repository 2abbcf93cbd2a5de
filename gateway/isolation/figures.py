"""The guard's metrics."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.isolation.decisions import SERVICE

if TYPE_CHECKING:
    from gateway.isolation.enforcer import Enforcer
    from gateway.isolation.sampler import Denied
    from gateway.isolation.sentry import Sentry


def measure(registry: CollectorRegistry, guard: Enforcer, sentry: Sentry, denied: Denied) -> None:
    """Put what the guard knows into ``registry``."""
    drifts = Counter("headgate_guard_drifts", "Times that the kernel differed and was put back.", registry=registry)
    guard.on_drift = drifts.inc
    registry.register(_Sights(guard, sentry, denied))


class _Sights(Collector):
    """What the guard saw last, read when it is asked for."""

    def __init__(self, guard: Enforcer, sentry: Sentry, denied: Denied) -> None:
        self._guard, self._sentry, self._denied = guard, sentry, denied

    def describe(self) -> list[Metric]:
        """Return nothing: that saves a collection at registration."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        status = self._guard.status()
        yield _gauge(
            "headgate_guard_enforced",
            "1 while the kernel holds the policy that is asked for.",
            {(): status["state"] == "enforced"},
        )
        proofs = {(zone,): told["equal"] for zone, told in status["proofs"].items()}
        yield _gauge(
            "headgate_guard_proved", "1 while the zone's kernel is proved to do what the policy says.", proofs, "zone"
        )
        open_ = {(): not self._sentry.shut}
        yield _gauge(
            "headgate_guard_crossing_open", "1 while objects may cross; 0 while something joins two zones.", open_
        )
        found = Tally((one.name,) for one in list(self._sentry.findings))
        yield _gauge("headgate_guard_findings", "What joins two zones or could, and is there now.", dict(found), "name")
        undone = {(name,): count for name, count in dict(self._sentry.undone).items()}
        yield _counter("headgate_guard_undone", "What would have joined two zones and was undone.", undone, "name")
        totals = {key: total for key, total in self._denied.totals().items() if not key[1].startswith(SERVICE)}
        packets = {key: total[0] for key, total in totals.items()}
        yield _counter(
            "headgate_guard_denied_packets", "Packets that a zone denied, by reason.", packets, "zone", "reason"
        )
        packets = {key: total[1] for key, total in totals.items()}
        yield _counter(
            "headgate_guard_recorded_packets",
            "Denied packets of which a sample was recorded.",
            packets,
            "zone",
            "reason",
        )


def _gauge(name: str, words: str, values: dict[Any, Any], *labels: str) -> Metric:
    family = GaugeMetricFamily(name, words, labels=labels)
    for key, value in values.items():
        family.add_metric(key, float(value))
    return family


def _counter(name: str, words: str, values: dict[Any, Any], *labels: str) -> Metric:
    family = CounterMetricFamily(name, words, labels=labels)
    for key, value in values.items():
        family.add_metric(key, float(value))
    return family
