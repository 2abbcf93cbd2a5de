"""Which codes name a code, and how many codes there are of each scheme: follows the log, apart from registering."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from appliance.runtime.errors import Corrupt, Unreachable
from gateway.resolver.change import record_in
from provisioning.registry.publication import Publication
from provisioning.registry.registry import Registry
from provisioning.registry.tables_links import followed, links, schemes

STEP = 2000  # changes of one transaction
EVERY = 1.0  # seconds between two looks at the log; between two steps of many only PAUSE
PAUSE = 0.05  # seconds that registering has for itself between two steps
TOGETHER = 500  # codes of one question: databases bound the number of parameters
log = logging.getLogger("headgate.registry.links")

Links = tuple[tuple[str, str], ...]  # (type, the code at the other end)


@dataclass(frozen=True)
class Seen:
    """How far the log was followed."""

    applied: int
    links: int
    schemes: dict[str, int]  # scheme -> codes that were ever registered


class Backlinks:
    """The links of ``registry`` by their targets, as far as ``publication`` published its log."""

    def __init__(self, registry: Registry, publication: Publication) -> None:
        self._registry, self._publication = registry, publication
        self._one = asyncio.Lock()

    async def follow(self) -> int:
        """Take the next changes in, and return how many are still to come.

        Raises:
            Corrupt: the log is damaged.
            Unreachable: the database is away.
        """
        head = self._publication.head
        size = head.size if head is not None else 0
        async with self._one, self._registry.begin() as connection:
            at = await _seen(connection)
            if at.applied > size:  # the log is another one: begin anew
                await connection.execute(delete(links))
                await connection.execute(delete(schemes))
                at = Seen(0, 0, {})
            end = min(size, at.applied + STEP)
            if end > at.applied or at.applied == 0:
                read = await asyncio.to_thread(self._read, at.applied, end)
                count = at.links + await _put(connection, read.links)
                await _advance(connection, end, count)
                for scheme, more in read.fresh.items():
                    await _count(connection, scheme, at.schemes, more)
        return size - end

    def _read(self, start: int, end: int) -> _Read:
        read = _Read({}, Counter())
        for entry in self._registry.ledger.reading.entries(start, end):
            record = json.loads(record_in(entry))
            code = str(record["code"])
            named = record.get("links", []) if record["status"] != "withdrawn" else []
            read.links[code] = tuple(dict.fromkeys((str(link["type"]), str(link["target"])) for link in named))
            if b',"previous":' not in entry[:64]:
                read.fresh[code.partition(":")[0]] += 1
        return read

    async def run(self) -> None:
        """Follow the log for ever."""
        while True:
            try:
                left = await self.follow()
            except (Corrupt, Unreachable) as error:
                log.error("links are not followed: %s", error)
                left = 0
            await asyncio.sleep(PAUSE if left else EVERY)

    async def seen(self) -> Seen:
        """Return how far the log was followed, and what is counted."""
        async with self._registry.begin() as connection:
            return await _seen(connection)

    async def naming(self, codes: Collection[str], most: int) -> dict[str, Links]:
        """Return of each code who names it, as (type, source), at most ``most`` of each."""
        found: dict[str, Links] = {}
        async with self._registry.begin() as connection:
            for code in codes:
                query = select(links.c.type, links.c.source).where(links.c.target == code)
                rows = await connection.execute(query.order_by(links.c.type, links.c.source).limit(most))
                found[code] = tuple((row.type, row.source) for row in rows)
        return found


@dataclass(frozen=True)
class _Read:
    links: dict[str, Links]  # of the newest change of each source
    fresh: Counter[str]  # scheme -> codes that were registered for the first time


async def _seen(connection: AsyncConnection) -> Seen:
    row = (await connection.execute(select(followed))).first()
    rows = await connection.execute(select(schemes.c.scheme, schemes.c["count"]))
    counts = {str(scheme): int(count) for scheme, count in rows}
    return Seen(row.applied, row.links, counts) if row is not None else Seen(0, 0, counts)


async def _put(connection: AsyncConnection, read: dict[str, Links]) -> int:
    """Write the links of sources in the place of what they had, and return how many more there are."""
    more = 0
    for some in _parts(list(read)):
        more -= (await connection.execute(delete(links).where(links.c.source.in_(some)))).rowcount
    rows = [{"source": s, "type": kind, "target": target} for s, named in read.items() for kind, target in named]
    if rows:
        await connection.execute(insert(links), rows)
    return more + len(rows)


async def _advance(connection: AsyncConnection, applied: int, count: int) -> None:
    told = {"applied": applied, "links": count}
    if not (await connection.execute(update(followed).values(told))).rowcount:
        await connection.execute(insert(followed).values(id=1, **told))


async def _count(connection: AsyncConnection, scheme: str, before: dict[str, int], more: int) -> None:
    if scheme in before:
        told = update(schemes).where(schemes.c.scheme == scheme).values({"count": before[scheme] + more})
        await connection.execute(told)
    else:
        await connection.execute(insert(schemes).values({"scheme": scheme, "count": more}))


def _parts(codes: list[str]) -> Iterable[list[str]]:
    return (codes[start : start + TOGETHER] for start in range(0, len(codes), TOGETHER))
