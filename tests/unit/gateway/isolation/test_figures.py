"""The guard's metrics say what the guard, the sentry and the sampler saw last."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from prometheus_client import CollectorRegistry

from gateway.isolation import figures
from gateway.isolation.evidence import Finding


def registry() -> CollectorRegistry:
    """Return the metrics of a guard that saw one of everything."""
    status = {"state": "enforced", "proofs": {"home": {"equal": True}, "culture": {"equal": False}}}
    guard: Any = SimpleNamespace(status=lambda: status, on_drift=None)
    finding = Finding(36, "unknown-listener", ("culture",), "something listens")
    sentry: Any = SimpleNamespace(findings=(finding, finding), undone={"pipe": 3}, shut=True)
    totals = {("culture", "input default"): (9, 4), ("culture", "services.films"): (5, 5)}
    made = CollectorRegistry()
    figures.measure(made, guard, sentry, SimpleNamespace(totals=lambda: totals))  # type: ignore[arg-type]
    guard.on_drift()
    return made


def test_every_figure_is_told():
    """Proofs and denied packets by zone, findings by name; a sampled connection of a service is not denied to anybody."""
    made = registry()

    def value(metric: str, **labels: str) -> float | None:
        return made.get_sample_value(f"headgate_guard_{metric}", labels)

    assert (value("enforced"), value("drifts_total"), value("crossing_open")) == (1, 1, 0)
    assert (value("proved", zone="home"), value("proved", zone="culture")) == (1, 0)
    assert (value("findings", name="unknown-listener"), value("undone_total", name="pipe")) == (2, 3)
    reason = {"zone": "culture", "reason": "input default"}
    assert (value("denied_packets_total", **reason), value("recorded_packets_total", **reason)) == (9, 4)
    assert value("denied_packets_total", zone="culture", reason="services.films") is None
