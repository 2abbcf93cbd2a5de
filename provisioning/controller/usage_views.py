"""What was delivered, added up as somebody wants to see it, and a body's statement: read from the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select, text, true
from sqlalchemy.ext.asyncio import AsyncConnection

from provisioning.controller.content_tables import releases
from provisioning.controller.store import Store
from provisioning.controller.tables import usage_days

SORTED_BY = ("day", "body", "release", "zone", "screen", "box")  # what may be told apart
FIGURES = ("requests", "broken", "bytes", "hit_bytes")
MOST = 10_000  # lines of one answer


@dataclass(frozen=True)
class Period:
    """Days (UTC) from ``since`` to ``until``, both included, as in 2026-11-29; empty: without an end."""

    since: str = ""
    until: str = ""


async def show(store: Store, by: Sequence[str], period: Period, **only: str) -> dict[str, Any]:
    """Return what was delivered in a period, told apart ``by`` some of SORTED_BY, of ``only`` these; most bytes first."""
    found = _within(period, **only)
    columns = [usage_days.c[name] for name in by]
    async with store.begin() as connection:
        rows = await _sums(connection, by, found, MOST + 1)
        total = (await _sums(connection, (), found, 1))[0]
        count = len(rows)
        if count > MOST:
            apart = select(*columns).where(found).distinct().subquery()
            count = int(await connection.scalar(select(func.count()).select_from(apart)) or 0)
    return {
        "by": list(by),
        "since": period.since,
        "until": period.until,
        "lines": rows[:MOST],
        "count": count,
        "total": total,
    }


async def statement(store: Store, body: str, period: Period) -> dict[str, Any]:
    """Return the statement of a body over a period: a line for each release, zone and class of screen; lines, days and total agree.

    All of it is read in one transaction.
    """
    found = _within(period, body=body)
    async with store.begin() as connection:
        if connection.dialect.name == "postgresql":
            await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        lines = await _sums(connection, ("release", "zone", "screen"), found, None)
        days = await _sums(connection, ("day",), found, None)
        total = (await _sums(connection, (), found, 1))[0]
        query = select(releases.c.code, releases.c.title).where(releases.c.body == body)
        titles = {row.code: row.title for row in await connection.execute(query)}
    days.sort(key=lambda day: str(day["day"]))
    return {
        "body": body,
        "since": period.since,
        "until": period.until,
        "lines": [{**line, "title": titles.get(line["release"], "")} for line in lines],
        "days": days,
        "total": total,
    }


def _within(period: Period, **only: str) -> ColumnElement[bool]:
    wanted = [true(), *(usage_days.c[name] == value for name, value in only.items() if value)]
    if period.since:
        wanted.append(usage_days.c.day >= period.since)
    if period.until:
        wanted.append(usage_days.c.day <= period.until)
    return and_(*wanted)


async def _sums(
    connection: AsyncConnection, by: Sequence[str], found: ColumnElement[bool], most: int | None
) -> list[dict[str, Any]]:
    columns = [usage_days.c[name] for name in by]
    sums = [func.coalesce(func.sum(usage_days.c[name]), 0).label(name) for name in FIGURES]
    query = select(*columns, *sums).where(found).group_by(*columns)
    query = query.order_by(func.sum(usage_days.c.bytes).desc(), *columns)
    if most is not None:
        query = query.limit(most)
    rows = await connection.execute(query)
    return [{**row._mapping, **{name: int(getattr(row, name)) for name in FIGURES}} for row in rows]
