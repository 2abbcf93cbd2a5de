"""What the store counts; the exchange exports it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

REGISTRY = CollectorRegistry()
OBJECTS = Gauge("headgate_store_objects", "Objects that the store's index knows.", registry=REGISTRY)
BYTES = Gauge("headgate_store_bytes", "Bytes of the objects that the store's index knows.", registry=REGISTRY)
PINNED = Gauge("headgate_store_pinned_bytes", "Bytes of objects that are pinned and never go.", registry=REGISTRY)
CAPACITY = Gauge(
    "headgate_store_capacity_bytes", "Bytes that the store may take by the policy and by what the disk has.",
    registry=REGISTRY,
)  # fmt: skip
EVICTED = Counter(
    "headgate_store_evicted", "Objects that made room for others, by cause.", ["cause"], registry=REGISTRY
)
EVICTED_BYTES = Counter(
    "headgate_store_evicted_bytes", "Bytes of objects that made room for others.", registry=REGISTRY
)
KEEP = Gauge(
    "headgate_store_keep", "1 for the policy that says what is kept, 0 for the others.", ["keep"], registry=REGISTRY
)
RATIO = Gauge(
    "headgate_store_shadow_hit_ratio",
    "Share of the bytes asked for that each policy would have served from the store, in the last six hours.",
    ["keep"], registry=REGISTRY,
)  # fmt: skip
REGRET = Gauge(
    "headgate_store_regret_ratio",
    "Share of the bytes asked for by which the best single policy of the last six hours was ahead of those chosen.",
    registry=REGISTRY,
)  # fmt: skip
ERRORS = Counter(
    "headgate_store_disk_errors", "Failures of the store's disk, by what was being done.", ["act"], registry=REGISTRY
)
INDEX_ERRORS = Counter(
    "headgate_store_index_errors", "Times that the store's index could not be read or written.", registry=REGISTRY
)
REBUILT = Counter(
    "headgate_store_index_rebuilt",
    "Times that the store's index was damaged and made anew from the files.",
    registry=REGISTRY,
)
RECONCILED = Counter(
    "headgate_store_reconciled", "Differences between index and files that were put right, by what was missing.",
    ["missing"], registry=REGISTRY,
)  # fmt: skip
SCRUBBED = Counter(
    "headgate_store_scrubbed_bytes", "Bytes read again and compared with their digests.", registry=REGISTRY
)
PASSES = Counter("headgate_store_scrub_passes", "Times that the whole store was read again.", registry=REGISTRY)
DAMAGED = Counter(
    "headgate_store_damaged", "Objects taken away since they were not what their digest says.", registry=REGISTRY
)
HEALED = Counter(
    "headgate_store_healed", "Damaged objects fetched again, by how it ended.", ["outcome"], registry=REGISTRY
)
AHEAD_FILES = Gauge(
    "headgate_store_preposition_files", "Files of the releases to be fetched ahead, by whether they are here.", ["state"],
    registry=REGISTRY,
)  # fmt: skip
AHEAD_BYTES = Counter("headgate_store_preposition_bytes", "Bytes fetched ahead.", registry=REGISTRY)
