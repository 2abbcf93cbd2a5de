"""The registry of identifiers: what is registered, and the signed table that boxes fetch."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from appliance.identity import envelope
from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Corrupt, Refused, Unreachable
from appliance.runtime.files import write_atomic
from gateway.resolver.codes import Code
from gateway.resolver.records import KIND, MOST_RECORDS, Record, Snapshot, parse_record, parse_snapshot
from provisioning.registry.tables import identifiers, published

FILE = "identifiers.json"  # in the registry's folder, which the origin serves as /registry/
AGAIN = timedelta(
    hours=6
)  # a table is made anew after this even if nothing changed, so that boxes can tell a stale one


@dataclass(frozen=True)
class Wrong:
    """One fault of a registration: which record of the request, where in it, which word, and the sentence."""

    index: int
    path: str
    reason: str
    message: str


class RegistrationRefused(Refused):
    """Records of a request may not be registered; ``faults`` holds every one of them, and none was registered."""

    def __init__(self, faults: Sequence[Wrong]) -> None:
        self.faults = tuple(faults)
        first = faults[0]
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(first.reason, first.message + more, 422)


@dataclass(frozen=True)
class Registered:
    """How many records a registration added or changed, and how many were there already."""

    changed: int
    unchanged: int


@dataclass(frozen=True)
class Published:
    """The table in the registry's folder; ``fresh`` tells whether it is a new one."""

    serial: int
    count: int
    fresh: bool


