"""A daemon's figures as telemetry finds them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter

from appliance.runtime.metrics import keep_written
from appliance.telemetry.exposition import parse


async def test_figures_say_when_their_daemon_started(tmp_path: Path) -> None:
    """Without it nobody could compare what two daemons counted."""
    registry, path = CollectorRegistry(), tmp_path / "a.prom"
    Counter("headgate_test_done", "Something.", registry=registry).inc(3)
    before = time.time()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0):  # the first writing comes before the first pause
            await keep_written(registry, path)
    found = {s.name: s.value for family in parse(path.read_bytes()) for s in family.samples}
    assert found["headgate_test_done_total"] == 3
    assert before <= found["headgate_started_timestamp_seconds"] <= time.time()
