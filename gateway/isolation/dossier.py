"""The evidence of one audit, with what the box's journal tells, as the signed report in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from appliance.identity.keys import PrivateKey
from appliance.journal import tiles, verify
from appliance.runtime.errors import Corrupt
from gateway.isolation import approval
from gateway.isolation.audit import Evidence
from gateway.isolation.policy import Policy
from gateway.isolation.report import described, files, model
from gateway.isolation.report.files import Written
from gateway.isolation.report.grade import State, grade

MOST_ENTRIES = 20_000  # of the journal that are looked through for the last audit
AUDIT = "audit"  # the decision that an audit leaves in the journal, with the digest of its report where it left one


def write(
    policy: Policy,
    found: Evidence,
    folder: Path,
    *,
    state: Path,
    standing: Mapping[str, Any] | None,
    denied: Mapping[str, tuple[int, int]],
    signatures: bytes | None,
    now: datetime,
) -> tuple[Written, State]:
    """Write the report of ``found`` into ``folder``, signed by the box's journal key; return its files and the state it reaches.

    ``standing`` is the guard's word of its journal (None: the guard does not run), ``denied`` zone -> (packets, recorded).

    Raises:
        Corrupt: the box's key or journal cannot be read.
    """
    key = PrivateKey.load(state / "guard" / "journal.key")
    place = state / "journal" / "guard"
    decisions, last = _since_last(place)
    audit = described.of(
        policy,
        now=now,
        key=key.public,
        software=version("headgate"),
        proofs=found.proofs,
        deviations={zone: lines for zone, lines in found.zones.items() if lines},
        findings=found.findings,
        inspected=found.inspected,
        measures=found.measures,
        probes=found.probes,
        denied=[model.Denied(zone, counted, recorded) for zone, (counted, recorded) in denied.items()],
        journal=_journal(place, standing, key) if standing else None,
        decisions=decisions,
        previous=str(last.get("file", "")) if last else "",
        since=datetime.fromisoformat(str(last["time"])) if last else None,
        approved=approval.approvers(None, policy, signatures),
    )
    return files.write(audit, key, folder), grade(audit).state


def _since_last(place: Path) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Return the journal's entries since the last audit, and that audit's own."""
    try:
        entries = tiles.told(place, max(0, tiles.size_of(place) - MOST_ENTRIES))
    except Corrupt:
        return [], None  # told as a fault of the journal
    for index in range(len(entries) - 1, -1, -1):
        if entries[index].get("decision") == AUDIT and "file" in entries[index]:
            return entries[index + 1 :], entries[index]
    return entries, None


def _journal(place: Path, standing: Mapping[str, Any], key: PrivateKey) -> model.Journal:
    """Return the head of the journal, with what an offline check of its files finds."""
    try:
        report = verify.verify_folder(place, str(key.public))
        faults = tuple(report.faults)
    except verify.Damaged as error:
        faults = (str(error),)
    witnesses = tuple(f"{name} ({size} entries)" for name, size, _ in standing["witnesses"])
    return model.Journal(
        standing["origin"], standing["size"], standing["root"], standing["checkpoint"], witnesses, faults
    )
