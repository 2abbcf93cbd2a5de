"""The workers of the inspection with real processes: a fresh one for each object, and what becomes of one says nothing of the next."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from appliance.runtime.errors import Refused
from gateway.filters.inspection import handle
from gateway.filters.inspection.kinds import registry
from gateway.filters.inspection.pool import READY, Nursery, Pool
from tests.server.content import media
from tests.server.content.test_filters import descendants

pytestmark = pytest.mark.server
SEGMENT = media.sized(100_000)


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Patience that ends soon."""
    monkeypatch.setattr(handle, "PATIENCE", 1.0)


@pytest.fixture
def incoming(tmp_path):
    (tmp_path / "good").write_bytes(SEGMENT)
    (tmp_path / "bad").write_bytes(b"MZ" + SEGMENT)
    return tmp_path


@asynccontextmanager
async def running(incoming):
    pool = Pool(incoming)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(pool.run())
        await pool.ready()
        yield pool
        task.cancel()


def told(name: str, size: int = len(SEGMENT)) -> dict[str, object]:
    return {
        "type": "video/iso.segment", "path": "1.m4s", "size": size, "application": False, "incoming": name, "object": None, "whole": True
    }  # fmt: skip


def number(worker) -> int:
    cred = worker._channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(cred[:4], "little")


def memory(worker) -> int:
    """Return how many kB a process has in memory."""
    return int(Path(f"/proc/{number(worker)}/status").read_text().partition("VmRSS:")[2].split()[0])


async def judged(pool: Pool, name: str, act=lambda pid: None) -> tuple[int, str]:
    """Have an object judged after ``act`` on its process; return the process and the reason, or ``passed``."""
    worker = await pool.take("video/iso.segment")
    pid = number(worker)
    act(pid)
    size = (pool.media._incoming / name).stat().st_size
    try:
        reason = "passed" if await worker.ask(told(name, size), "it") == size else "short"
    except Refused as refused:
        reason = refused.reason
    finally:
        worker.end()
    return pid, reason


async def reached(condition: Callable[[], bool]) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (of other processes nobody tells us)
            await asyncio.sleep(0.01)


async def settled(pool: Pool) -> None:
    """Wait until as many wait as shall, and there are no others: those that had an object are gone."""

    def processes(nursery: Nursery) -> int:
        return len(descendants(nursery._zygote.pid)) if nursery._zygote else 0

    kinds = (pool.media, pool.every)
    await reached(lambda: all((nursery.idle, processes(nursery)) == (READY, READY) for nursery in kinds))


async def test_each_object_has_a_process_of_its_own(incoming):
    """Many objects, many processes; afterwards as many wait as before, and none is left over."""
    async with running(incoming) as pool:
        seen = await asyncio.gather(*(judged(pool, "good") for _ in range(12)))
        assert {reason for _, reason in seen} == {"passed"}
        assert len({pid for pid, _ in seen}) == 12
        await settled(pool)
        assert not {pid for pid, _ in seen} & set(descendants(pool.media._zygote.pid))


@pytest.mark.parametrize("number_", [signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV])
async def test_an_object_that_kills_or_holds_its_process_is_refused_alone(incoming, number_):
    """``filter-failed`` for it; those beside it and behind it pass."""
    async with running(incoming) as pool:
        poisoned, *others = await asyncio.gather(
            judged(pool, "good", lambda pid: os.kill(pid, number_)), *(judged(pool, "good") for _ in range(5))
        )
        assert poisoned[1] == "filter-failed"
        assert [reason for _, reason in others] == ["passed"] * 5
        assert (await judged(pool, "bad"))[1] == "type-mismatch"
        assert (await judged(pool, "good"))[1] == "passed"
        await settled(pool)


async def test_a_process_that_ended_while_it_waited_costs_nothing(incoming):
    """All that wait are killed, and the one that makes them: the next objects pass."""
    async with running(incoming) as pool:
        for victims in (descendants, lambda zygote: [zygote]):
            await settled(pool)
            waiting = descendants(pool.media._zygote.pid)
            for pid in victims(pool.media._zygote.pid):
                os.kill(pid, signal.SIGKILL)
            await reached(lambda: not any(Path(f"/proc/{pid}").exists() for pid in waiting))  # noqa: B023 (at once)
            assert (await judged(pool, "good"))[1] == "passed"
        await settled(pool)


async def test_who_gives_up_waiting_leaves_no_process_over(incoming):
    """Askers that are cancelled while they wait for a process: no more than ``READY`` wait afterwards."""
    async with running(incoming) as pool:
        await settled(pool)
        zygote = pool.media._zygote.pid
        os.kill(zygote, signal.SIGSTOP)
        taken = [await pool.take("video/mp2t") for _ in range(READY)]
        waiting = [asyncio.ensure_future(pool.take("video/mp2t")) for _ in range(6)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        os.kill(zygote, signal.SIGCONT)
        for worker in taken:
            worker.end()
        await settled(pool)


async def test_media_is_judged_by_processes_without_libraries(incoming):
    """The small kind has no library of pictures, documents or numbers in memory; the other has them all before it is forked."""
    async with running(incoming) as pool:
        for type_, has in (("video/mp2t", False), ("audio/aac", False), ("image/png", True), ("application/pdf", True)):
            worker = await pool.take(type_)
            assert registry.is_media(type_) is not has
            assert (memory(worker) > 25_000) is has, type_
            worker.end()
