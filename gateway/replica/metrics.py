"""What the replica counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from appliance.runtime.errors import HeadgateError, Refused
from gateway.resolver.levels import Info
from gateway.resolver.published import Head

REGISTRY = CollectorRegistry()
DAMAGED = "registry-damaged"  # the reason of what is not what it claims to be
SIZE = Gauge("headgate_replica_table_changes", "Changes of the registry's log that the table holds.", registry=REGISTRY)
KNOWN = Gauge(
    "headgate_replica_log_changes", "Changes that the registry's log has, as its newest head says.", registry=REGISTRY
)
CODES = Gauge("headgate_replica_table_codes", "Identifiers in the table.", registry=REGISTRY)
LINKS = Gauge("headgate_replica_table_links", "Links in the table's levels.", registry=REGISTRY)
BYTES = Gauge("headgate_replica_table_bytes", "Bytes of the table's levels on disk.", registry=REGISTRY)
LEVELS = Gauge("headgate_replica_table_levels", "Levels that make the table.", registry=REGISTRY)
MADE = Gauge(
    "headgate_replica_table_made_timestamp_seconds",
    "When the registry said last what the table says.",
    registry=REGISTRY,
)
FRESH = Gauge(
    "headgate_replica_checked_timestamp_seconds", "When the table was last found to be what the registry says.",
    registry=REGISTRY,
)  # fmt: skip
CHANGES = Counter("headgate_replica_changes", "Changes of the log that were followed.", registry=REGISTRY)
SECONDS = Histogram(
    "headgate_replica_seconds", "Seconds to lay down a snapshot, or a slice of changes.", ["what"],
    buckets=(0.01, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000), registry=REGISTRY,
)  # fmt: skip
REFUSALS = Counter(
    "headgate_replica_refusals", "What of the registry was refused, by reason.", ["reason"], registry=REGISTRY
)
LOOKUPS = Counter(
    "headgate_replica_lookups",
    "Answers of the registry on single codes, by what they were.",
    ["outcome"],
    registry=REGISTRY,
)
PENDING = Gauge(
    "headgate_replica_pending", "Registrations of this box that the registry has not spoken about.", registry=REGISTRY
)
SETTLED = Counter(
    "headgate_replica_settled", "Registrations of this box that the registry has spoken about.", registry=REGISTRY
)
RELOADS = Counter("headgate_replica_policy_reloads", "Policies taken in while running.", registry=REGISTRY)

for reason in ("forked-log", "rewound-log"):  # alerts see the first one too
    REFUSALS.labels(reason)


def table(info: Info | None) -> None:
    """Tell of the table."""
    if info is not None:
        SIZE.set(info.size)
        CODES.set(info.count)
        LINKS.set(info.links)
        BYTES.set(sum(level.bytes for level in info.levels))
        LEVELS.set(len(info.levels))
        MADE.set(info.made.timestamp())


def head(told: Head) -> None:
    """Tell of a verified head."""
    KNOWN.set(told.size)


def refused(error: HeadgateError) -> None:
    """Count a refusal."""
    REFUSALS.labels(error.reason if isinstance(error, Refused) else DAMAGED).inc()
