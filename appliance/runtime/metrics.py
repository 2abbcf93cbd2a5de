"""Metrics of one daemon, handed to the telemetry daemon as a file (the textfile pattern of node_exporter).

Daemons live in zones that must not meet, so nobody scrapes them: each writes ``<name>.prom`` into its own folder, and telemetry, in
the management zone, serves them all.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, disable_created_metrics, generate_latest

from appliance.runtime.files import write_atomic

EVERY = 2.0  # seconds between two writes

disable_created_metrics()  # type: ignore[no-untyped-call]  # _created gauges double the series and no alert of ours reads them


async def keep_written(registry: CollectorRegistry, path: Path) -> None:
    """Write ``registry``, and when its daemon started, to ``path`` every few seconds, for ever."""
    own = CollectorRegistry()
    started = Gauge("headgate_started_timestamp_seconds", "When the daemon started.", registry=own)
    started.set(time.time())
    while True:
        write_atomic(path, generate_latest(own) + generate_latest(registry))
        await asyncio.sleep(EVERY)
