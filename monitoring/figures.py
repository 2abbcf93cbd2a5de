"""The fleet for Prometheus: overview -> metric families. Every family of the controller stands in this file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from monitoring.overview import EVENTS, BoxView, Overview

STATES = ("enforced", "pending", "drift", "failed", "unknown")


def families(seen: Overview) -> Iterator[Metric]:
    """Yield all families."""
    yield GaugeMetricFamily(
        "headgate_controller_broker_connected", "1 while the controller is connected to the broker", value=seen.broker
    )
    if seen.identifiers is not None:
        yield GaugeMetricFamily(
            "headgate_registry_identifiers", "Identifiers in the registry", value=float(seen.identifiers)
        )
    refusals = CounterMetricFamily("headgate_fleet_refusals", "Refusals that boxes reported", labels=["reason"])
    for reason, count in sorted(seen.reasons.items()):
        refusals.add_metric([reason], count)
    yield refusals
    events = CounterMetricFamily("headgate_fleet_events", "Events that boxes reported", labels=["box", "event"])
    for view in seen.boxes:
        for event in EVENTS:  # from nought on, so that the first one is seen too
            events.add_metric([view.site, event], seen.events.get((view.site, event), 0))
    yield events
    yield _gauge(
        "headgate_box_online", "1 while the box is connected to the broker", seen, lambda v: float(v.box.online)
    )
    yield _gauge(
        "headgate_box_seen_timestamp_seconds", "When the box was last heard, 0 for never", seen, lambda v: v.box.seen
    )
    yield _gauge(
        "headgate_box_policy_differs",
        "1 where the box enforces another policy than was asked of it",
        seen,
        lambda v: float(v.standing.agreement == "differs"),
    )
    yield _gauge(
        "headgate_box_spool_records", "Records that wait on the box", seen, lambda v: v.box.number("spool/records")
    )
    yield _gauge(
        "headgate_box_spool_oldest_seconds", "Age of the oldest record waiting", seen, lambda v: _age(v, seen.now)
    )
    states = GaugeMetricFamily("headgate_box_state", "1 for the guard's word on the box", labels=["box", "state"])
    for view in seen.boxes:
        for state in STATES:
            states.add_metric([view.site, state], float(view.state == state))
    yield states
    yield from _journals(seen)
    yield GaugeMetricFamily("headgate_orders_serial", "Serial of the last order", value=float(seen.orders))
    behind = GaugeMetricFamily(
        "headgate_box_orders_behind", "Orders that a connected box has not proved", labels=["box"]
    )
    for site, number in sorted(seen.behind.items()):
        behind.add_metric([site], float(number))
    yield behind
    records = CounterMetricFamily("headgate_box_records", "Records stored", labels=["box", "kind"])
    sent = CounterMetricFamily("headgate_box_delivered_bytes", "Bytes delivered to screens", labels=["box"])
    answered = CounterMetricFamily("headgate_box_requests", "Requests of screens", labels=["box", "cache"])
    for view in seen.boxes:
        for kind, count in sorted(view.records.items()):
            records.add_metric([view.site, kind], count)
        used = view.used
        sent.add_metric([view.site], used.bytes)
        for cache, count in (
            ("hit", used.hits),
            ("miss", used.misses),
            ("none", used.requests - used.hits - used.misses),
        ):
            answered.add_metric([view.site, cache], count)
    yield from (records, sent, answered)


def _journals(seen: Overview) -> Iterator[Metric]:
    labels = ["box", "journal"]
    entries = GaugeMetricFamily(
        "headgate_box_journal_entries", "Entries of a journal that were countersigned", labels=labels
    )
    waiting = GaugeMetricFamily(
        "headgate_box_journal_waiting_seconds",
        "Seconds since a journal's newest checkpoint could not be countersigned",
        labels=labels,
    )
    faults = GaugeMetricFamily(
        "headgate_box_journal_fault", "1 for why a journal is not countersigned: its past may have been changed",
        labels=[*labels, "reason"],
    )  # fmt: skip
    for view in seen.boxes:
        for one in view.journals:
            entries.add_metric([view.site, one.name], one.size)
            waiting.add_metric([view.site, one.name], max(0.0, seen.now - one.waiting) if one.waiting else 0.0)
            if one.fault:
                faults.add_metric([view.site, one.name, one.fault], 1.0)
    yield from (entries, waiting, faults)


def _gauge(name: str, told: str, seen: Overview, value: Callable[[BoxView], float]) -> Metric:
    family = GaugeMetricFamily(name, told, labels=["box"])
    for view in seen.boxes:
        family.add_metric([view.site], value(view))
    return family


def _age(view: BoxView, now: float) -> float:
    oldest = view.box.text("spool/oldest")
    try:
        return max(0.0, now - datetime.fromisoformat(oldest).timestamp()) if oldest else 0.0
    except (ValueError, OverflowError, OSError):  # a box may say anything
        return 0.0
