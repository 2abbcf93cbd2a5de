"""Where the guard's decisions are written down: the box's signed journal, and an audit record for the controller."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from appliance.identity.keys import PrivateKey
from appliance.journal.log import Journal
from appliance.runtime.errors import Corrupt, HeadgateError
from appliance.telemetry.records import Record
from appliance.telemetry.spool import Spool

log = logging.getLogger("headgate.guard")
LONGEST_WORD = 2000  # characters of one value; a record holds 16 KiB


class Chronicle(Protocol):
    """Something that decisions are told to."""

    def tell(self, decision: str, reason: str, **more: Any) -> None:
        """Write a decision down."""


class BoxChronicle:
    """Journal below ``state/journal/guard`` and spool below ``state/spool``."""

    def __init__(self, state: Path, site: str) -> None:
        self._spool_path = state / "spool" / "spool.db"
        self._spool: Spool | None = None
        key_path = state / "guard" / "journal.key"
        if not key_path.exists():
            PrivateKey.generate().save(key_path)
        key, folder = PrivateKey.load(key_path), state / "journal" / "guard"
        try:
            self._journal = Journal(folder, key, f"{site}/guard")
        except Corrupt as error:
            # The zones must stand all the same. What is left is evidence: it is put aside, and the new journal begins by saying so.
            aside = folder.with_name(f"{folder.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
            folder.rename(aside)
            self._journal = Journal(folder, key, f"{site}/guard")
            self.tell("journal-damaged", "journal-altered", detail=str(error), kept=aside.name)

    def close(self) -> None:
        """Close the spool."""
        if self._spool is not None:
            self._spool.close()

    def tell(self, decision: str, reason: str, **more: Any) -> None:
        """Write a decision into the journal, then as an audit record into the spool; both are durable on return."""
        body = {"decision": decision, "reason": reason, **{key: _short(value) for key, value in more.items()}}
        log.info(
            "%s (%s) %s", decision, reason, " ".join(f"{key}={value}" for key, value in body.items() if key in more)
        )
        record = Record.new("audit", "guard", body)
        self._journal.append({"time": record.time.isoformat(), "id": record.id, **body})
        try:
            if self._spool is None:
                self._spool_path.parent.mkdir(parents=True, exist_ok=True)
                self._spool = Spool(self._spool_path)
            self._spool.append(record)
        except HeadgateError as error:
            log.error("the record of this is in the journal only: %s", error)


def _short(value: Any) -> Any:
    return value[:LONGEST_WORD] if isinstance(value, str) else value
