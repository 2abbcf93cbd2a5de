"""What the curators' page counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

REGISTRY = CollectorRegistry()
LINKS = Gauge("headgate_linking_links", "Links in the engine's book, by state.", ["state"], registry=REGISTRY)
DECISIONS = Counter(
    "headgate_linking_decisions", "Links that curators decided on the page.", ["state"], registry=REGISTRY
)
REFUSALS = Counter(
    "headgate_linking_refusals", "Requests of the page that were refused, by reason.", ["reason"], registry=REGISTRY
)
