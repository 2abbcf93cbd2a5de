"""What the registry publishes, followed by a box's replica."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.replica import decide
from gateway.replica.replica import Replica
from gateway.resolver.table import Table
from tests.registries import follow
from tests.unit.provisioning.registry.conftest import NOW, Place, code


async def test_a_box_has_what_was_registered(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes one by one, and for a box that comes late a snapshot and the changes since, give the registry's own bytes."""
    async with asyncio.TaskGroup() as tasks:
        early, late = (Replica(tmp_path / name, tmp_path / f"{name}-coming", tasks) for name in ("early", "late"))
        for replica in (early, late):
            replica.prepare()
            replica.keys = (place.key.public,)
        await place.publication.publish(NOW)
        assert await follow(early, place.folder)
        now = NOW
        for number in range(4):
            now += timedelta(minutes=1)
            await place.take(*(place.record(number * 80 + n) for n in range(80)), at=now)
            await place.publication.publish(now)
            assert await follow(early, place.folder)
        assert await place.publication.take_snapshot(now) is not None
        await place.take(place.record(7, title="新"), at=now)
        await place.publication.publish(now)
        monkeypatch.setattr(decide, "FEW", 80)
        assert await follow(early, place.folder)
        assert await follow(late, place.folder)
    for name in ("early", "late"):
        table = Table.open(tmp_path / name)
        info = table.info()
        assert info is not None
        assert (info.count, info.size) == (320, 321)
        assert table.raw(code(7)) == place.record(7, title="新").dump()
        assert table.raw(code(319)) == place.record(319).dump()
