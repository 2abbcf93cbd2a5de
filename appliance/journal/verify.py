"""A journal's bytes -> what is wrong in them, each named; works on a copy, without the box."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path

from appliance.identity.keys import PublicKey
from appliance.journal import note
from appliance.journal.tree import Tree, leaf_hash
from appliance.runtime.errors import Corrupt

ENTRIES, LEAVES, CHECKPOINT, KEY = "entries.jsonl", "leaves", "checkpoint", "key.pub"
HASH = 32  # bytes of a leaf hash
MOST_NAMED = 20  # faults told one by one


@dataclass(frozen=True)
class Report:
    """What a journal proves: its signed entries, and what is wrong (``faults``) or merely not signed yet (``notes``)."""

    origin: str
    signed: int
    root: str
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every signed entry is what was written."""
        return not self.faults


def lines_of(data: bytes) -> tuple[list[bytes], bytes]:
    """Return the whole lines of ``data`` and the torn rest behind them."""
    *lines, rest = data.split(b"\n")
    return lines, rest


def verify(entries: bytes, leaves: bytes, checkpoint: bytes, name: str, key: PublicKey) -> Report:
    """Compare the entries with their leaf hashes and both with the signed checkpoint."""
    try:
        head = note.open_note(checkpoint, name, key)
    except Corrupt as error:
        return Report(name, 0, "", [f"{CHECKPOINT}: {error}"])
    lines, torn = lines_of(entries)
    hashes = [leaves[place : place + HASH] for place in range(0, len(leaves), HASH)]
    found = [leaf_hash(line) for line in lines[: head.size]]
    faults: list[str] = []
    notes: list[str] = []
    kept_good = len(hashes) >= head.size and Tree(hashes[: head.size]).root == head.root
    found_good = len(found) == head.size and Tree(found).root == head.root
    if len(lines) < head.size:
        faults.append(f"{ENTRIES}: holds {len(lines)} entries, {head.size} are signed")
    if kept_good:
        pairs = itertools.zip_longest(found, hashes[: head.size])
        altered = [number for number, (one, other) in enumerate(pairs, 1) if one is not None and one != other]
        faults += [f"{ENTRIES}:{number}: was altered after it was signed" for number in altered[:MOST_NAMED]]
        if len(altered) > MOST_NAMED:
            faults.append(f"{ENTRIES}: {len(altered) - MOST_NAMED} more entries were altered")
    elif found_good:
        faults.append(f"{LEAVES}: was altered; the entries are as signed")
    else:
        faults.append(f"{ENTRIES} and {LEAVES}: neither has the signed root")
    if len(lines) > head.size:
        notes.append(f"{ENTRIES}: {len(lines) - head.size} entries behind the signed ones are not signed yet")
    if torn:
        notes.append(f"{ENTRIES}: {len(torn)} bytes of an entry whose writing was interrupted")
    return Report(name, head.size, head.root.hex(), faults, notes)


def verify_folder(folder: Path, key: PublicKey | None = None) -> Report:
    """Verify the journal in ``folder`` with ``key``, or with the one beside it.

    Raises:
        Corrupt: it holds no journal.
    """
    try:
        name, beside = note.parse_verifier((folder / KEY).read_text())
        entries, leaves, checkpoint = ((folder / part).read_bytes() for part in (ENTRIES, LEAVES, CHECKPOINT))
    except (OSError, UnicodeDecodeError) as error:
        raise Corrupt(f"{folder} holds no journal: {error}") from error
    return verify(entries, leaves, checkpoint, name, key or beside)
