"""What inspection counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

REGISTRY = CollectorRegistry()
VERDICTS = Counter(
    "headgate_inspection_verdicts", "Objects inspected, by declared type and reason.", ["type", "reason"],
    registry=REGISTRY,
)  # fmt: skip
FAILED = Counter(
    "headgate_inspection_failures", "Inspections that crashed, hung or never came up: their objects were refused.", ["how"],
    registry=REGISTRY,
)  # fmt: skip
BYTES = Counter("headgate_inspection_bytes", "Bytes looked at.", registry=REGISTRY)
SANDBOX = Gauge(
    "headgate_inspection_sandbox", "1 for each wall that stands around the processes that look at bytes: seccomp, landlock.", ["part"],
    registry=REGISTRY,
)  # fmt: skip
OPEN = Gauge("headgate_inspection_open", "Objects being inspected.", registry=REGISTRY)
