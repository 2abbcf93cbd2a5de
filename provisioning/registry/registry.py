"""The registry of identifiers: what bodies sign is judged, written to the log, and from there into the database.

The log leads. What is durable there counts; a database that is behind, after a crash or out of a backup, is brought up from it, and one
that is ahead of it is told, because then the log was rewound.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from appliance.identity.keys import PrivateKey, PublicKey
from appliance.runtime.errors import Corrupt, Refused, Unreachable
from gateway.resolver.change import entry
from gateway.resolver.codes import Code
from gateway.resolver.records import Record, parse_record
from gateway.resolver.statement import Registration, Statement, claimed, open_statement, root_of
from provisioning.registry import replaying, rows
from provisioning.registry.judging import (
    Batch,
    Block,
    Judged,
    Known,
    Mode,
    RegistrationRefused,
    Rules,
    Service,
    Wrong,
    judge,
)
from provisioning.registry.ledger import Ledger
from provisioning.registry.rows import Standing
from provisioning.registry.validating import Validated, Validator

EARLY = timedelta(minutes=5)  # a statement may be so far ahead of the registry's clock
log = logging.getLogger("headgate.registry")


@dataclass(frozen=True)
class Registered:
    """What became of a registration: changes in the log, records that were there already, and those that were left out."""

    statement: str  # digest of the envelope
    changed: int
    unchanged: int
    faults: tuple[Wrong, ...] = ()
    first: int | None = None  # number of the first change in the log
    again: bool = False  # it was taken before


class Registry:
    """The authoritative table; one process a folder.

    ``rules`` tells who may register what, without services and blocks, and is asked each time: it may change while we run.
    """

    def __init__(
        self, engine: AsyncEngine, key: PrivateKey, folder: Path, rules: Callable[[], Rules], *, name: str = "centre"
    ) -> None:
        self.name, self.key, self.folder = name, key, folder
        self._engine, self._rules = engine, rules
        self._one = asyncio.Lock()  # one change at a time: numbers follow each other
        self._validate = Validator()
        self._ledger: Ledger | None = None
        self.standing = Standing(0, 0)
        self.services: dict[str, Service] = {}
        self.blocks: tuple[Block, ...] = ()

    @property
    def ledger(self) -> Ledger:
        """The log; ``open`` opened it."""
        if self._ledger is None:
            raise Unreachable("the registry is not open")
        return self._ledger

    async def open(self) -> None:
        """Open the log, and bring the database up to it.

        Raises:
            Corrupt: the log was rewound or altered.
            Unreachable: the database is away, or another process writes the log.
        """
        self._ledger = await asyncio.to_thread(Ledger, self.folder, self.key, self.name)
        try:
            async with self._one:
                await self._catch_up()
            async with self.begin() as connection:
                self.services, self.blocks = await rows.all_services(connection), await rows.all_blocks(connection)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let the log and the processes go."""
        self._validate.close()
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def rules(self) -> Rules:
        """Return who may register what, now."""
        return replace(self._rules(), services=self.services, blocks=self.blocks)

    async def register(
        self, registration: Registration, now: datetime, *, mode: Mode = "all", box: str = "", dry: bool = False
    ) -> Registered:
        """Register what a statement signs, or withdraw it: all of it or nothing, or all that may be; durable when it returns.

        The same statement again changes nothing and is answered as the first time. ``box`` handed it in; ``dry`` only judges.

        Raises:
            RegistrationRefused: with every fault; ``not-admitted``, ``not-signed``, ``wrong-root``, ``wrong-time`` are of the whole.
            Unreachable: the database is away. What is in the log then counts all the same: ask again.
        """
        checked = await self._validate(registration.dumps)
        statement = self._statement(registration, checked, now)
        async with self._one:
            await self._catch_up()
            if before := await self.became(registration.digest):
                return before
            async with self.begin() as connection:
                known = await rows.known(connection, [one.code for one in checked.records])
            batch = Batch(statement.act, statement.body, statement.time, checked.records, box)
            judged = judge(batch, known, self.rules())
            if judged.faults and (mode == "all" or not (judged.changed or judged.unchanged)):
                raise RegistrationRefused(judged.faults)
            done = Registered(registration.digest, len(judged.changed), judged.unchanged, judged.faults)
            if dry or not judged.changed:
                return done
            return await self._write(registration, statement, checked, known, judged, done, now)

    async def get(self, code: Code) -> Known | None:
        """Return how a code stands, or None."""
        async with self.begin() as connection:
            return (await rows.known(connection, [code.canonical])).get(code.canonical)

    async def newest(self, code: Code) -> tuple[int | None, int]:
        """Return the number of the newest change of ``code`` in the database, and how many changes that holds."""
        async with self.begin() as connection:
            await rows.lock(connection)
            known = (await rows.known(connection, [code.canonical])).get(code.canonical)
            return known.number if known else None, (await rows.standing(connection)).applied

    async def became(self, digest: str) -> Registered | None:
        """Return what became of the statement, or None where nothing of it is in the log."""
        async with self.begin() as connection:
            found = await rows.find_statement(connection, digest)
        if found is None:
            return None
        return Registered(found.digest, found.changed, found.unchanged, (), found.first, again=True)

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Hold the registry: nothing is registered meanwhile."""
        async with self._one:
            await self._catch_up()
            yield

    async def settle(self) -> None:
        """Wait until the database has what was in the log when this was asked.

        Raises:
            Unreachable: it is away.
        """
        async with self._one:
            await self._catch_up()

    async def some(self, after: str = "", most: int = 100) -> list[Record]:
        """Return at most ``most`` records in the order of their codes, from the one that follows ``after``."""
        async with self.begin() as connection:
            found = await rows.some(connection, after, most)
        return [parse_record(dump.encode()) for _, dump in found]

    @contextlib.asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection in one transaction.

        Raises:
            Unreachable: the database is away.
        """
        try:
            async with self._engine.begin() as connection:
                yield connection
        except (OperationalError, InterfaceError) as error:
            raise Unreachable(f"the registry's database is away: {error.orig}") from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise Unreachable(f"the registry's database went away: {error.orig}") from error
            raise

    def _statement(self, registration: Registration, checked: Validated, now: datetime) -> Statement:
        """Return the statement once somebody who may signed it, and it is of these records."""
        if checked.faults:
            raise RegistrationRefused(checked.faults)
        said = claimed(registration.envelope)
        rules = self.rules()
        admitted = rules.bodies.get(said.body)
        keys: Sequence[PublicKey] = admitted.keys if admitted else ()
        if said.act == "withdraw":
            keys = [*keys, *rules.operators]
        elif admitted is None:
            raise _whole("not-admitted", f"body '{said.body}' is not admitted")
        try:
            statement = open_statement(registration.envelope, keys)
        except Refused as error:
            raise _whole(error.reason, f"no key of '{said.body}' signed this") from error
        if statement.count != len(checked.records) or statement.root != root_of(checked.leaves):
            raise _whole("wrong-root", "the statement is of other records than these")
        if statement.time > now + EARLY:
            raise _whole("wrong-time", f"it is signed at {statement.time.isoformat()}, which is not yet")
        return statement

    async def _write(
        self,
        registration: Registration,
        statement: Statement,
        checked: Validated,
        known: dict[str, Known],
        judged: Judged,
        done: Registered,
        now: datetime,
    ) -> Registered:
        """Write statement, log and database, in this order."""
        ledger, digest, time = self.ledger, registration.digest, now.astimezone(UTC).isoformat()
        first = ledger.size + 1
        signed = statement.time.astimezone(UTC).isoformat()
        entries, fresh, added = [], [], 0
        for number, index in enumerate(judged.changed, first):
            asked = checked.records[index]
            before = known.get(asked.code)
            added += before is None
            entries.append(entry(asked.dump, digest, index, time, before.number if before else None))
            fresh.append((asked.code, asked.status, asked.body, number, signed, asked.dump.decode()))
        leaves = None if len(judged.changed) == len(checked.records) else checked.leaves
        await asyncio.to_thread(ledger.keep, digest, registration.envelope, leaves)
        await asyncio.to_thread(ledger.append, entries)
        before_all = self.standing
        after = Standing(first - 1 + len(entries), before_all.records + added)
        async with self.begin() as connection:
            await rows.put(connection, fresh)
            await rows.keep_statement(
                connection,
                {
                    "digest": digest,
                    "act": statement.act,
                    "body": statement.body,
                    "signed": signed,
                    "taken": time,
                    "first": first,
                    "changed": len(entries),
                    "unchanged": judged.unchanged,
                },
            )
            await rows.advance(connection, after)
        self.standing = after
        return replace(done, first=first)

    async def _catch_up(self) -> None:
        """Bring the database up to the log."""
        ledger = self.ledger
        if self.standing.applied == ledger.size != 0:
            return
        async with self.begin() as connection:
            self.standing = await rows.standing(connection)
        if self.standing.applied > ledger.size:
            told = f"the database holds {self.standing.applied} changes, the log only {ledger.size}: it was rewound"
            raise Corrupt(told)
        if self.standing.applied == ledger.size:
            return
        log.warning("the database is brought up from the log: %d of %d changes", self.standing.applied, ledger.size)
        await asyncio.to_thread(ledger.publish)
        while self.standing.applied < ledger.size:
            async with self.begin() as connection:
                after = await replaying.replay(connection, ledger, self.standing)
            self.standing = after


def _whole(reason: str, sentence: str) -> RegistrationRefused:
    return RegistrationRefused([Wrong(-1, "", reason, sentence)], 403)
