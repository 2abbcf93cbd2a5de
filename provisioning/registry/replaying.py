"""The log's changes -> rows of the database: after a crash, or where the database was lost."""

from __future__ import annotations

import asyncio
from datetime import UTC
from itertools import groupby

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.resolver.change import Change, parse_change
from gateway.resolver.statement import claimed
from provisioning.registry import rows
from provisioning.registry.ledger import Ledger
from provisioning.registry.rows import New, Standing

TOGETHER = 10_000  # changes of one transaction


async def replay(connection: AsyncConnection, ledger: Ledger, at: Standing) -> Standing:
    """Write the changes behind ``at`` into the database, at most ``TOGETHER`` of them, and return how far that came.

    Raises:
        Corrupt: the log or a statement is damaged.
    """
    end = min(ledger.size, at.applied + TOGETHER)
    changes = await asyncio.to_thread(_read, ledger, at.applied, end)
    latest: dict[str, New] = {}  # a row may be written once in a statement of the database
    for statement, group in groupby(changes, lambda one: one[1].statement):
        told = claimed(await asyncio.to_thread(ledger.statement, statement))
        signed = told.time.astimezone(UTC).isoformat()
        numbered = list(group)
        for number, change in numbered:
            record = change.record
            latest[record.code] = (record.code, record.status, record.body, number, signed, record.dump().decode())
        if await rows.find_statement(connection, statement) is not None:  # a part of it was written before
            await rows.add_changes(connection, statement, len(numbered))
        else:
            await rows.keep_statement(
                connection,
                {
                    "digest": statement,
                    "act": told.act,
                    "body": told.body,
                    "signed": signed,
                    "taken": numbered[0][1].time.astimezone(UTC).isoformat(),
                    "first": numbered[0][0],
                    "changed": len(numbered),
                    "unchanged": 0,
                },
            )
    await rows.put(connection, list(latest.values()))
    added = sum(change.previous is None for _, change in changes)
    after = Standing(end, at.records + added)
    await rows.advance(connection, after)
    return after


def _read(ledger: Ledger, start: int, end: int) -> list[tuple[int, Change]]:
    return [(number, parse_change(data)) for number, data in enumerate(ledger.reading.entries(start, end), start + 1)]
