"""What a lab has made, written down before it is made, so that ``down`` finds all of it after any crash and nothing else."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from appliance.runtime.errors import Corrupt, Refused
from appliance.runtime.files import write_atomic
from provisioning.lab import lock
from provisioning.lab.plan import LAB_NAME

KINDS = frozenset({"machine", "mount", "namespace", "cgroup"})
LARGEST = 1 << 20  # bytes of a record
RECORD = "record.json"
SAFE_FOLDER = re.compile(r"/[A-Za-z0-9._/+-]+")  # overlay's options have no room for ':' and ','


@dataclass(frozen=True)
class Made:
    """One thing that the lab makes: a machine by its name, the rest by name or path as the kernel knows it."""

    kind: str
    name: str


@dataclass
class Record:
    """The things a lab made, oldest first, and the cables that are unplugged."""

    made: list[Made] = field(default_factory=list)
    unplugged: list[tuple[str, str]] = field(default_factory=list)  # machine, network

    def dump(self) -> bytes:
        """Return the record's text."""
        value = {
            "version": 1,
            "made": [[m.kind, m.name] for m in self.made],
            "unplugged": [list(u) for u in self.unplugged],
        }
        return json.dumps(value, indent=1).encode()

    @staticmethod
    def parse(data: bytes) -> Record:
        """Return the record that ``data`` holds.

        Raises:
            Corrupt: it is not one; nothing may be removed on its word.
        """
        try:
            value = json.loads(data)
            version = value["version"]
            made = [Made(kind, name) for kind, name in value["made"]]
            unplugged = [(machine, network) for machine, network in value["unplugged"]]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise Corrupt(f"the lab's record is damaged: {error}") from error
        texts = [text for m in made for text in (m.kind, m.name)] + [text for pair in unplugged for text in pair]
        if version != 1 or not all(isinstance(text, str) for text in texts) or any(m.kind not in KINDS for m in made):
            raise Corrupt("the lab's record is not what this version writes")
        return Record(made, unplugged)


def base() -> Path:
    """Return the folder of all labs' states: ``$HEADGATE_LAB_STATE`` or ``/var/lib/headgate-lab``."""
    return Path(os.environ.get("HEADGATE_LAB_STATE", "/var/lib/headgate-lab"))


class State:
    """One lab's folder and record."""

    def __init__(self, name: str, *, folder: Path | None = None, locks: Path = Path("/run/headgate-lab")) -> None:
        if not LAB_NAME.fullmatch(name):
            raise Refused(
                "bad-name", f"'{name}' is not a lab's name: lower-case letters, digits and '-', at most 20 characters"
            )
        self.name = name
        self.prefix = f"hg-{name}"
        self.folder = (folder or base()).absolute() / name
        if not SAFE_FOLDER.fullmatch(str(self.folder)):
            raise Refused("bad-folder", f"the lab's folder '{self.folder}' may hold letters, digits and . _ + - only")
        self._locks = locks
        self._held = False

    @property
    def exists(self) -> bool:
        """Whether this lab made anything that is not taken down yet."""
        return self._file.exists()

    @property
    def _file(self) -> Path:
        return self.folder / RECORD

    def read(self) -> Record:
        """Return the record; an empty one where the lab made nothing."""
        try:
            with self._file.open("rb") as file:
                return Record.parse(file.read(LARGEST))
        except FileNotFoundError:
            return Record()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold this lab against every other process that would change it; may be nested.

        Raises:
            Refused: another process changes it now, or a lab of this name lives in another folder.
        """
        if self._held:
            yield
            return
        with lock.holding(self.name, self.folder, self._locks, record=self._file):
            self._held = True
            try:
                yield
            finally:
                self._held = False

    def create(self) -> None:
        """Make the lab's folder and an empty record, if it has none."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        if not self.exists:
            self._write(Record())

    def intend(self, kind: str, name: str) -> None:
        """Write down that the lab is about to make this."""
        record = self.read()
        if Made(kind, name) not in record.made:
            record.made.append(Made(kind, name))
            self._write(record)

    def forget(self, kind: str, name: str) -> None:
        """Write down that this is gone."""
        record = self.read()
        if Made(kind, name) in record.made:
            record.made.remove(Made(kind, name))
            self._write(record)

    def owns(self, kind: str, name: str) -> bool:
        """Return whether the lab made this, or was about to."""
        return Made(kind, name) in self.read().made

    def set_plugged(self, machine: str, network: str, *, plugged: bool) -> None:
        """Remember a cable's state, so that it outlives the machine's power."""
        record = self.read()
        pair = (machine, network)
        if plugged and pair in record.unplugged:
            record.unplugged.remove(pair)
            self._write(record)
        elif not plugged and pair not in record.unplugged:
            record.unplugged.append(pair)
            self._write(record)

    def _write(self, record: Record) -> None:
        if not self._held:
            raise RuntimeError("the lab's record is written only within changing()")
        write_atomic(self._file, record.dump(), 0o600)
