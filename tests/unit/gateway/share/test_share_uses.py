"""Hints of use: in order, in bounded requests, and never in the way."""

import asyncio

from appliance.runtime.errors import Unreachable
from gateway.share import uses
from gateway.share.uses import Uses


async def told(monkeypatch, count, failing=0):
    """Return what is told after ``count`` uses, of which the first ``failing`` requests fail."""
    monkeypatch.setattr(uses, "EVERY", 0.001)
    requests, done = [], asyncio.Event()

    async def tell(some):
        requests.append(some)
        if len(requests) <= failing:
            raise Unreachable("away")
        if some[-1]["path"] == "last":
            done.set()

    waiting = Uses(tell)
    for number in range(count):
        waiting.add("code", str(number), 1, hit=True)
    waiting.add("code", "last", 1, hit=False)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(waiting.run())
        await asyncio.wait_for(done.wait(), 10)
        task.cancel()
    return requests


async def test_uses_are_told_in_order_and_in_bounded_requests(monkeypatch):
    """Each once."""
    requests = await told(monkeypatch, 2 * uses.AT_ONCE)

    assert [len(some) for some in requests] == [uses.AT_ONCE, uses.AT_ONCE, 1]
    assert requests[0][0] == {"release": "code", "path": "0", "bytes": 1, "hit": True}


async def test_too_many_push_out_the_oldest(monkeypatch):
    """The exchange may be away for a day."""
    requests = await told(monkeypatch, uses.MOST + 10)

    assert requests[0][0]["path"] == "11"


async def test_an_exchange_that_is_away_costs_hints_only(monkeypatch):
    """The next ones are told when it is back."""
    requests = await told(monkeypatch, uses.AT_ONCE, failing=1)

    assert [len(some) for some in requests] == [uses.AT_ONCE, 1]
