"""What the exchange counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway.isolation.policy import Policy
from gateway.release import important
from gateway.store import metrics as store

REGISTRY = CollectorRegistry()
REGISTRY.register(store.REGISTRY)
ORDERS = Gauge("headgate_exchange_orders_serial", "Serial of the last order that was taken.", registry=REGISTRY)
ORDERED = Counter("headgate_exchange_orders", "Orders carried out, by what they say.", ["act"], registry=REGISTRY)
ORDER_SECONDS = Histogram(
    "headgate_exchange_order_seconds", "Seconds from an order until it was carried out and proved.",
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10), registry=REGISTRY,
)  # fmt: skip
REQUESTS = Counter(
    "headgate_exchange_requests", "Requests of peers, by what was asked and how it ended.", ["zone", "ask", "outcome"],
    registry=REGISTRY,
)  # fmt: skip
REFUSALS = Counter("headgate_exchange_refusals", "Crossings refused, by reason.", ["zone", "reason"], registry=REGISTRY)
ADMITTED = Counter(
    "headgate_exchange_releases_admitted", "Versions of releases verified and admitted.", registry=REGISTRY
)
TAKEN_IN = Counter(
    "headgate_exchange_releases_taken_in",
    "Versions of releases that came in whole from a drop folder.",
    registry=REGISTRY,
)
FILLS = Counter("headgate_exchange_fills", "Objects asked of origins, by how it ended.", ["outcome"], registry=REGISTRY)
FILLED = Counter("headgate_exchange_filled_bytes", "Bytes of verified objects put into the store.", registry=REGISTRY)
FILLING = Gauge("headgate_exchange_filling", "Objects being fetched or waiting for their turn.", registry=REGISTRY)
SECONDS = Histogram(
    "headgate_exchange_fill_seconds", "Seconds from the miss until the object is verified and durable.",
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100), registry=REGISTRY,
)  # fmt: skip
RECORDS = Counter(
    "headgate_exchange_records", "Records made durable in the spool, by kind.", ["kind"], registry=REGISTRY
)
UNAUDITED = Counter(
    "headgate_exchange_refusals_not_recorded", "Refusals like others of the last minute: counted here, not recorded again.",
    registry=REGISTRY,
)  # fmt: skip
IDENTIFIERS = Gauge(
    "headgate_exchange_identifiers_checked_timestamp_seconds", "When the registry last said how new the table of identifiers is.",
    registry=REGISTRY,
)  # fmt: skip
RELOADS = Counter("headgate_exchange_policy_reloads", "Policies taken in while running.", registry=REGISTRY)


def prepare(policy: Policy) -> None:
    """Let what alerts look at count from nought, so that they see the first one too."""
    for outcome in ("filter-failed", "malware", "polyglot", "bomb"):
        FILLS.labels(outcome)
    for zone in policy.zones:
        REFUSALS.labels(zone, important.REASON)


WEB = Counter(
    "headgate_exchange_web_answers", "Answers of web origins that crossed, by the policy's name of the origin and class of status.",
    ["zone", "origin", "status"], registry=REGISTRY,
)  # fmt: skip
WEB_BYTES = Counter(
    "headgate_exchange_web_bytes", "Bytes of bodies that crossed between screens and web origins.", ["zone", "origin", "direction"],
    registry=REGISTRY,
)  # fmt: skip
WEB_TRUNCATED = Counter(
    "headgate_exchange_web_truncated", "Answers of web origins that broke off before their end.", ["zone", "origin"], registry=REGISTRY,
)  # fmt: skip
PURGES = Counter("headgate_exchange_purges", "Purges carried out, by how they were given.", ["by"], registry=REGISTRY)
PURGE_SECONDS = Histogram(
    "headgate_exchange_purge_seconds", "Seconds from a purge until every delivery confirmed it.",
    buckets=(0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10), registry=REGISTRY,
)  # fmt: skip
LIVE = Counter(
    "headgate_exchange_live_files", "Live files asked of origins, by how it ended.", ["outcome"], registry=REGISTRY
)
LIVE_SECONDS = Histogram(
    "headgate_exchange_live_seconds", "Seconds from the first question for a live file until it is verified.",
    buckets=(0.01, 0.02, 0.05, 0.1, 0.15, 0.3, 1, 3, 10), registry=REGISTRY,
)  # fmt: skip
LIVE_OBJECTS = Gauge("headgate_exchange_live_objects", "Live objects kept now.", registry=REGISTRY)
LIVE_BYTES = Gauge("headgate_exchange_live_bytes", "Bytes of live objects kept now.", registry=REGISTRY)
LIVE_WAITING = Gauge(
    "headgate_exchange_live_waiting", "Live playlists and parts that screens wait for.", registry=REGISTRY
)
