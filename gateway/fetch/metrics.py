"""What fetch counts, for each upstream that the policy names."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()
REQUESTS = Counter(
    "headgate_fetch_requests",
    "Requests to parents and origins, by how they ended.",
    ["origin", "outcome"],
    registry=REGISTRY,
)
BYTES = Counter("headgate_fetch_bytes", "Bytes that came from parents and origins.", ["origin"], registry=REGISTRY)
FAILURES = Gauge(
    "headgate_fetch_failures",
    "Failures in a row of a parent or origin; 0 while it answers.",
    ["origin"],
    registry=REGISTRY,
)
FIRST_BYTE = Histogram(
    "headgate_fetch_first_byte_seconds", "Seconds until a parent or origin began to answer.", ["origin"],
    buckets=(0.003, 0.01, 0.03, 0.1, 0.3, 1, 2, 5, 15), registry=REGISTRY,
)  # fmt: skip
