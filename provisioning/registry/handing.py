"""Registrations that came over a box's spool: judged as if handed in here, and what became of each kept. Touches the database.

A record of the spool is acknowledged only when this is done, so whatever dies in between, the box sends it again; a statement that is in
the log already changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from appliance.runtime.errors import Corrupt, Refused
from appliance.telemetry.records import Record
from gateway.resolver.statement import Registration, canonical
from provisioning.registry.publication import Publication
from provisioning.registry.registry import Registry
from provisioning.registry.tables import handed

LONGEST_TOLD = 1000  # characters
log = logging.getLogger("headgate.registry")


class HandedIn:
    """Takes what boxes hand in."""

    def __init__(self, registry: Registry, publication: Publication) -> None:
        self._registry, self._publication = registry, publication

    async def take(self, box: str, records: Iterable[Record], now: datetime) -> None:
        """Register what ``box`` handed in, each by itself; what is refused is kept with its reason.

        Raises:
            Unreachable: the database is away; what is not done is to be sent again.
        """
        took = False
        for record in records:
            try:
                given = registration_of(record)
            except Corrupt as error:
                log.error("%s handed in what is no registration: %s", box, error)
                await self._keep(record.id, box, now, "bad-request", str(error))
                continue
            async with self._registry.begin() as connection:
                if await _known(connection, given.digest):
                    continue
            reason, told = "", ""
            try:
                done = await self._registry.register(given, now, box=box)
                took = True
                told = f"{done.changed} changed, {done.unchanged} unchanged"
            except (Refused, Corrupt) as error:
                reason = error.reason if isinstance(error, Refused) else "bad-request"
                told = str(error)
                log.warning("%s handed in a registration that is refused: %s (%s)", box, error, reason)
            await self._keep(given.digest, box, now, reason, told)
        if took:
            await self._publication.publish(now)

    async def some(self, box: str | None, most: int) -> list[dict[str, Any]]:
        """Return what boxes, or one of them, handed in, the newest first."""
        query = select(handed).order_by(handed.c.time.desc()).limit(most)
        async with self._registry.begin() as connection:
            rows = await connection.execute(query if box is None else query.where(handed.c.box == box))
            return [dict(row._mapping) for row in rows]

    async def _keep(self, digest: str, box: str, now: datetime, reason: str, told: str) -> None:
        async with self._registry.begin() as connection:
            if not await _known(connection, digest):
                time = now.astimezone(UTC).isoformat()
                row = {"digest": digest, "box": box, "time": time, "reason": reason, "told": told[:LONGEST_TOLD]}
                await connection.execute(insert(handed).values(row))


def registration_of(record: Record) -> Registration:
    """Return the registration in a record of the spool.

    Raises:
        Corrupt: there is none.
    """
    statement, records = record.body.get("statement"), record.body.get("records")
    if not isinstance(statement, str) or not isinstance(records, list) or not records:
        raise Corrupt("it has no statement, or no records")
    if not all(isinstance(one, str) for one in records):
        raise Corrupt("its records are no texts")
    return Registration(canonical(statement.encode()), tuple(one.encode() for one in records))


async def _known(connection: AsyncConnection, digest: str) -> bool:
    return (await connection.execute(select(handed.c.digest).where(handed.c.digest == digest))).first() is not None
