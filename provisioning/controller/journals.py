"""The boxes' journals in the database: what was countersigned, what was refused, and the evidence of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from appliance.journal import note
from appliance.telemetry.records import read_time
from monitoring.overview import JournalView
from provisioning.controller import witness
from provisioning.controller.store import Store
from provisioning.controller.tables import journal_faults, journals
from provisioning.controller.witness import Alarm, Countersign, Remind, Seen, Verdict, Witness

LONGEST_EVIDENCE = 8 << 10


@dataclass(frozen=True)
class Kept:
    """A verdict that is in the database, and the signature lines of ours that belong to it."""

    verdict: Verdict
    lines: tuple[str, ...] = ()


class Journals:
    """Judges and keeps the journals' checkpoints in ``store``, as the witness ``by``."""

    def __init__(self, store: Store, by: Witness) -> None:
        self._store, self.by = store, by

    async def consider(self, box: str, name: str, key: str, request: str, now: str) -> Kept:
        """Judge a request and keep the outcome, in one transaction; nothing is countersigned that would be forgotten.

        Raises:
            Unreachable: the database is away.
        """
        async with self._store.begin() as connection:
            empty = {"key": "", "origin": "", "size": 0, "root": "", "checkpoint": "", "cosigned": "", "waiting": ""}
            put = self._store.insert(journals).values(
                box=box, name=name, heard=now, recent="[]", fault="", told="", since="", **empty
            )
            await connection.execute(put.on_conflict_do_nothing())  # so that there is a row to lock
            here = (journals.c.box == box, journals.c.name == name)
            row = (await connection.execute(select(journals).where(*here).with_for_update())).one()
            seen = _seen(row)
            verdict = witness.judge(seen, key, request)
            later = witness.after(seen, key, verdict)
            values: dict[str, Any] = {"heard": now}
            lines: tuple[str, ...] = ()
            match verdict:
                case Countersign(head):
                    lines = (self.by.countersign(head, int(read_time(now).timestamp())),)
                    own = note.lines_of(head)[:1]
                    values |= {
                        "key": key,
                        "origin": head.origin,
                        "size": head.size,
                        "root": later.root,
                        "cosigned": now,
                    }
                    values |= {
                        "checkpoint": note.written(head, [*own, *lines]).decode(),
                        "recent": json.dumps(later.recent),
                    }
                    values |= {"fault": "", "told": "", "since": "", "waiting": ""}
                case Alarm(reason, sentence):
                    values |= {"fault": reason, "told": sentence[:300], "waiting": row.waiting or now}
                    if row.fault != reason:
                        values["since"] = now
                        told = {"box": box, "name": name, "time": now, "reason": reason, "told": sentence[:300]}
                        evidence = f"{key[:300]}\n{request}".replace("\0", "")[:LONGEST_EVIDENCE]
                        await connection.execute(insert(journal_faults).values(**told, evidence=evidence))
                case Remind():
                    values["waiting"] = row.waiting or now
            await connection.execute(update(journals).where(*here).values(**values))
        return Kept(verdict, lines)

    async def views(self) -> dict[str, tuple[JournalView, ...]]:
        """Return the journals by box.

        Raises:
            Unreachable: the database is away.
        """
        found: dict[str, tuple[JournalView, ...]] = {}
        async with self._store.begin() as connection:
            for row in await connection.execute(select(journals).order_by(journals.c.box, journals.c.name)):
                view = JournalView(row.name, row.size, _time(row.cosigned), _time(row.waiting), row.fault, row.told)
                found[row.box] = (*found.get(row.box, ()), view)
        return found

    async def told(self) -> list[dict[str, Any]]:
        """Return everything that is kept of the journals, as values.

        Raises:
            Unreachable: the database is away.
        """
        names = (
            "box",
            "name",
            "origin",
            "key",
            "size",
            "root",
            "checkpoint",
            "cosigned",
            "heard",
            "fault",
            "told",
            "since",
        )
        async with self._store.begin() as connection:
            rows = await connection.execute(select(journals).order_by(journals.c.box, journals.c.name))
            return [{name: getattr(row, name) for name in names} for row in rows]

    async def faults(self, limit: int = 100) -> list[dict[str, Any]]:
        """Return what was refused, newest first, with the evidence.

        Raises:
            Unreachable: the database is away.
        """
        query = select(journal_faults).order_by(journal_faults.c.number.desc()).limit(limit)
        async with self._store.begin() as connection:
            return [dict(row._mapping) for row in await connection.execute(query)]

    async def forget(self, box: str, name: str, reason: str, now: str) -> bool:
        """Let a journal begin anew, as an operator says for ``reason``: the key and head known are kept as evidence.

        Raises:
            Unreachable: the database is away.
        """
        async with self._store.begin() as connection:
            here = (journals.c.box == box, journals.c.name == name)
            row = (await connection.execute(select(journals).where(*here).with_for_update())).one_or_none()
            if row is None:
                return False
            evidence = f"{row.key}\n{row.checkpoint}"[:LONGEST_EVIDENCE]
            told = {"box": box, "name": name, "time": now, "reason": "begins-anew", "told": reason[:300]}
            await connection.execute(insert(journal_faults).values(**told, evidence=evidence))
            await connection.execute(delete(journals).where(*here))
            return True


def _time(text: str) -> float:
    return read_time(text).timestamp() if text else 0.0


def _seen(row: Row[Any]) -> Seen:
    recent = tuple((int(size), str(root)) for size, root in json.loads(row.recent))
    return Seen(row.key, row.size, row.root, recent, row.fault, row.told)
