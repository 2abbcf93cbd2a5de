"""What the registry tells of one code, with proof: its newest change, its history, what it meant on a day. Reads the log's files."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

from appliance.journal.note import parse_note
from appliance.journal.proofs import inclusion, leaf_hash
from appliance.journal.verify import Checkpoint, Tree
from appliance.runtime.errors import Corrupt
from gateway.resolver.change import Change, parse_change, record_in
from gateway.resolver.codes import Code
from gateway.resolver.proof import Lookup, Placed, Proof
from gateway.resolver.published import Answer, seal
from gateway.resolver.statement import claimed
from provisioning.registry.publication import Publication
from provisioning.registry.registry import Registry

MOST = 1000  # changes of a history that are told


class Asking:
    """Answers with what ``publication`` published of ``registry``."""

    def __init__(self, registry: Registry, publication: Publication) -> None:
        self._registry, self._publication = registry, publication

    async def lookup(self, code: Code, now: datetime) -> Lookup:
        """Return the newest change of ``code`` with its proof, and the registry's word that it is the newest.

        Raises:
            Unreachable: the database is away.
        """
        number, head = await self._newest(code, now)
        return await asyncio.to_thread(self._lookup, code, number, head, now)

    async def history(self, code: Code, now: datetime) -> list[tuple[int, Change]]:
        """Return the numbers and changes of ``code``, newest first, at most ``MOST``.

        Raises:
            Unreachable: the database is away.
        """
        number, _ = await self._newest(code, now)
        return await asyncio.to_thread(self._history, number)

    async def prove(self, code: Code, on: datetime, now: datetime) -> Proof:
        """Return the proof of what ``code`` meant at ``on``.

        Raises:
            Unreachable: the database is away.
        """
        number, head = await self._newest(code, now)
        return await asyncio.to_thread(self._prove, code, number, on, head, now)

    async def _newest(self, code: Code, now: datetime) -> tuple[int | None, tuple[bytes, Checkpoint]]:
        """Return a published checkpoint and the number of the newest change that it covers."""
        registry, reading = self._registry, self._registry.ledger.reading
        await self._publication.publish(now)
        note = await asyncio.to_thread(reading.checkpoint)
        head = parse_note(note)
        number, applied = await registry.newest(code)
        if applied < head.size:  # the log leads: the database may not have what is published already
            await registry.settle()
            number, _ = await registry.newest(code)
        while number is not None and number > head.size:  # it came after the checkpoint
            await self._publication.publish(now)
            number = parse_change(await asyncio.to_thread(reading.entry, number)).previous
        return number, (note, head)

    def _lookup(self, code: Code, number: int | None, seen: tuple[bytes, Checkpoint], now: datetime) -> Lookup:
        note, head = seen
        placed = self._placed(number, head) if number is not None else None
        return Lookup(
            change=placed.entry if placed else None,
            number=number,
            proof=placed.path if placed else [],
            checkpoint=note.decode(),
            claim=self._claim(code, number, head, now),
        )

    def _history(self, number: int | None) -> list[tuple[int, Change]]:
        found: list[tuple[int, Change]] = []
        while number is not None and len(found) < MOST:
            change = parse_change(self._registry.ledger.reading.entry(number))
            found.append((number, change))
            number = change.previous
        return found

    def _prove(
        self, code: Code, number: int | None, on: datetime, seen: tuple[bytes, Checkpoint], now: datetime
    ) -> Proof:
        note, head = seen
        following: int | None = None
        change: Change | None = None
        while number is not None:
            change = parse_change(self._registry.ledger.reading.entry(number))
            if change.time <= on:
                break
            following, number, change = number, change.previous, None
        statement, path = self._statement(number, change) if number is not None and change else (None, [])
        return Proof(
            code=code.canonical,
            on=on,
            change=self._placed(number, head) if number is not None else None,
            next=self._placed(following, head) if following is not None else None,
            claim=None if following is not None else self._claim(code, number, head, now),
            statement=statement,
            statement_path=path,
            checkpoint=note.decode(),
        )

    def _placed(self, number: int, head: Checkpoint) -> Placed:
        reading = self._registry.ledger.reading
        path = [one.hex() for one in reading.inclusion(number, head.size)]
        return Placed(number=number, entry=reading.entry(number).decode(), path=path)

    def _claim(self, code: Code, number: int | None, head: Checkpoint, now: datetime) -> dict[str, Any]:
        registry = self._registry
        answer = Answer(
            registry=registry.name, code=code.canonical, number=number, size=head.size, root=head.root.hex(), made=now
        )
        return dict(json.loads(seal(answer, registry.key)))

    def _statement(self, number: int, change: Change) -> tuple[dict[str, Any], list[str]]:
        """Return the envelope of a change, and the path from its record to that envelope's root."""
        ledger = self._registry.ledger
        envelope = ledger.statement(change.statement)
        count = claimed(envelope).count
        leaves = ledger.leaves(change.statement)
        if leaves is None:
            first = number - 1 - change.index
            leaves = b"".join(leaf_hash(record_in(one)) for one in ledger.reading.entries(first, first + count))
        tree = Tree()
        tree.add(leaves)
        try:
            path = inclusion(change.index, count, lambda level, at: bytes(tree.levels[level][at * 32 : at * 32 + 32]))
        except (ValueError, IndexError) as error:
            raise Corrupt(f"the statement {change.statement} is not whole") from error
        return dict(json.loads(envelope)), [one.hex() for one in path]
