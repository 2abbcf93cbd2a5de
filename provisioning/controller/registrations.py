"""Registrations that boxes hand in as records: stored and acknowledged like any other, then taken into the registry, and answered.

Each is taken once, in the order in which it came; one that the registry refuses is kept with its faults, and its box is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from appliance.runtime.errors import Corrupt, Refused, Unreachable
from appliance.telemetry.records import to_json, written
from provisioning.controller.store import Store
from provisioning.controller.tables import records
from provisioning.registry.judging import RegistrationRefused
from provisioning.registry.publication import Publication
from provisioning.registry.registry import Registered, Registry
from provisioning.registry.tables import handed, inbox
from provisioning.registry.validating import parse_registration

KIND = "registration"
TOGETHER = 100  # records looked at in one transaction
MOST_FAULTS = 50  # told to a box
AGAIN = 5.0  # seconds until a database that was away is asked again
ANYWAY = 30.0  # seconds until it is looked for some that nobody told of
LONGEST = 300  # characters of a sentence

log = logging.getLogger("headgate.controller")


@dataclass(frozen=True)
class Waiting:
    """A registration that a box handed in: its number among the records, whose, and what."""

    number: int
    box: str
    body: str


class Registrations:
    """Takes what boxes hand in; ``answer(box, payload)`` tells the box what became of it."""

    def __init__(
        self, store: Store, registry: Registry, publication: Publication, answer: Callable[[str, bytes], None]
    ) -> None:
        self._store, self._registry, self._publication, self._answer = store, registry, publication, answer
        self._some = asyncio.Event()
        self._some.set()  # what came before this process did

    def look(self) -> None:
        """Say that a registration may have come."""
        self._some.set()

    async def run(self) -> None:
        """Take them for ever."""
        while True:
            with contextlib.suppress(TimeoutError):  # another controller on this database may have stored some
                async with asyncio.timeout(ANYWAY):
                    await self._some.wait()
            self._some.clear()
            try:
                while await self.take():
                    pass
            except Unreachable as error:
                log.error("registrations of boxes wait: %s", error)
                await asyncio.sleep(AGAIN)
                self._some.set()

    async def take(self) -> int:
        """Take the next ones and return how many these were.

        Raises:
            Unreachable: a database is away; they stay where they are.
        """
        async with self._store.begin() as connection:
            waiting = await _next(connection)
        for one in waiting:
            now = datetime.now(UTC)
            told = await self._outcome(one, now)
            async with self._store.begin() as connection:
                if told["statement"]:
                    await connection.execute(
                        self._store.insert(handed)
                        .values(
                            digest=told["statement"],
                            box=one.box,
                            time=written(now),
                            reason=told["reason"],
                            told=json.dumps(told, ensure_ascii=False),
                        )
                        .on_conflict_do_nothing()
                    )
                await _advance(connection, one.number)
            self._answer(one.box, to_json(told))
        if waiting:
            await self._publication.publish(datetime.now(UTC))
        return len(waiting)

    async def _outcome(self, one: Waiting, now: datetime) -> dict[str, Any]:
        """Register it, and return what its box is told."""
        digest = ""
        try:
            registration = parse_registration(one.body.encode())
            digest = registration.digest
            done = await self._registry.register(registration, now, mode="good", box=one.box)
        except RegistrationRefused as error:
            log.warning("a registration of %s is refused: %s", one.box, error)
            return _became(Registered(digest, 0, 0, error.faults), error.reason, str(error))
        except (Refused, Corrupt) as error:
            if isinstance(error, Refused) and error.status >= 500:  # the disk: it is none of the box's faults
                raise Unreachable(str(error)) from error
            log.warning("a registration of %s is passed over: %s", one.box, error)
            reason = error.reason if isinstance(error, Refused) else "corrupt"
            return _became(Registered(digest, 0, 0), reason, str(error))
        return _became(done, "", "")


def _became(done: Registered, reason: str, error: str) -> dict[str, Any]:
    faults = [{"index": w.index, "reason": w.reason, "message": w.message[:LONGEST]} for w in done.faults[:MOST_FAULTS]]
    return {
        "statement": done.statement,
        "reason": reason,
        "error": error[:LONGEST],
        "changed": done.changed,
        "unchanged": done.unchanged,
        "faults": faults,
    }


async def _next(connection: AsyncConnection) -> list[Waiting]:
    last = await connection.scalar(select(inbox.c.number)) or 0
    query = select(records.c.number, records.c.box, records.c.body)
    query = query.where(records.c.kind == KIND, records.c.number > last).order_by(records.c.number).limit(TOGETHER)
    return [Waiting(*row) for row in await connection.execute(query)]


async def _advance(connection: AsyncConnection, number: int) -> None:
    if not (await connection.execute(update(inbox).values(number=number))).rowcount:
        await connection.execute(insert(inbox).values(id=1, number=number))
