"""A journal of the first layout (``entries.jsonl``, ``leaves``, ``checkpoint``) -> its entries, once they are verified."""

from __future__ import annotations

from pathlib import Path

from appliance.identity.keys import PrivateKey
from appliance.journal import note
from appliance.journal.disk import Disk
from appliance.journal.proofs import Frontier, leaf_hash
from appliance.journal.verify import CHECKPOINT, TAIL
from appliance.runtime.errors import Corrupt

ENTRIES, LEAVES = "entries.jsonl", "leaves"


def old_entries(folder: Path, origin: str, key: PrivateKey) -> list[bytes] | None:
    """Return the entries of a journal of the first layout, None where there is none; what a conversion left behind is not asked.

    Raises:
        Corrupt: they are not what was signed.
    """
    if not (folder / ENTRIES).exists():
        return None
    if (folder / TAIL).exists():  # the power went after the entries were taken over
        remove(folder, Disk())
        return None
    *lines, _ = (folder / ENTRIES).read_bytes().split(b"\n")
    signed = 0
    if (folder / CHECKPOINT).exists():
        head = note.open_note((folder / CHECKPOINT).read_bytes(), note.log_key(origin, key.public))
        tree, signed = Frontier(), head.size
        for line in lines[:signed]:
            tree.add(leaf_hash(line))
        if (tree.size, tree.root) != (head.size, head.root):
            raise Corrupt(f"{folder}: {ENTRIES} is not as it was signed")
    if len(lines) - signed > 1:  # it signed each entry by itself
        raise Corrupt(f"{folder}: {ENTRIES}: {len(lines) - signed} entries are not signed")
    return lines


def remove(folder: Path, disk: Disk) -> None:
    """Remove the first layout's files; the one by which a conversion is known is the last."""
    for name in (CHECKPOINT, LEAVES, ENTRIES):
        disk.unlink(folder / name)
        disk.sync_folder(folder)
