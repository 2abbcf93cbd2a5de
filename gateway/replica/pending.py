"""What bodies registered at this box and the registry's log does not have yet: kept durably, and shown to the resolvers beside the table.

A record leaves once the table has the same of its code, or a later word of the registry on it; nothing here is ever sent from here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from appliance.runtime.errors import Refused
from appliance.runtime.files import write_atomic
from gateway.resolver.pending import FILE, Waiting, read
from gateway.resolver.records import parse_record

MOST = 20_000  # records
OLDEST = 90 * 86_400.0  # seconds after which the centre will not take it any more
Look = Callable[[str], bytes | None]  # a code -> what the table has of it


class Pending:
    """The records in ``folder``; one writer."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._waiting: dict[str, Waiting] = {}

    def prepare(self) -> None:
        """Take up what waits from before.

        Raises:
            Corrupt: the file was not written by us.
        """
        self._waiting = read(self._path)

    def __len__(self) -> int:
        """Return how many records wait."""
        return len(self._waiting)

    def has(self, code: str) -> bool:
        """Return whether a record of ``code`` waits."""
        return code in self._waiting

    def add(self, dumps: Sequence[str], look: Look, statement: str, now: float | None = None) -> None:
        """Keep records, durably; one that the table has already does not wait.

        Raises:
            Refused: too many wait (``too-many``): the line to the centre must come back first.
        """
        when = time.time() if now is None else now
        after = dict(self._waiting)
        for place, dump in enumerate(dumps):
            code = parse_record(dump.encode()).code
            known = look(code)
            if known != dump.encode():
                after[code] = Waiting(dump, None if known is None else known.decode(), when, statement, place)
        if len(after) > MOST:
            raise _full()
        self._keep(after)

    def check_room(self, count: int) -> None:
        """Refuse what could not be kept, before it is sent.

        Raises:
            Refused: too many wait (``too-many``).
        """
        if len(self._waiting) + count > MOST:
            raise _full()

    def settle(self, look: Look, now: float | None = None) -> int:
        """Let go of what the registry has spoken about since, and of what is too old; return how many those are."""
        when = time.time() if now is None else now
        left = {
            code: one
            for code, one in self._waiting.items()
            if _text(look(code)) == one.before and when - one.since < OLDEST
        }
        gone = len(self._waiting) - len(left)
        if gone:
            self._keep(left)
        return gone

    def drop(self, statement: str, places: Collection[int]) -> int:
        """Let go of what the registry did not take of a statement, by the records' places (from 0), all without any; return how many."""
        gone = {
            code
            for code, one in self._waiting.items()
            if one.statement == statement and (not places or one.place in places)
        }
        if gone:
            self._keep({code: one for code, one in self._waiting.items() if code not in gone})
        return len(gone)

    def _keep(self, waiting: Mapping[str, Waiting]) -> None:
        told = {code: [one.dump, one.before, one.since, one.statement, one.place] for code, one in waiting.items()}
        write_atomic(self._path, json.dumps(told, ensure_ascii=False).encode(), mode=0o644)
        self._waiting = dict(waiting)


def _full() -> Refused:
    return Refused("too-many", f"{MOST} registrations wait for the centre already", 503)


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode()
