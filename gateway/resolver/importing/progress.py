"""How far an import came, beside its file, so that the same command goes on where it was broken off. Touches that file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from appliance.runtime.files import write_atomic


@dataclass(frozen=True)
class Totals:
    """What became of the rows so far."""

    batches: int = 0
    changed: int = 0
    unchanged: int = 0
    faults: int = 0


@dataclass(frozen=True)
class Import:
    """Which import it is: the file's digest, whose, where, and how."""

    file: str
    body: str
    at: str
    mode: str


class Progress:
    """Kept in ``path``."""

    def __init__(self, path: Path, which: Import) -> None:
        self._path, self._which = path, which
        self.totals = Totals()
        self.resumed = False
        try:
            told = json.loads(path.read_bytes())
            if told["import"] == asdict(which):
                self.totals, self.resumed = Totals(**told["totals"]), True
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return  # none, or of another import

    def add(self, changed: int, unchanged: int, faults: int) -> None:
        """Note durably what became of one more batch."""
        before = self.totals
        self.totals = replace(
            before,
            batches=before.batches + 1,
            changed=before.changed + changed,
            unchanged=before.unchanged + unchanged,
            faults=before.faults + faults,
        )
        self.save()

    def save(self) -> None:
        """Note durably that the import has begun."""
        told = {"import": asdict(self._which), "totals": asdict(self.totals)}
        write_atomic(self._path, json.dumps(told).encode())

    def done(self) -> None:
        """Forget it: nothing is left to do."""
        self._path.unlink(missing_ok=True)
