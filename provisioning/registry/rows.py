"""Rows of the registry, many at once, on SQLite and PostgreSQL: one statement a batch. Touches SQLAlchemy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from appliance.runtime.errors import Refused
from provisioning.registry.judging import Block, Known, Service
from provisioning.registry.tables import blocks, handed, identifiers, services, state, statements

_FIND = {
    "sqlite": "SELECT code, status, body, number, signed, document FROM identifiers"
    " WHERE code IN (SELECT value FROM json_each(?))",
    "postgresql": "SELECT code, status, body, number, signed, document FROM identifiers"
    " WHERE code IN (SELECT json_array_elements_text(%s::json))",
}
_INSERT = {
    "sqlite": "INSERT INTO identifiers (code, status, body, number, signed, document) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (code) DO UPDATE SET status = excluded.status, body = excluded.body, number = excluded.number,"
    " signed = excluded.signed, document = excluded.document",
    # A text a column, its values in lines, which no value of ours has inside: ten thousand parameters would cost thirty times as much.
    # A column with fewer lines than another would be filled up with NULL, which no column takes.
    "postgresql": "INSERT INTO identifiers (code, status, body, number, signed, document) SELECT * FROM unnest("
    "string_to_array(%s, E'\\n'), string_to_array(%s, E'\\n'), string_to_array(%s, E'\\n'),"
    " string_to_array(%s, E'\\n')::bigint[], string_to_array(%s, E'\\n'), string_to_array(%s, E'\\n'))"
    " ON CONFLICT (code) DO UPDATE SET status = excluded.status, body = excluded.body, number = excluded.number,"
    " signed = excluded.signed, document = excluded.document",
}

New = tuple[str, str, str, int, str, str]  # a row of ``identifiers``


@dataclass(frozen=True)
class Standing:
    """How far the database has come: changes of the log that it holds, and records."""

    applied: int
    records: int


async def standing(connection: AsyncConnection) -> Standing:
    """Return how far the database has come."""
    row = (await connection.execute(select(state.c.applied, state.c.records))).first()
    return Standing(row.applied, row.records) if row else Standing(0, 0)


async def handed_in(connection: AsyncConnection, box: str | None, most: int) -> list[dict[str, Any]]:
    """Return what boxes, or one of them, handed in and what became of it, the newest first."""
    query = select(handed).order_by(handed.c.time.desc()).limit(most)
    found = await connection.execute(query if box is None else query.where(handed.c.box == box))
    return [{**row._mapping, "told": json.loads(row.told)} for row in found]


async def advance(connection: AsyncConnection, to: Standing) -> None:
    """Say how far it has come."""
    told = {"applied": to.applied, "records": to.records}
    if not (await connection.execute(update(state).values(told))).rowcount:
        await connection.execute(insert(state).values(id=1, **told))


async def known(connection: AsyncConnection, codes: Sequence[str]) -> dict[str, Known]:
    """Return what is known of ``codes``."""
    found = await connection.exec_driver_sql(_FIND[connection.dialect.name], (json.dumps(list(codes)),))
    return {row[0]: _known(row) for row in found}


async def put(connection: AsyncConnection, rows: Sequence[New]) -> None:
    """Write rows, in the place of those with the same codes."""
    if not rows:
        return
    dialect = connection.dialect.name
    if dialect == "sqlite":
        await connection.exec_driver_sql(_INSERT[dialect], list(rows))
    else:
        columns = tuple("\n".join(map(str, column)) for column in zip(*rows, strict=True))
        await connection.exec_driver_sql(_INSERT[dialect], columns)


async def some(connection: AsyncConnection, after: str, most: int, until: str | None = None) -> list[tuple[str, str]]:
    """Return codes and dumps in the order of codes, from the one that follows ``after``, ``until`` included."""
    query = select(identifiers.c.code, identifiers.c.document).where(identifiers.c.code > after)
    if until is not None:
        query = query.where(identifiers.c.code <= until)
    rows = await connection.execute(query.order_by(identifiers.c.code).limit(most))
    return [(row[0], row[1]) for row in rows]


async def keep_statement(connection: AsyncConnection, row: dict[str, object]) -> None:
    """Keep what became of a statement."""
    await connection.execute(insert(statements).values(row))


async def add_changes(connection: AsyncConnection, digest: str, more: int) -> None:
    """Say that more changes of a statement were written."""
    put = update(statements).where(statements.c.digest == digest)
    await connection.execute(put.values(changed=statements.c.changed + more))


async def find_statement(connection: AsyncConnection, digest: str) -> Row[Any] | None:
    """Return what became of a statement, or None."""
    return (await connection.execute(select(statements).where(statements.c.digest == digest))).first()


async def all_services(connection: AsyncConnection) -> dict[str, Service]:
    """Return the services by their codes."""
    rows = await connection.execute(select(services).order_by(services.c.service))
    return {row.service: Service(row.link, row.body, row.name) for row in rows}


async def all_blocks(connection: AsyncConnection) -> tuple[Block, ...]:
    """Return the blocks that were allotted."""
    rows = await connection.execute(select(blocks).order_by(blocks.c.part))
    return tuple(Block(row.part, row.body, row.box) for row in rows)


async def any_code(connection: AsyncConnection, part: str) -> str | None:
    """Return a registered code that begins with ``part``, or None."""
    query = select(identifiers.c.code).where(identifiers.c.code >= part).order_by(identifiers.c.code).limit(1)
    code = await connection.scalar(query)
    return str(code) if code is not None and str(code).startswith(part) else None


async def not_older(
    connection: AsyncConnection, where: ColumnElement[bool], time: ColumnElement[str], now: str
) -> None:
    """Refuse what was signed before that which is known.

    Raises:
        Refused: it was (``older-statement``).
    """
    known = await connection.scalar(select(time).where(where))
    if known is not None and str(known) > now:
        raise Refused("older-statement", f"what is known was signed at {known}, this is older", 409)


async def lock(connection: AsyncConnection) -> None:
    """Begin a look at one instant: what others commit meanwhile is not seen."""
    if connection.dialect.name == "sqlite":
        await connection.exec_driver_sql("BEGIN")
    else:
        await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))


def _known(row: Sequence[Any]) -> Known:
    _, status, body, number, signed, document = row
    return Known(status, body, number, datetime.fromisoformat(signed), document.encode())
