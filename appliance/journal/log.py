"""The journal's files: what ``append`` returned for is on disk, signed, and survives kill -9 and power cuts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from appliance.identity.keys import PrivateKey
from appliance.journal import note
from appliance.journal.note import Checkpoint
from appliance.journal.tree import Tree, leaf_hash
from appliance.journal.verify import CHECKPOINT, ENTRIES, KEY, LEAVES, lines_of, verify
from appliance.runtime.errors import Corrupt
from appliance.runtime.files import write_atomic

LONGEST = 64 << 10  # bytes of one entry


class Journal:
    """An append-only log in ``folder``, signed with ``key`` under the name ``origin``; one writer at a time."""

    def __init__(self, folder: Path, key: PrivateKey, origin: str) -> None:
        """Open or begin the journal; cut an entry whose writing was interrupted.

        Raises:
            Corrupt: signed entries are not what was written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._key, self._origin = folder, key, origin
        for name in (ENTRIES, LEAVES):
            (folder / name).touch()
        lines, _ = lines_of((folder / ENTRIES).read_bytes())
        if (folder / CHECKPOINT).exists():
            entries, leaves, checkpoint = ((folder / part).read_bytes() for part in (ENTRIES, LEAVES, CHECKPOINT))
            report = verify(entries, leaves, checkpoint, origin, key.public)
            if not report.ok:
                raise Corrupt(f"{folder}: {'; '.join(report.faults)}")
        elif len(lines) > 1:  # the first entry's checkpoint may be missing after a crash, a later one's not
            raise Corrupt(f"{folder}: {len(lines)} entries and no checkpoint")
        hashes = [leaf_hash(line) for line in lines]
        self._tree = Tree(hashes)
        _cut(folder / ENTRIES, sum(len(line) + 1 for line in lines))
        write_atomic(folder / LEAVES, b"".join(hashes))
        write_atomic(folder / KEY, (note.verifier(origin, key.public) + "\n").encode())
        self._sign()

    @property
    def size(self) -> int:
        """How many entries it holds."""
        return self._tree.size

    def append(self, entry: dict[str, Any]) -> int:
        """Write ``entry`` durably, sign the new head, and return the entry's number (from 1).

        Raises:
            ValueError: the entry is longer than ``LONGEST`` bytes.
        """
        line = json.dumps(entry, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
        if len(line) > LONGEST:
            raise ValueError(f"a journal entry is at most {LONGEST} bytes, not {len(line)}")
        hashed = leaf_hash(line)
        self._write(ENTRIES, line + b"\n")
        self._write(LEAVES, hashed)
        self._tree.add(hashed)
        self._sign()
        return self._tree.size

    def _write(self, name: str, data: bytes) -> None:
        with (self.folder / name).open("ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def _sign(self) -> None:
        head = Checkpoint(self._origin, self._tree.size, self._tree.root)
        write_atomic(self.folder / CHECKPOINT, note.sign(head, self._key))


def _cut(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)
        os.fsync(file.fileno())
