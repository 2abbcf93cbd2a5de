"""Registration at this box, as far as the table goes: may these codes be registered, what waits, which codes come next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from appliance.runtime.errors import Corrupt, Refused
from appliance.runtime.files import write_atomic
from gateway.replica import blocks
from gateway.replica.blocks import Allotted
from gateway.replica.pending import Pending
from gateway.resolver.published import Head
from gateway.resolver.records import parse_record
from gateway.resolver.table import Table

ALLOTTED, GIVEN = "allotted.json", "given.json"
MOST = 1000  # codes at once


class Giving:
    """``folder`` has the table, ``own`` what the registry allotted and what was handed out of it."""

    def __init__(self, folder: Path, own: Path) -> None:
        self._table, self._own = Table(folder), own
        self.pending = Pending(folder)
        self._allotted = Allotted()
        self._given: dict[str, int] = {}

    def prepare(self) -> None:
        """Take up what is known from before."""
        self._own.mkdir(parents=True, exist_ok=True)
        self.pending.prepare()
        self._given = {str(part): int(number) for part, number in _read(self._own / GIVEN).items()}
        if told := _read(self._own / ALLOTTED):
            self._allotted = blocks.allotted(Head.model_validate_json(json.dumps(told)))

    def heard(self, head: Head) -> None:
        """Keep what a verified head says of blocks, for the time when the line is down."""
        found = blocks.allotted(head)
        if found != self._allotted:
            write_atomic(self._own / ALLOTTED, json.dumps(head.model_dump(mode="json")).encode())
            self._allotted = found

    def settle(self) -> int:
        """Let go of what the table has now; return how many records those are."""
        self._table.refresh()
        return self.pending.settle(self._table.raw) if len(self.pending) else 0

    def check(self, site: str, body: str, dumps: Sequence[str]) -> None:
        """Refuse records whose codes cannot be registered here.

        Raises:
            Refused: ``outside-block``, ``allotted``, too many wait (``too-many``), or the code is another body's (``other-body``) or
                withdrawn (``withdrawn``).
        """
        self._table.refresh()
        self.pending.check_room(len(dumps))
        codes = []
        for dump in dumps:
            code = parse_record(dump.encode()).code
            known = self._table.raw(code)
            if known is not None:
                before = parse_record(known)
                if before.body != body:
                    raise Refused("other-body", f"{code} belongs to '{before.body}'")
                if before.status == "withdrawn":
                    raise Refused("withdrawn", f"{code} was withdrawn and stays so", 410)
            codes.append(code)
        blocks.check(self._allotted, site, body, codes, self._is_known)

    def keep(self, dumps: Sequence[str], statement: str) -> None:
        """Let resolvers answer from ``dumps``, which the statement of this digest covers, until the registry has spoken.

        Raises:
            Refused: too many wait.
        """
        self._table.refresh()
        self.pending.add(dumps, self._table.raw, statement)

    def next_codes(self, site: str, body: str, count: int) -> list[str]:
        """Hand out the next free codes; they are not handed out again, whatever becomes of them.

        Raises:
            Refused: fewer are left in the blocks of ``body`` at this box (``block-used-up``).
        """
        self._table.refresh()
        codes, given = [], dict(self._given)
        for part, code, number in blocks.following(self._allotted, site, body, given, self._is_known):
            codes.append(code)
            given[part] = number
            if len(codes) == count:
                break
        if len(codes) < count:
            told = (
                f"{len(codes)} codes are left in the blocks of '{body}' at '{site}': allot another (headgate id block)"
            )
            raise Refused("block-used-up", told, 409)
        write_atomic(self._own / GIVEN, json.dumps(given).encode())
        self._given = given
        return codes

    def _is_known(self, code: str) -> bool:
        return self.pending.has(code) or self._table.raw(code) is not None


def _read(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise Corrupt(f"{path} was not written by us") from error
    if not isinstance(told, dict):
        raise Corrupt(f"{path} was not written by us")
    return told
