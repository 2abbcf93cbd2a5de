"""What was registered at this box and waits for the registry, as resolvers read it beside the table."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance.runtime.errors import Corrupt

FILE = "pending.json"  # beside the table; the replica alone writes it
LONGEST = 64 << 20  # bytes


@dataclass(frozen=True)
class Waiting:
    """A record that waits, what the table had of its code when it was handed in, and when that was (seconds since 1970)."""

    dump: str
    before: str | None
    since: float
    statement: str  # digest of what its body signed
    place: int  # in that statement, from 0


def read(path: Path) -> dict[str, Waiting]:
    """Return what waits by the file at ``path``; nothing where there is none.

    Raises:
        Corrupt: it was not written by us.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    try:
        told = json.loads(data[: LONGEST + 1])
        return {
            str(code): Waiting(str(one[0]), one[1], float(one[2]), str(one[3]), int(one[4]))
            for code, one in told.items()
        }
    except (ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        raise Corrupt(f"{path} was not written by us: {error}") from error


class PendingFile:
    """The file in ``folder``, read again when it is another one."""

    def __init__(self, folder: Path) -> None:
        self._path = str(folder / FILE)
        self._seen: tuple[int, int] | None = None
        self._waiting: Mapping[str, Waiting] = {}

    def renew(self) -> None:
        """Read it if it changed.

        Raises:
            Corrupt: it was not written by us; what was read before stays.
        """
        if not self._waiting and not os.access(
            self._path, os.R_OK
        ):  # nearly always, and without the price of an exception
            self._seen = None
            return
        try:
            found = os.stat(self._path)  # noqa: PTH116 (a microsecond a request)
        except FileNotFoundError:
            self._seen, self._waiting = None, {}
            return
        if (now := (found.st_ino, found.st_mtime_ns)) != self._seen:
            self._seen, self._waiting = now, read(Path(self._path))

    def raw(self, code: str) -> bytes | None:
        """Return the record that waits, None where none does."""
        found = self._waiting.get(code) if self._waiting else None
        return None if found is None else found.dump.encode()
