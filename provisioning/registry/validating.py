"""Records as they came -> what they say, or every fault; many at once in a process of its own, which the log need not wait for."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import logging
import multiprocessing
from collections.abc import Sequence
from typing import NamedTuple

from pydantic import ValidationError

from appliance.runtime.errors import Corrupt, Refused, Unreachable
from gateway.resolver.records import LONGEST_RECORD, Record, faults
from gateway.resolver.statement import LARGEST, MOST, Registration, canonical, leaves_of
from provisioning.registry.judging import Asked, Wrong

log = logging.getLogger("headgate.registry")

INLINE = 200  # records that are validated where they came in: sending them away costs more


class Validated(NamedTuple):
    """Records in their order, their leaf hashes side by side, and what is wrong; with a fault the others count for nothing."""

    records: list[Asked]
    leaves: bytes
    faults: list[Wrong]


def validate(dumps: Sequence[bytes]) -> Validated:
    """Return what ``dumps`` say."""
    records: list[Asked] = []
    wrong: list[Wrong] = []
    for index, told in enumerate(dumps):
        if len(told) > LONGEST_RECORD:
            wrong.append(Wrong(index, "", "bad-request", f"a record has at most {LONGEST_RECORD} bytes"))
            continue
        try:
            record = Record.model_validate_json(told)
        except ValidationError as error:
            for path, message in faults(error):
                wrong.append(Wrong(index, path, "bad-request", f"{path}: {message}" if path else message))
        else:
            records.append(Asked(record.dump(), record.code, record.status, record.body, record.reason))
    return Validated(records, leaves_of([one.dump for one in records]), wrong)


class Validator:
    """Validates; ``close`` lets its processes go."""

    def __init__(self, processes: int = 1) -> None:
        self._processes = processes
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None
        self._none = False

    async def __call__(self, dumps: Sequence[bytes]) -> Validated:
        """Return what ``dumps`` say."""
        if len(dumps) <= INLINE:
            return validate(dumps)
        if self._pool is None and not self._none:
            context = multiprocessing.get_context("spawn")  # a fork would take this process's threads' locks along
            try:
                self._pool = concurrent.futures.ProcessPoolExecutor(self._processes, context)
            except OSError as error:  # no semaphores where this runs: slower, and right all the same
                self._none = True
                log.warning("records are validated without processes of their own: %s", error)
        if self._pool is None:
            return await asyncio.to_thread(validate, dumps)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, validate, list(dumps))
        except concurrent.futures.BrokenExecutor as error:
            self._pool = None  # the next ones get a new one
            raise Unreachable("a process that validates records died: ask again") from error

    def close(self) -> None:
        """Let the processes go."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def parse_registration(data: bytes) -> Registration:
    """Return the registration in ``{"statement": envelope, "records": [...]}``, or in lines: the envelope, then a record each.

    Raises:
        Corrupt: it is none.
        Refused: it has no records, or too many (``bad-request``).
    """
    if len(data) > LARGEST:
        raise Refused("too-large", f"a registration has at most {LARGEST} bytes", 413)
    head, _, rest = data.partition(b"\n")
    if b'"records"' in head or not rest.strip():
        statement, dumps = _whole(data)
    else:
        statement, dumps = head, [line for line in rest.split(b"\n") if line]
    if not 1 <= len(dumps) <= MOST:
        raise Refused("bad-request", f"1 to {MOST} records at once, here are {len(dumps)}", 422)
    return Registration(canonical(statement), tuple(dumps))


def _whole(data: bytes) -> tuple[bytes, list[bytes]]:
    try:
        told = json.loads(data)
        statement, records = json.dumps(told["statement"]).encode(), list(told["records"])
        return statement, [json.dumps(one, ensure_ascii=False).encode() for one in records]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Corrupt('a registration is {"statement": envelope, "records": [...]}') from error
