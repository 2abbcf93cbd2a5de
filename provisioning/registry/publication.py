"""Keeps what the origin serves as new as the registry: a head at each change, a snapshot now and then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from appliance.runtime.errors import HeadgateError
from gateway.resolver.change import record_in
from gateway.resolver.published import Chunk, Head, Snapshot
from gateway.resolver.records import parse_record
from provisioning.registry import rows
from provisioning.registry.publishing import CHUNK, LARGEST, Publisher, Span, head_is_due, plan, sizes, snapshot_is_due
from provisioning.registry.registry import Registry

PAGE = 10_000  # records read from the database at once

log = logging.getLogger("headgate.registry")


class Publication:
    """Publishes what ``registry`` holds."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._publisher = Publisher(registry.folder, registry.key, registry.name)
        self._one = asyncio.Lock()
        self._snapshots = asyncio.Lock()
        self._told: dict[str, Any] = {}  # what the last head said besides

    async def open(self) -> None:
        """Take up what is published.

        Raises:
            Unreachable: the registry is not open.
        """
        _ = self._registry.ledger
        await asyncio.to_thread(self._publisher.open)

    @property
    def head(self) -> Head | None:
        """What was published last."""
        return self._publisher.head

    @property
    def snapshot(self) -> Snapshot | None:
        """The last snapshot."""
        return self._publisher.snapshot

    async def publish(self, now: datetime) -> Head:
        """Publish tiles, checkpoint and head of all that is in the log; those who come together share the work.

        Raises:
            Refused: the disk is full or failed; what was registered is safe.
        """
        registry = self._registry
        async with self._one:
            told = {
                "services": {code: vars(service) for code, service in registry.services.items()},
                "blocks": [vars(block) for block in registry.blocks],
            }
            last = self._publisher.head
            if last is not None and told == self._told and not head_is_due(last, registry.ledger.size, now):
                return last
            head = await asyncio.to_thread(self._put, told, now)
            self._told = told
        return head

    def _put(self, told: dict[str, Any], now: datetime) -> Head:
        seen = self._registry.ledger.publish()
        head = Head(registry=self._registry.name, size=seen.size, root=seen.root.hex(), made=now, **told)
        self._publisher.put_head(head)
        return head

    async def take_snapshot(self, now: datetime) -> Snapshot | None:
        """Write a snapshot if a good part changed since the last one, and return it; registering goes on meanwhile.

        Raises:
            Unreachable: the database is away.
        """
        registry, publisher = self._registry, self._publisher
        async with self._snapshots:
            if not snapshot_is_due(publisher.snapshot, registry.standing.applied, now):
                return None
            async with registry.begin() as connection:
                await rows.lock(connection)
                size = (await rows.standing(connection)).applied
                if publisher.head is None or publisher.head.size < size:
                    await asyncio.to_thread(registry.ledger.publish)  # its tiles are read below
                changed = await asyncio.to_thread(lambda: set(self._changed(size)))
                chunks: list[Chunk] = []
                for part in plan(publisher.snapshot.chunks if publisher.snapshot else [], changed):
                    chunks += [part] if isinstance(part, Chunk) else await self._write(connection, part)
            root = await asyncio.to_thread(registry.ledger.reading.root, size)
            return await asyncio.to_thread(publisher.put_snapshot, size, root.hex(), now, chunks)

    def _changed(self, size: int) -> Iterator[str]:
        """Yield the codes that changed since the last snapshot."""
        last = self._publisher.snapshot
        if last is not None:
            for data in self._registry.ledger.reading.entries(last.size, size):
                yield parse_record(record_in(data)).code

    async def _write(self, connection: AsyncConnection, span: Span) -> list[Chunk]:
        """Write the chunks of a span."""
        records: list[tuple[str, str]] = []
        chunks: list[Chunk] = []
        after, more = span.after, True
        while more:
            page = await rows.some(connection, after, PAGE, span.until)
            more = len(page) == PAGE
            records += page
            after = page[-1][0] if page else after
            # Whole pieces go at once; what could still become one chunk with the rest waits for it.
            if more and len(records) > LARGEST + PAGE:
                chunks.append(await self._put_chunk(records[:CHUNK]))
                records = records[CHUNK:]
        at = 0
        for count in sizes(len(records)):
            chunks.append(await self._put_chunk(records[at : at + count]))
            at += count
        return chunks

    async def _put_chunk(self, records: Sequence[tuple[str, str]]) -> Chunk:
        return await asyncio.to_thread(self._publisher.put_chunk, records)

    async def run(self, every: float) -> None:
        """Publish for ever, every few seconds; a change is published at once by whoever made it."""
        told = ""
        while True:
            try:
                now = datetime.now(UTC)
                await self.publish(now)
                await self.take_snapshot(now)
                told = ""
            except (HeadgateError, OSError) as error:
                if str(error) != told:  # each fault once
                    log.error("the registry is not published: %s", error)
                told = str(error)
            await asyncio.sleep(every)
