"""What admission counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

REGISTRY = CollectorRegistry()
VERDICTS = Counter(
    "headgate_admission_verdicts", "Verdicts of the first filter, by question and reason.", ["ask", "reason"],
    registry=REGISTRY,
)  # fmt: skip
BYTES = Counter("headgate_admission_bytes", "Bytes compared with their signed digests.", registry=REGISTRY)
RELOADS = Counter("headgate_admission_policy_reloads", "Policies taken in while running.", registry=REGISTRY)
