from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from appliance.runtime.errors import Unreachable
from appliance.telemetry.mqtt import Connection, Message, pause
from appliance.telemetry.settings import Broker


@pytest.mark.parametrize(
    ("failures", "chance", "expected"),
    [(0, 0.0, 0.25), (0, 1.0, 0.5), (1, 1.0, 1.0), (3, 1.0, 4.0), (3, 0.0, 2.0), (10, 1.0, 30.0), (10_000, 0.5, 22.5)],
)
def test_pauses_double_and_are_spread(failures: int, chance: float, expected: float) -> None:
    """The pause before the next attempt doubles up to its bound, and chance spreads it over its upper half."""
    assert pause(failures, chance, 30.0) == expected


async def test_without_a_connection_nothing_is_taken(tmp_path: Path) -> None:
    """What cannot be handed over is refused at once, never kept in memory."""
    broker = Broker(address="127.0.0.1", ca=tmp_path / "no", cert=tmp_path / "no", key=tmp_path / "no", retry=0.05)
    wills = []
    connection = Connection(broker, "x", will=lambda: wills.append(1) or Message("t", b""), topics=[])
    running = asyncio.ensure_future(connection.run())
    with pytest.raises(Unreachable):
        connection.publish(Message("t", b"", 1))
    await asyncio.wait([running], timeout=0.2)
    assert not running.done()  # a missing certificate is told and tried again, for Ansible may bring it
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
