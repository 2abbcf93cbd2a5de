"""Codes outside the ranges that the box's table holds: asked of the registry through the exchange, and kept for their time to live.

One question a code however many wait, at most so many at once; while the registry is away the last known answer holds, marked stale.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import aiohttp
from prometheus_client import Counter

from appliance.runtime import http
from appliance.runtime.errors import HeadgateError, Refused, Unreachable
from appliance.runtime.once import Once
from gateway.resolver.records import TTL

PATIENCE = 8.0  # seconds for one question
AT_ONCE, WAITING = 16, 256  # questions
UNKNOWN = 300.0  # seconds for which the registry's word that there is no such code is kept
AGAIN = 3.0  # seconds after a question that failed in which it is not asked again
MOST, LARGEST = 50_000, 64 << 20  # answers kept, and bytes of their records
log = logging.getLogger("headgate.resolver")


@dataclass(frozen=True)
class Answer:
    """What the registry said of a code: its record as canonical JSON or None, when, and for how many seconds it may be kept."""

    raw: bytes | None
    made: datetime
    keep: float


@dataclass(frozen=True)
class _Kept:
    answer: Answer
    until: float  # by the clock: not asked again before


class Outside:
    """The answers of the registry on single codes."""

    def __init__(
        self, socket: Path, tasks: asyncio.TaskGroup, asked: Counter, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._socket, self._asked, self._clock = socket, asked, clock
        self._once: Once[str, Answer] = Once(tasks, at_once=AT_ONCE, waiting=WAITING)
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._bytes = 0
        self._failed: OrderedDict[str, float] = OrderedDict()  # until when these are not asked again

    async def find(self, code: str) -> Answer:
        """Return what the registry says, or said last.

        Raises:
            Unreachable: nobody can be asked, and nothing is known.
        """
        kept, now = self._kept.get(code), self._clock()
        if kept is not None and now < kept.until:
            self._kept.move_to_end(code)
            return kept.answer
        if self._failed.get(code, now) <= now:
            try:
                return await self._once.do(code, lambda: self._ask(code))
            except HeadgateError as error:
                self._note_failure(code, error)
        if kept is not None:
            self._keep(code, replace(kept, until=self._clock() + AGAIN))
            return kept.answer
        raise Unreachable(f"{code} is outside the ranges that this box keeps, and the registry cannot be asked now")

    async def _ask(self, code: str) -> Answer:
        try:
            async with (
                http.unix_client(self._socket, PATIENCE) as client,
                client.post("http://box/lookup", json={"code": code}) as response,
            ):
                told = (await (await http.check(response)).json())["answer"]
                raw = None if told["record"] is None else str(told["record"]).encode()
                keep = UNKNOWN if raw is None else float(json.loads(raw).get("ttl", TTL))
                answer = Answer(raw, datetime.fromisoformat(told["made"]), keep)
        except (aiohttp.ClientError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unreachable(f"the exchange gave no answer: {error}") from error
        self._keep(code, _Kept(answer, self._clock() + answer.keep))
        self._asked.labels("found" if raw is not None else "absent").inc()
        return answer

    def _keep(self, code: str, kept: _Kept) -> None:
        self._drop(code)
        self._kept[code] = kept
        self._bytes += len(kept.answer.raw or b"")
        while len(self._kept) > MOST or self._bytes > LARGEST:
            self._drop(next(iter(self._kept)))

    def _drop(self, code: str) -> None:
        if (old := self._kept.pop(code, None)) is not None:
            self._bytes -= len(old.answer.raw or b"")

    def _note_failure(self, code: str, error: HeadgateError) -> None:
        self._asked.labels("refused" if isinstance(error, Refused) else "unreachable").inc()
        log.info("%s is not looked up now: %s", code, error)
        self._failed[code] = self._clock() + AGAIN
        while len(self._failed) > MOST:
            self._failed.popitem(last=False)
