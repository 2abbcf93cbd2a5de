"""What share counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

REGISTRY = CollectorRegistry()
REQUESTS = Counter(
    "headgate_share_requests", "Requests of other boxes, by status and whether the store had the object.",
    ["status", "cache"], registry=REGISTRY,
)  # fmt: skip
BYTES = Counter("headgate_share_bytes", "Bytes of content sent to other boxes.", ["cache"], registry=REGISTRY)
REFUSALS = Counter(
    "headgate_share_refusals", "Requests of other boxes refused or failed, by reason.", ["reason"], registry=REGISTRY
)
