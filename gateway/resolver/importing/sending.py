"""Batches of rows -> converted in processes of their own, signed, and handed in, a few under way at once."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import multiprocessing
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from appliance.identity.keys import PrivateKey
from gateway.resolver.importing.rows import Converted, Fault, Row, convert
from gateway.resolver.registry_client import Faulty
from gateway.resolver.statement import Registration, sign

AHEAD = 3  # batches that are converted while others are under way
UNDER_WAY = 2  # registrations that the registry has at once: it validates one while it writes the other


class Registering(Protocol):
    """Where registrations are handed in."""

    async def register(self, registration: Registration, *, mode: str = "all", dry: bool = False) -> dict[str, Any]:
        """Hand one in and return what became of it."""


@dataclass(frozen=True)
class Sent:
    """What became of a batch."""

    rows: int
    changed: int
    unchanged: int
    faults: list[Fault]


@dataclass(frozen=True)
class Sender:
    """Hands in what ``body`` signs with ``key``; ``dry`` only lets it be judged."""

    registry: Registering
    body: str
    key: PrivateKey
    mode: str
    dry: bool = False
    skip: int = 0  # batches that were handed in before

    async def run(
        self, header: list[str], batches: Iterator[list[Row]], told: Callable[[Sent], None], processes: int
    ) -> None:
        """Hand in all ``batches`` in their order and tell what became of each; with ``all`` one that has faults is not sent.

        Raises:
            Faulty: the whole is refused: key, body.
            Refused, Unreachable, Corrupt: as the registry or the file told it; the same again goes on.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._run(tasks, _converted(header, batches, self.body, processes), told)
        except ExceptionGroup as group:
            raise group.exceptions[0] from group

    async def _run(
        self, tasks: asyncio.TaskGroup, ready: AsyncIterator[tuple[int, Converted]], told: Callable[[Sent], None]
    ) -> None:
        seen: set[str] = set()
        under_way: deque[asyncio.Task[Sent]] = deque()
        async for number, converted in ready:
            fresh = _once(converted, seen)
            if number < self.skip:
                continue
            under_way.append(tasks.create_task(self._send(fresh)))
            if len(under_way) >= UNDER_WAY:
                told(await under_way.popleft())
        while under_way:
            told(await under_way.popleft())

    async def _send(self, batch: Converted) -> Sent:
        rows = len(batch.dumps) + len({fault.line for fault in batch.faults})
        if not batch.dumps or (batch.faults and self.mode == "all" and not self.dry):
            return Sent(rows, 0, 0, batch.faults)
        signed = await asyncio.to_thread(sign, "register", self.body, batch.dumps, self.key, datetime.now(UTC))
        try:
            done = await self.registry.register(signed, mode="good" if self.dry else self.mode, dry=self.dry)
        except Faulty as error:
            if error.whole:
                raise
            return Sent(rows, 0, 0, [*batch.faults, *_placed(error.faults, batch)])
        return Sent(
            rows, int(done["changed"]), int(done["unchanged"]), [*batch.faults, *_placed(done["faults"], batch)]
        )


def _placed(faults: Iterable[dict[str, Any]], batch: Converted) -> Iterator[Fault]:
    """Yield the registry's faults with the lines of the file."""
    for fault in faults:
        index = int(fault["index"])
        if 0 <= index < len(batch.lines):
            told = (str(fault[name]) for name in ("path", "reason", "message"))
            yield Fault(batch.lines[index], batch.codes[index], *told)


def _once(batch: Converted, seen: set[str]) -> Converted:
    """Return ``batch`` without codes that were there before in the file: which of two records would count?"""
    again = {index for index, code in enumerate(batch.codes) if code in seen or seen.add(code)}  # type: ignore[func-returns-value]
    if not again:
        return batch
    kept = [index for index in range(len(batch.codes)) if index not in again]
    faults = [
        Fault(batch.lines[index], batch.codes[index], "code", "twice", f"{batch.codes[index]} is in the file twice")
        for index in sorted(again)
    ]
    return Converted(
        [batch.dumps[index] for index in kept],
        [batch.lines[index] for index in kept],
        [batch.codes[index] for index in kept],
        [*batch.faults, *faults],
    )


async def _converted(
    header: list[str], batches: Iterator[list[Row]], body: str, processes: int
) -> AsyncIterator[tuple[int, Converted]]:
    """Yield the batches in their order, some converted ahead."""
    loop = asyncio.get_running_loop()
    ahead: deque[asyncio.Future[Converted]] = deque()
    number = 0
    with contextlib.ExitStack() as stack:
        pool: concurrent.futures.Executor | None = None  # the loop's threads
        if processes:
            context = multiprocessing.get_context("spawn")
            pool = stack.enter_context(concurrent.futures.ProcessPoolExecutor(processes, context))
        for batch in batches:
            ahead.append(loop.run_in_executor(pool, convert, header, batch, body))
            if len(ahead) >= AHEAD:
                yield number, await ahead.popleft()
                number += 1
        while ahead:
            yield number, await ahead.popleft()
            number += 1
