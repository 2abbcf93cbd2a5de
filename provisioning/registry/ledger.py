"""The log of changes and the statements below it, in the folder that the origin serves. Touches that folder.

A statement is durable before the first change that names it, and a change in the log before it is in the database: the log leads.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from appliance.identity.keys import PrivateKey
from appliance.journal.log import Journal
from appliance.journal.reading import Reading
from appliance.journal.verify import Checkpoint
from appliance.runtime.errors import Corrupt
from appliance.runtime.files import write_atomic

ORIGIN = "headgate.registry"


class Ledger:
    """The registry's log in ``folder``, signed with ``key`` as ``headgate.registry/NAME``; one process writes it."""

    def __init__(self, folder: Path, key: PrivateKey, name: str) -> None:
        """Open or begin it; what was being written when the power went is cut off.

        Raises:
            Corrupt: what was signed is not there as it was.
            Unreachable: another process writes it.
        """
        self.folder = folder
        self.reading = Reading(folder)
        self._log = Journal(folder, key, f"{ORIGIN}/{name}")

    @property
    def size(self) -> int:
        """How many changes are durable in the log."""
        return self._log.size

    @property
    def verifier(self) -> str:
        """The key as a verifier line, which anybody checks proofs with."""
        return self._log.verifier

    def keep(self, digest: str, envelope: bytes, leaves: bytes | None) -> None:
        """Keep a statement, and its records' hashes where not all of them go into the log: without those nobody could check its root."""
        path = self.folder / statement_path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        if leaves is not None:
            write_atomic(path.with_suffix(".leaves"), leaves)
        write_atomic(path, envelope)

    def append(self, entries: Sequence[bytes]) -> range:
        """Write changes durably, all or none, and return their numbers (from 1).

        Raises:
            Refused: the disk is full or failed; nothing was accepted.
        """
        return self._log.append_lines(entries)

    def publish(self) -> Checkpoint:
        """Write tiles and checkpoint for all changes, and return what it says.

        Raises:
            Refused: the disk is full or failed; the changes are safe.
        """
        self._log.publish()
        return self._log.head()

    def statement(self, digest: str) -> bytes:
        """Return a statement's envelope.

        Raises:
            Corrupt: it is not there.
        """
        try:
            return (self.folder / statement_path(digest)).read_bytes()
        except OSError as error:
            raise Corrupt(f"the statement {digest} is not there: {error.strerror}") from error

    def leaves(self, digest: str) -> bytes | None:
        """Return the hashes of a statement's records, None where all of them are in the log one after the other."""
        try:
            return (self.folder / statement_path(digest)).with_suffix(".leaves").read_bytes()
        except FileNotFoundError:
            return None

    def close(self) -> None:
        """Let the log go."""
        self._log.close()


def statement_path(digest: str) -> Path:
    """Return where a statement lies below the registry's folder."""
    return Path("statements") / digest[:2] / f"{digest}.json"
