"""Where a resolver finds a record: the box's table, else whoever the exchange may ask."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from appliance.runtime.errors import Corrupt
from gateway.resolver.answer.outcome import Source
from gateway.resolver.codes import Code
from gateway.resolver.metrics import Numbers
from gateway.resolver.outside import Outside
from gateway.resolver.pending import PendingFile
from gateway.resolver.table import Info, Table
from gateway.resolver.upstream import Upstream

WAITS = "pending"  # in the place of a registry's name: registered at this box, and on its way to the centre

log = logging.getLogger("headgate.resolver")


@dataclass(frozen=True)
class Found:
    """A record's bytes, None where there is none, and who says so; ``source`` is None where nobody could."""

    raw: bytes | None
    source: Source | None


class Finder:
    """The table, kept current, and the exchange behind it."""

    def __init__(self, table: Table, upstream: Upstream, outside: Outside, numbers: Numbers) -> None:
        self.table, self._upstream, self._outside, self._numbers = table, upstream, outside, numbers
        self._told = ""  # the damage last logged
        self._source: Source | None = None
        self._pending = PendingFile(table.folder)
        self.renew()

    def renew(self) -> None:
        """Use the current table if it is a new one; a damaged one is told, and the last good one stays."""
        try:
            self._pending.renew()
            changed = self.table.refresh()
        except Corrupt as error:
            if str(error) != self._told:
                log.error("the last good table stays: %s", error)
                self._told = str(error)
            return
        if changed and (info := self.table.info()) is not None:
            self._source = Source(info.registry, info.serial, info.made)
            log.info("table of %s, serial %d, %d identifiers", info.registry, info.serial, info.count)
            self._numbers.serial.set(info.serial)
            self._numbers.records.set(info.count)
            self._numbers.made.set(info.made.timestamp())

    def source(self) -> Source | None:
        """Return what the open table says of itself as a source."""
        return self._source

    def info(self) -> Info | None:
        """Return what the open table says of itself."""
        return self.table.info()

    def settled(self, code: str) -> bytes | None:
        """Return the record of a canonical code in the table at hand, None also where a newer one waits at this box."""
        return None if self._pending.raw(code) is not None else self.table.raw_of(code.encode())

    def many(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """Return the records of canonical codes in the table at hand, in their order."""
        return self.table.many(keys)

    def plain(self, codes: Sequence[bytes]) -> bool:
        """Return whether canonical codes may be told of everywhere without a look at their records."""
        return self.table.plain(codes)

    async def find(self, code: Code) -> Found:
        """Return the record of ``code``; where the table lacks it, the exchange is asked first.

        Raises:
            Unreachable: the code is outside the table's ranges, the registry cannot be asked, and nothing is known.
        """
        self.renew()
        found, info = await self.at_hand(code), self.table.info()
        if found.raw is None and (info is None or info.holds(code.canonical)):
            await self._upstream.wait(code)
            self.renew()
            found = await self.at_hand(code)
        return found

    async def at_hand(self, code: Code) -> Found:
        """Return the record of ``code`` as ``find`` does, but ask for no newer table.

        Raises:
            Unreachable: as ``find``.
        """
        if (waits := self._pending.raw(code.canonical)) is not None:
            return Found(waits, Source(WAITS, 0, datetime.now(UTC)))
        raw, info = self.table.raw(code), self.table.info()
        if raw is None and info is not None and not info.holds(code.canonical):
            told = await self._outside.find(code.canonical)
            return Found(told.raw, Source(info.registry, info.serial, told.made, told.keep))
        return Found(raw, self._source)
