"""What delivery counts."""

from __future__ import annotations

import collections
from bisect import bisect_left
from collections.abc import Iterable
from functools import cache
from weakref import WeakSet

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry()
MOST = 4096  # answers that a ``Tally`` keeps
_TALLIES: WeakSet[Tally] = WeakSet()


class _Tallies(Collector):
    """Has every ``Tally`` counted before anything is collected: it was registered first."""

    def describe(self) -> Iterable[Metric]:
        """Return nothing: it has no figures of its own."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Count, and return nothing."""
        for tally in list(_TALLIES):
            tally.flush()
        return ()


REGISTRY.register(_Tallies())
REQUESTS = Counter(
    "headgate_delivery_requests", "Requests of screens, by status and whether the store had the object.",
    ["zone", "status", "cache"], registry=REGISTRY,
)  # fmt: skip
CONNECTIONS = Gauge("headgate_delivery_connections", "Connections of screens now.", ["zone"], registry=REGISTRY)
BYTES = Counter("headgate_delivery_bytes", "Bytes of content sent to screens.", ["zone", "cache"], registry=REGISTRY)
REFUSALS = Counter(
    "headgate_delivery_refusals", "Requests refused or failed, by reason.", ["zone", "reason"], registry=REGISTRY
)


class Observed(Histogram):
    """One that takes many alike at once."""

    def observe_all(self, amount: float, count: int) -> None:
        """Observe ``amount`` so many times."""
        self._sum.inc(amount * count)
        self._buckets[bisect_left(self._upper_bounds, amount)].inc(count)

    def observe_each(self, amounts: Iterable[float]) -> None:
        """Observe all ``amounts``."""
        total = 0.0
        places = collections.Counter[int]()
        for amount in amounts:
            total += amount
            places[bisect_left(self._upper_bounds, amount)] += 1
        self._sum.inc(total)
        for place, count in places.items():
            self._buckets[place].inc(count)


SECONDS = Observed(
    "headgate_delivery_seconds", "Seconds from a request until its last byte was sent.", ["zone", "cache"],
    buckets=(0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30), registry=REGISTRY,
)  # fmt: skip
BROKEN_OFF = Counter(
    "headgate_delivery_broken_off", "Deliveries that the screen broke off.", ["zone"], registry=REGISTRY
)


@cache
def of_answers(zone: str, status: int, cached: str) -> tuple[Counter, Counter, Observed]:
    """Return what counts answers that are alike: how many, their bytes, and their seconds; to look for it takes longer than to count."""
    return (
        REQUESTS.labels(zone, str(status), cached),
        BYTES.labels(zone, cached),
        SECONDS.labels(zone, cached),
    )


class Tally:
    """Answers that ``of_answers`` counts, kept until somebody looks: that costs an answer a sixth of counting it at once."""

    def __init__(self, zone: str, status: int, cached: str) -> None:
        self._requests, self._sent, self._seconds = of_answers(zone, status, cached)
        self._bytes, self._times = 0, list[float]()
        _TALLIES.add(self)

    def count(self, sent: int, seconds: float) -> None:
        """Take one answer with ``sent`` bytes of content."""
        self._bytes += sent
        self._times.append(seconds)
        if len(self._times) >= MOST:
            self.flush()

    def flush(self) -> None:
        """Count all that were taken."""
        if self._times:
            self._requests.inc(len(self._times))
            self._sent.inc(self._bytes)
            self._seconds.observe_each(self._times)
            self._bytes = 0
            self._times.clear()


WITHDRAWN = Counter(
    "headgate_delivery_withdrawn", "Deliveries broken off because their release or token was withdrawn.", ["zone"],
    registry=REGISTRY,
)  # fmt: skip
WAITING = Gauge(
    "headgate_delivery_records_waiting", "Records of use that the exchange has not taken yet.", registry=REGISTRY
)
LOST = Counter(
    "headgate_delivery_records_lost",
    "Records of use that the exchange refused for good.",
    registry=REGISTRY,
)
AHEAD = Counter(
    "headgate_delivery_ahead", "Segments fetched ahead, and those of them that were used or wasted.", ["zone", "outcome"],
    registry=REGISTRY,
)  # fmt: skip
AHEAD_BYTES = Counter(
    "headgate_delivery_ahead_bytes", "Bytes fetched ahead, and those of them that were used or wasted.",
    ["zone", "outcome"], registry=REGISTRY,
)  # fmt: skip
FRONT_UNREAD = Counter(
    "headgate_delivery_front_unread",
    "Lines of nginx's log, and answers in its accounts, that could not be read.",
    registry=REGISTRY,
)
FRONT_UNSENT = Counter(
    "headgate_delivery_front_unsent_bytes",
    "Bytes that never left for a screen, found out after they were counted.",
    registry=REGISTRY,
)
FRONT_FORGOTTEN = Counter(
    "headgate_delivery_front_forgotten",
    "Transfers that nginx began and never ended, since it was killed: not counted.",
    registry=REGISTRY,
)
