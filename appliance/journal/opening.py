"""How a daemon opens its journal: with a key of its own, and beginning a new one where the old one is damaged."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

from appliance.identity.keys import PrivateKey
from appliance.journal.log import Journal
from appliance.runtime.errors import Corrupt

log = logging.getLogger("headgate.journal")


def open_or_begin(folder: Path, key: Path, origin: str) -> Journal:
    """Return the journal in ``folder``; what an interrupted write or damage took from it is its next entry.

    A damaged journal is evidence: it is put aside, and the new one says so first. The controller, who countersigned the old one,
    raises an alarm of its own.

    Raises:
        Corrupt: the key cannot be read.
        Unreachable: another process writes this journal.
    """
    for parent in (folder.parent, key.parent):
        parent.mkdir(parents=True, exist_ok=True)
    if not key.exists():
        PrivateKey.generate().save(key)
    private = PrivateKey.load(key)
    now = datetime.now(UTC)
    try:
        journal = Journal(folder, private, origin)
    except Corrupt as error:
        aside = folder.with_name(f"{folder.name}.damaged-{now:%Y%m%dT%H%M%S%fZ}")
        log.error("the journal is damaged and put aside as %s: %s", aside, error)
        _put_aside(folder, aside)
        journal = Journal(folder, private, origin)
        told = {
            "decision": "journal-damaged",
            "reason": "journal-altered",
            "detail": str(error)[:2000],
            "kept": aside.name,
        }
        journal.append({"time": now.isoformat(), **told})
    if journal.cut:
        told = {"decision": "journal-cut", "reason": "interrupted", "bytes": str(journal.cut)}
        journal.append({"time": now.isoformat(), **told})
    return journal


def _put_aside(folder: Path, aside: Path) -> None:
    """Move what is in ``folder``: the folder itself may be a mount, or in one that this daemon cannot write."""
    try:
        folder.rename(aside)
    except OSError:
        kept = folder / aside.name
        kept.mkdir()
        for path in list(folder.iterdir()):
            if ".damaged-" not in path.name:
                path.rename(kept / path.name)