class Registry:
    """The authoritative table in a SQL database (SQLite or PostgreSQL; the schema is made by the controller's migrations).

    ``bodies`` tells body -> leading parts of the canonical codes it may register, as in a site's policy, and is asked each time; without
    it any body may register any code. One process publishes into a folder.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        key: PrivateKey,
        folder: Path,
        *,
        name: str = "centre",
        bodies: Callable[[], Mapping[str, Sequence[str]]] | None = None,
    ) -> None:
        self._engine, self._key, self._folder, self._name, self._bodies = engine, key, folder, name, bodies
        self._one = asyncio.Lock()  # one change or publication at a time: serials follow each other

    async def register(self, records: Sequence[Record], now: datetime) -> Registered:
        """Register ``records``, all of them or none; one that is there already with the same content changes nothing.

        Raises:
            RegistrationRefused: with every fault: ``outside-identifiers``, ``not-admitted``, ``other-body``, ``withdrawn``, ``twice``.
        """
        async with self._one, self._begin() as connection:
            known = await _known(connection, [record.code for record in records])
            faults = [wrong for index, record in enumerate(records) for wrong in self._faults(index, record, known)]
            seen: set[str] = set()
            for index, record in enumerate(records):
                if record.code in seen:
                    faults.append(Wrong(index, "code", "twice", f"{record.code} is in the request twice"))
                seen.add(record.code)
            if faults:
                raise RegistrationRefused(faults)
            fresh = [record for record in records if known.get(record.code) != record]
            for record in fresh:
                await _put(connection, record, now, replace=record.code in known)
        return Registered(len(fresh), len(records) - len(fresh))

    async def withdraw(self, code: Code, reason: str, now: datetime) -> Record:
        """Withdraw ``code`` and return its record; a withdrawn code stays withdrawn, with its first reason.

        Raises:
            Refused: it is not registered (``unknown-code``).
        """
        async with self._one, self._begin() as connection:
            record = (await _known(connection, [code.canonical])).get(code.canonical)
            if record is None:
                raise Refused("unknown-code", f"{code} is not registered", 404)
            if record.status != "withdrawn":
                record = Record.model_validate(record.model_dump() | {"status": "withdrawn", "reason": reason})
                await _put(connection, record, now, replace=True)
            return record

    async def get(self, code: Code) -> Record | None:
        """Return the record of ``code``, or None."""
        async with self._begin() as connection:
            return (await _known(connection, [code.canonical])).get(code.canonical)

    async def some(self, after: str = "", most: int = 100) -> list[Record]:
        """Return at most ``most`` records in the order of their codes, from the one that follows ``after``."""
        query = (
            select(identifiers.c.document).where(identifiers.c.code > after).order_by(identifiers.c.code).limit(most)
        )
        async with self._begin() as connection:
            return [parse_record(document.encode()) for (document,) in await connection.execute(query)]

    async def publish(self, now: datetime) -> Published:
        """Write the signed table into the folder as ``identifiers.json`` if anything changed, or the last is hours old.

        The serial only grows, also when the database is older than the file (a restored backup).
        """
        async with self._one, self._begin() as connection:
            records = await _all(connection)
            digest = hashlib.sha256(b"\n".join(record.dump() for record in records)).hexdigest()
            last = (await connection.execute(select(published).where(published.c.id == 1))).first()
            there = self._there()
            if (
                last is not None
                and there == last.serial
                and last.digest == digest
                and now - datetime.fromisoformat(last.made) < AGAIN
            ):
                return Published(there, len(records), fresh=False)
            serial = max(last.serial if last is not None else 0, there) + 1
            payload = Snapshot(registry=self._name, serial=serial, made=now, records=records).dump()
            row = {"id": 1, "serial": serial, "digest": digest, "made": now.isoformat()}
            await connection.execute(delete(published).where(published.c.id == 1))
            await connection.execute(insert(published).values(row))
            # Before the commit: if the power goes now, the next publication reads the file's serial and goes beyond it.
            sealed = await asyncio.to_thread(envelope.seal, payload, KIND, self._key)
            self._folder.mkdir(parents=True, exist_ok=True)
            await asyncio.to_thread(write_atomic, self._folder / FILE, sealed)
        return Published(serial, len(records), fresh=True)

    @contextlib.asynccontextmanager
    async def _begin(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection in one transaction; Unreachable where the database is away."""
        try:
            async with self._engine.begin() as connection:
                yield connection
        except (OperationalError, InterfaceError) as error:
            raise Unreachable(f"the registry's database is away: {error.orig}") from error

    def _there(self) -> int:
        """Return the serial of the file in the folder, 0 where there is none of ours."""
        try:
            data = (self._folder / FILE).read_bytes()
            return parse_snapshot(envelope.open_sealed(data, KIND, [self._key.public])[0]).serial
        except (FileNotFoundError, Corrupt, Refused):
            return 0

    def _faults(self, index: int, record: Record, known: Mapping[str, Record]) -> list[Wrong]:
        found = []
        admitted = self._bodies() if self._bodies is not None else {record.body: [""]}
        if record.body not in admitted:
            found.append(Wrong(index, "body", "not-admitted", f"body '{record.body}' is not admitted"))
        elif not any(record.code.startswith(part) for part in admitted[record.body]):
            told = f"{record.code} is outside the identifiers of '{record.body}'"
            found.append(Wrong(index, "code", "outside-identifiers", told))
        before = known.get(record.code)
        if before is not None and before.body != record.body:
            found.append(Wrong(index, "body", "other-body", f"{record.code} belongs to '{before.body}'"))
        if before is not None and before.status == "withdrawn" and before != record:
            found.append(Wrong(index, "status", "withdrawn", f"{record.code} was withdrawn and stays so"))
        if record.status == "withdrawn" and before != record:
            told = "registering cannot withdraw: DELETE /api/identifiers/CODE does, with a reason"
            found.append(Wrong(index, "status", "bad-request", told))
        return found


async def _known(connection: AsyncConnection, codes: Sequence[str]) -> dict[str, Record]:
    found = {}
    for start in range(0, len(codes), 500):  # databases bound the number of parameters
        query = select(identifiers.c.document).where(identifiers.c.code.in_(codes[start : start + 500]))
        for (document,) in await connection.execute(query):
            record = parse_record(document.encode())
            found[record.code] = record
    return found


async def _all(connection: AsyncConnection) -> list[Record]:
    query = select(identifiers.c.document).limit(MOST_RECORDS + 1)
    records = [parse_record(document.encode()) for (document,) in await connection.execute(query)]
    if len(records) > MOST_RECORDS:
        raise Refused("too-many", f"a table holds at most {MOST_RECORDS} identifiers", 507)
    return sorted(records, key=lambda record: record.code)


async def _put(connection: AsyncConnection, record: Record, now: datetime, *, replace: bool) -> None:
    row = {
        "code": record.code,
        "status": record.status,
        "title": record.title,
        "body": record.body,
        "document": record.dump().decode(),
        "changed": now.isoformat(),
    }
    if replace:
        await connection.execute(update(identifiers).where(identifiers.c.code == record.code).values(row))
    else:
        await connection.execute(insert(identifiers).values(row))
