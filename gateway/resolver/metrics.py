"""What a resolver counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from gateway.resolver.codes import SCHEMES


class Numbers:
    """The metrics of one zone's resolver."""

    def __init__(self, zone: str) -> None:
        self.zone = zone
        self.registry = CollectorRegistry()
        self.answers = Counter(
            "headgate_resolver_answers",
            "Identifiers that were asked for, by scheme (none: no identifier), zone and what was answered",
            ["scheme", "zone", "outcome"],
            registry=self.registry,
        )
        self.batches = Counter(
            "headgate_resolver_batches", "Batches by zone and result", ["zone", "result"], registry=self.registry
        )
        self.lookups = Counter(
            "headgate_resolver_lookups", "Questions to the exchange by their result", ["result"], registry=self.registry
        )
        self.serial = Gauge("headgate_resolver_table_serial", "Serial of the table in use", registry=self.registry)
        self.records = Gauge("headgate_resolver_table_records", "Identifiers in the table", registry=self.registry)
        self.made = Gauge(
            "headgate_resolver_table_made_timestamp_seconds", "When the table was made", registry=self.registry
        )
        self._children: dict[tuple[str, str], Counter] = {}

    def answered(self, scheme: str, outcome: str, count: int = 1) -> None:
        """Count answers about codes of ``scheme``."""
        child = self._children.get((scheme, outcome))
        if child is None:
            known = scheme if scheme in SCHEMES else "none"
            child = self._children[scheme, outcome] = self.answers.labels(known, self.zone, outcome)
        child.inc(count)
