"""What publish counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

REGISTRY = CollectorRegistry()
RELEASES = Counter(
    "headgate_publish_releases", "Releases that were handed in, by how it ended.", ["outcome"], registry=REGISTRY
)
REFUSALS = Counter("headgate_publish_refusals", "Releases and files refused, by reason.", ["reason"], registry=REGISTRY)
BYTES = Counter("headgate_publish_bytes", "Bytes that were handed in.", registry=REGISTRY)
OPEN = Gauge("headgate_publish_open", "Releases on their way in.", registry=REGISTRY)
HELD = Gauge("headgate_publish_held_bytes", "Bytes of uploads that are not taken in yet.", registry=REGISTRY)
