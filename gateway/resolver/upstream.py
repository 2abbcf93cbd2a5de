"""Asks the exchange, for a code that the table lacks, to make the table as new as the registry has it.

One question at a time and only every few seconds. Withdrawals need no question: the exchange looks at the registry by itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
from prometheus_client import Counter

from appliance.runtime import http
from appliance.runtime.errors import HeadgateError, Refused, Unreachable
from gateway.resolver.codes import Code

log = logging.getLogger("headgate.resolver")

EVERY = 3.0  # seconds between two questions, however many screens ask for codes that are unknown
PATIENCE = 3.0  # seconds a screen waits for the exchange before the table at hand answers
LONGEST = 60.0  # seconds after which a question is given up


class Upstream:
    """The exchange, as far as identifiers go."""

    def __init__(
        self, socket: Path, tasks: asyncio.TaskGroup, asked: Counter, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._socket, self._tasks, self._asked, self._clock = socket, tasks, asked, clock
        self._running: asyncio.Task[None] | None = None
        self._last = float("-inf")

    async def wait(self, code: Code) -> None:
        """Let the table be made newer for the unknown ``code``, and wait a little for it."""
        task = self._begin(code)
        if task is not None:
            await asyncio.wait({task}, timeout=PATIENCE)

    def _begin(self, code: Code) -> asyncio.Task[None] | None:
        if self._running is not None and not self._running.done():
            return self._running
        if self._clock() - self._last < EVERY:
            return None
        self._last = self._clock()
        self._running = self._tasks.create_task(self._ask(code))
        return self._running

    async def _ask(self, code: Code) -> None:
        try:
            async with (
                http.unix_client(self._socket, LONGEST) as client,
                client.post("http://box/lookup", json={"code": code.canonical}) as response,
            ):
                fresh = bool((await (await http.check(response)).json())["fresh"])
        except Unreachable as error:
            self._asked.labels("unreachable").inc()
            log.info("the table stays as it is: %s", error)
        except (Refused, HeadgateError, aiohttp.ClientError, OSError, ValueError, KeyError, TypeError) as error:
            self._asked.labels("refused" if isinstance(error, Refused) else "failed").inc()
            log.warning("the table stays as it is: %s", error)
        else:
            self._asked.labels("fresh" if fresh else "unchanged").inc()
