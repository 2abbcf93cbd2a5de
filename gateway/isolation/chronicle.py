"""Where the guard's decisions are written down: the box's signed journal, and an audit record for the controller."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from appliance.journal.log import Standing
from appliance.journal.opening import open_or_begin
from appliance.runtime.errors import HeadgateError
from appliance.telemetry.records import Record
from appliance.telemetry.spool import Spool
from appliance.telemetry.witnessing import Outlet

log = logging.getLogger("headgate.guard")
LONGEST_WORD = 2000  # characters of one value; a record holds 16 KiB


class Chronicle(Protocol):
    """Something that decisions are told to."""

    failing: str

    def tell_many(self, told: Iterable[Mapping[str, Any]]) -> None:
        """Write decisions (each with ``decision`` and ``reason``) down together."""

    def look(self) -> None:
        """Do what is to be done each second."""

    def checkpoint(self) -> Standing:
        """Return how the journal stands."""


class BoxChronicle:
    """Journal below ``state/journal/guard`` and spool below ``state/spool``; checkpoints leave by ``run/journal/guard``.

    The zones must stand also while the disk is full: what could not be written is said in ``failing`` until something can be again.
    """

    def __init__(self, state: Path, site: str, run: Path | None = None) -> None:
        self._spool_path = state / "spool" / "spool.db"
        self._spool: Spool | None = None
        self._journal = open_or_begin(state / "journal" / "guard", state / "guard" / "journal.key", f"{site}/guard")
        self._outlet = Outlet(self._journal, "guard", run) if run is not None else None
        self.failing = ""  # why decisions are not in the journal

    def close(self) -> None:
        """Let journal and spool go."""
        self._journal.close()
        if self._spool is not None:
            self._spool.close()

    def tell(self, decision: str, reason: str, **more: Any) -> None:
        """Write a decision into the journal, then as an audit record into the spool; both are durable on return."""
        self.tell_many([{"decision": decision, "reason": reason, **more}])

    def tell_many(self, told: Iterable[Mapping[str, Any]]) -> None:
        """Write decisions (each with ``decision`` and ``reason``) down together, as ``tell`` does one."""
        records = []
        for one in told:
            body = {key: _short(value) for key, value in one.items()}
            more = " ".join(f"{key}={value}" for key, value in body.items() if key not in ("decision", "reason"))
            log.info("%s (%s) %s", body["decision"], body["reason"], more)
            records.append(Record.new("audit", "guard", body))
        try:
            self._journal.append_many([{"time": one.time.isoformat(), "id": one.id, **one.body} for one in records])
            self.failing = ""
        except HeadgateError as error:
            self.failing = str(error)
            log.error("%d decisions are not in the journal: %s", len(records), error)
        for record in records:
            self._keep(record)
        self.look(hurry=True)

    def _keep(self, record: Record) -> None:
        try:
            if self._spool is None:
                self._spool_path.parent.mkdir(parents=True, exist_ok=True)
                self._spool = Spool(self._spool_path)
            self._spool.append(record)
        except HeadgateError as error:
            log.error("the record of this is in the journal only: %s", error)

    def look(self, *, hurry: bool = False) -> None:
        """Let checkpoints out and the witnesses' word in; to be called each second."""
        if self._outlet is not None:
            self._outlet.look(hurry=hurry)

    def checkpoint(self) -> Standing:
        """Return how the journal stands: origin, size, root, key, the signed checkpoint, and what witnesses countersigned."""
        with contextlib.suppress(HeadgateError):  # then the last one published
            self._journal.publish()
        return self._journal.standing()


def _short(value: Any) -> Any:
    return value[:LONGEST_WORD] if isinstance(value, str) else value
