"""``identifiers.json``: the whole table in one signed file, for boxes that do not replicate the log yet. Touches the registry's folder."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from appliance.identity import envelope
from appliance.runtime.errors import Corrupt, Refused
from appliance.runtime.files import write_atomic
from gateway.resolver.records import KIND, Snapshot, parse_snapshot
from provisioning.registry.registry import Registry

FILE = "identifiers.json"
MOST = 20_000  # records: a larger table is not written anew at each change
AGAIN = timedelta(hours=6)


async def publish(registry: Registry, now: datetime) -> None:
    """Write the table if it changed, or the last one is hours old."""
    if registry.standing.records > MOST:
        return
    path = registry.folder / FILE
    try:
        data = await asyncio.to_thread(path.read_bytes)
        last = parse_snapshot(envelope.open_sealed(data, KIND, [registry.key.public])[0])
    except (FileNotFoundError, Corrupt, Refused):
        last = None
    records = sorted(await registry.some(most=MOST), key=lambda record: record.code)
    if last is not None and last.records == records and now - last.made < AGAIN:
        return
    fresh = Snapshot(registry=registry.name, serial=last.serial + 1 if last else 1, made=now, records=records)
    await asyncio.to_thread(write_atomic, path, envelope.seal(fresh.dump(), KIND, registry.key))
