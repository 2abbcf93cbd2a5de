"""Records of use: kept while the exchange is away, each handed over at least once, bounded."""

import asyncio
from datetime import UTC, datetime

import pytest

from appliance.runtime.errors import Refused, Unreachable
from gateway.delivery import usage
from gateway.delivery.usage import Usage

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)


def record(path="a.m4s", subject=""):
    return usage.record(
        zone="bigscreen", release="999999-100000000000001-4", path=path, body="library", status=206, cache="hit", sent=100,
        started=NOW, seconds=0.5, subject=subject, now=NOW,
    )  # fmt: skip


def test_a_record_tells_the_contract():
    """The record has the keys of the contract, and the zone's own source."""
    told = record().told()
    assert told["source"] == "delivery/bigscreen"
    assert told["body"] == {
        "release": "999999-100000000000001-4", "path": "a.m4s", "body": "library", "zone": "bigscreen", "bytes": 100,
        "status": 206, "cache": "hit", "started": "2026-11-23T08:00:00.000000Z", "seconds": 0.5,
    }  # fmt: skip
    assert record(subject="a1b2").told()["body"]["subject"] == "a1b2"


async def test_records_wait_while_the_exchange_is_away(monkeypatch):
    """What could not be handed over is handed over later, with the same id."""
    monkeypatch.setattr(usage, "AGAIN", 0.001)
    failures = iter([Unreachable("away")] * 5 + [Refused("spool-full", "full", 507)] * 5)
    taken = []

    async def hand_over(record):
        if error := next(failures, None):
            raise error
        taken.append(record.id)

    dropped = []
    waiting = Usage(hand_over, lambda: dropped.append(1))
    sent = [record(str(index)) for index in range(10)]
    task = asyncio.ensure_future(waiting.run())
    for one in sent:
        waiting.add(one)
    assert await waiting.drain(5) == 0
    task.cancel()
    await asyncio.wait({task})
    assert sorted(taken) == sorted(one.id for one in sent)
    assert not dropped


async def test_a_refused_record_is_counted_as_lost(caplog):
    """A record that the exchange will never take does not hold up the others."""

    async def hand_over(_):
        raise Refused("bad-request", "no", 400)

    dropped = []
    waiting = Usage(hand_over, lambda: dropped.append(1))
    task = asyncio.ensure_future(waiting.run())
    waiting.add(record())
    assert await waiting.drain(5) == 0
    task.cancel()
    await asyncio.wait({task})
    assert dropped == [1]
    assert "does not take" in caplog.text


async def test_nothing_is_served_that_cannot_be_accounted_for(monkeypatch):
    """With too many records waiting, a new delivery is refused as busy, and what was delivered is still kept."""
    monkeypatch.setattr(usage, "MOST", 2)
    waiting = Usage(None, None)
    waiting.add(record())
    waiting.check()
    waiting.add(record())
    with pytest.raises(Refused) as error:
        waiting.check()
    assert (error.value.reason, error.value.status) == ("busy", 503)
    assert await waiting.drain(0.001) == 2
