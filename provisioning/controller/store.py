"""The controller's database: SQLite or PostgreSQL, the same statements for both. Touches SQLAlchemy and Alembic."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Table, delete, event, func, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from appliance.runtime.errors import Unreachable
from appliance.telemetry.sparkplug import Value
from monitoring.overview import Refusal, Used
from provisioning.controller import content, ingest
from provisioning.controller.tables import audits, box_metrics, boxes, counts, damaged, records, usage, usage_days
from provisioning.registry.tables import state

REFUSED = "refuse"  # an audit's decision that is shown
_MIGRATING = 0x68656164  # any number, the same in all controllers: PostgreSQL's lock for the migration


@dataclass(frozen=True)
class KnownBox:
    """What is kept of a box between two runs of the controller; times by RFC 3339."""

    site: str
    last_seen: str
    agreement: str
    agreement_since: str
    metrics: Mapping[str, Value]


class Store:
    """The database at an SQLAlchemy URL."""

    def __init__(self, url: str) -> None:
        self.engine = engine(url)
        self.insert = sqlite.insert if self.engine.dialect.name == "sqlite" else postgresql.insert

    async def open(self) -> None:
        """Bring the schema to the newest step.

        Raises:
            Unreachable: the database is away.
        """
        async with self.begin() as connection:
            if self.engine.dialect.name == "postgresql":
                await connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATING})"))
            await connection.run_sync(_migrate)

    async def close(self) -> None:
        """Let all connections go."""
        await self.engine.dispose()

    async def save(self, deliveries: Iterable[ingest.Delivery], received: str) -> int:
        """Store what deliveries carry, each record once, in one transaction; return how many records were new.

        Raises:
            Unreachable: the database is away; nothing was stored.
        """
        new_total = 0
        async with self.begin() as connection:
            # In the order of the boxes' names, so that two controllers on one database never wait for each other in a ring.
            for delivery in sorted(deliveries, key=lambda one: one.box):
                new_total += await self._save(connection, delivery, received)
        return new_total

    async def _save(self, connection: AsyncConnection, delivery: ingest.Delivery, received: str) -> int:
        box = delivery.box
        await self._know(connection, box, received)
        if delivery.damaged:
            rows = [
                {"box": box, "id": one.id, "received": received, "fault": one.fault[:300]}
                for one in delivery.damaged
                if one.id is not None
            ]
            if rows:
                await connection.execute(self.insert(damaged).on_conflict_do_nothing(), rows)
        if not delivery.items:
            return 0
        wanted = self.insert(records).on_conflict_do_nothing().returning(records.c.id)
        stored = await connection.execute(wanted, [ingest.row(box, item, received) for item in delivery.items])
        new = frozenset(stored.scalars())
        fresh = [item.record for item in delivery.items if item.record.id in new]
        for kind in sorted({record.kind for record in fresh}):
            await self._add(
                connection, counts, {"box": box, "kind": kind}, {"records": sum(r.kind == kind for r in fresh)}
            )
        for release, counted in sorted(ingest.usage(fresh).items()):
            await self._add(connection, usage, {"box": box, "release": release}, vars(counted))
        for day, delivered in sorted(ingest.usage_days(fresh).items()):
            await self._add(connection, usage_days, {"box": box, **day._asdict()}, delivered._asdict())
        rows = [
            {
                "box": box,
                "id": record.id,
                "time": record.told()["time"],
                "source": record.source,
                **vars(told),
            }
            for record in fresh
            if (told := ingest.audit(record)) is not None
        ]
        if rows:
            await connection.execute(audits.insert(), rows)
        await content.keep(connection, self.insert, box, fresh)
        return len(fresh)

    async def remember(
        self, site: str, metrics: Mapping[str, Value], now: str, *, whole: bool, agreement: str, since: str
    ) -> None:
        """Keep what a box told of its state; ``whole`` drops what it did not tell.

        Raises:
            Unreachable: the database is away.
        """
        async with self.begin() as connection:
            await self._know(connection, site, now, agreement=agreement, agreement_since=since)
            if whole:
                await connection.execute(delete(box_metrics).where(box_metrics.c.box == site))
            rows = [
                {"box": site, "name": name, "value": json.dumps(value), "time": now}
                for name, value in metrics.items()
                if not isinstance(value, bytes)
            ]
            if rows:
                put = self.insert(box_metrics)
                changed = {"value": put.excluded.value, "time": put.excluded.time}
                await connection.execute(put.on_conflict_do_update(index_elements=["box", "name"], set_=changed), rows)

    async def known(self) -> list[KnownBox]:
        """Return all boxes that ever spoke."""
        async with self.begin() as connection:
            metrics: dict[str, dict[str, Value]] = {}
            for site, name, value in await connection.execute(
                select(box_metrics.c.box, box_metrics.c.name, box_metrics.c.value)
            ):
                metrics.setdefault(site, {})[name] = json.loads(value)
            rows = await connection.execute(select(boxes).order_by(boxes.c.site))
            return [
                KnownBox(row.site, row.last_seen, row.agreement, row.agreement_since, metrics.get(row.site, {}))
                for row in rows
            ]

    async def usage(self) -> list[tuple[str, Used]]:
        """Return what was delivered, by box and release."""
        async with self.begin() as connection:
            rows = await connection.execute(select(usage))
            return [(row.box, Used(row.release, row.requests, row.bytes, row.hits, row.misses)) for row in rows]

    async def record_counts(self) -> dict[str, dict[str, int]]:
        """Return how many records are stored, by box and kind."""
        async with self.begin() as connection:
            result: dict[str, dict[str, int]] = {}
            for box, kind, number in await connection.execute(select(counts.c.box, counts.c.kind, counts.c.records)):
                result.setdefault(box, {})[kind] = number
            return result

    async def refusals(self, limit: int) -> list[Refusal]:
        """Return the last refusals, newest first."""
        query = select(audits).where(audits.c.decision == REFUSED)
        async with self.begin() as connection:
            rows = await connection.execute(query.order_by(audits.c.time.desc(), audits.c.number.desc()).limit(limit))
            return [Refusal(row.box, row.time, row.source, row.reason, row.told) for row in rows]

    async def reasons(self) -> dict[str, int]:
        """Return how many refusals there were, by reason."""
        query = select(audits.c.reason, func.count()).where(audits.c.decision == REFUSED).group_by(audits.c.reason)
        async with self.begin() as connection:
            return {row[0]: row[1] for row in await connection.execute(query)}

    async def events(self) -> dict[tuple[str, str], int]:
        """Return how many events there were, by box and what happened."""
        query = select(audits.c.box, audits.c.reason, func.count()).where(audits.c.decision == ingest.EVENT)
        async with self.begin() as connection:
            rows = await connection.execute(query.group_by(audits.c.box, audits.c.reason))
            return {(row[0], row[1]): row[2] for row in rows}

    async def identifiers(self) -> int:
        """Return how many identifiers the registry holds."""
        async with self.begin() as connection:
            return int(await connection.scalar(select(state.c.records)) or 0)

    async def find_records(
        self, box: str | None, kind: str | None, before: int | None, limit: int
    ) -> list[dict[str, Any]]:
        """Return records, newest first; ``before`` is the ``number`` of the last one of the page before."""
        query = select(records).order_by(records.c.number.desc()).limit(limit)
        for column, value in ((records.c.box, box), (records.c.kind, kind)):
            if value:
                query = query.where(column == value)
        if before is not None:
            query = query.where(records.c.number < before)
        async with self.begin() as connection:
            return [{**row._mapping, "body": json.loads(row.body)} for row in await connection.execute(query)]

    async def _know(self, connection: AsyncConnection, site: str, now: str, **more: str) -> None:
        put = self.insert(boxes).values(
            site=site, first_seen=now, last_seen=now, **({"agreement": "unknown", "agreement_since": ""} | more)
        )
        await connection.execute(
            put.on_conflict_do_update(index_elements=["site"], set_={"last_seen": put.excluded.last_seen, **more})
        )

    async def _add(
        self, connection: AsyncConnection, table: Table, key: Mapping[str, str], more: Mapping[str, int]
    ) -> None:
        put = self.insert(table).values(**key, **more)
        sums = {name: table.c[name] + put.excluded[name] for name in more}
        await connection.execute(put.on_conflict_do_update(index_elements=list(key), set_=sums))

    @contextlib.asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Hold a transaction, committed at the end.

        Raises:
            Unreachable: the database is away.
        """
        try:
            async with self.engine.begin() as connection:
                yield connection
        except (OperationalError, InterfaceError) as error:
            raise Unreachable(f"the database is away: {error.orig}") from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise Unreachable(f"the database went away: {error.orig}") from error
            raise
        except OSError as error:
            raise Unreachable(f"the database cannot be opened: {error}") from error


def engine(url: str) -> AsyncEngine:
    """Return the engine for an SQLAlchemy URL; commits survive a power cut."""
    if not url.startswith("sqlite"):
        return create_async_engine(url, pool_pre_ping=True, pool_size=5)
    file = make_url(url).database
    if file:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
    made = create_async_engine(url, connect_args={"timeout": 15})

    @event.listens_for(made.sync_engine, "connect")
    def _settings(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        # An acknowledgement follows each commit: WAL's default of not syncing would lose what a box has already forgotten.
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return made


def _migrate(connection: Connection) -> None:
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    settings.attributes["connection"] = connection
    command.upgrade(settings, "head")
