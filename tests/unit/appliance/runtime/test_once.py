"""Coalescing: one piece of work for each key, however many wait."""

import asyncio

import pytest

from appliance.runtime.errors import Refused, Unreachable
from appliance.runtime.once import Once


async def test_one_work_for_all_who_wait():
    """Everybody gets the value of one piece of work; the next one who asks begins anew."""
    runs = []
    async with asyncio.TaskGroup() as tasks:
        once = Once(tasks, at_once=2, waiting=10)

        async def work():
            runs.append(1)
            await asyncio.sleep(0)
            return len(runs)

        assert await asyncio.gather(*(once.do("key", work) for _ in range(20))) == [1] * 20
        assert await once.do("key", work) == 2
        assert len(once) == 0


async def test_failure_reaches_all_and_is_not_kept():
    """A failure reaches everybody who waits, ends nothing else, and the next one tries again."""
    async with asyncio.TaskGroup() as tasks:
        once = Once(tasks, at_once=2, waiting=10)

        async def fail():
            await asyncio.sleep(0)
            raise Unreachable("away")

        async def succeed():
            return 7

        told = await asyncio.gather(*(once.do("key", fail) for _ in range(5)), return_exceptions=True)
        assert [type(error) for error in told] == [Unreachable] * 5
        assert await once.do("key", succeed) == 7


async def test_work_goes_on_when_the_asker_leaves():
    """The first asker is cancelled; the work ends for the second."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        once = Once(tasks, at_once=1, waiting=10)

        async def work():
            begun.set()
            await go_on.wait()
            return 7

        first = tasks.create_task(once.do("key", work))
        await begun.wait()
        first.cancel()
        await asyncio.wait({first})
        second = tasks.create_task(once.do("key", work))
        go_on.set()
        assert await second == 7


async def test_bounds_hold():
    """No more than so many run at once, and no more than so many wait: the rest is refused as busy."""
    go_on, two, running, most = asyncio.Event(), asyncio.Event(), 0, 0
    async with asyncio.TaskGroup() as tasks:
        once = Once(tasks, at_once=2, waiting=4)

        async def work():
            nonlocal running, most
            running += 1
            most = max(most, running)
            if running == 2:
                two.set()
            await go_on.wait()
            running -= 1

        waiting = [tasks.create_task(once.do(key, work)) for key in range(4)]
        await two.wait()
        with pytest.raises(Refused, match="ask again") as error:
            await once.do("more", work)
        assert (error.value.reason, error.value.status) == ("busy", 503)
        go_on.set()
        await asyncio.gather(*waiting)
        assert most == 2
