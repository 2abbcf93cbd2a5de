"""The box's copy of the table of identifiers: immutable LMDB environments and a link to the newest.

``tables/SERIAL-DIGEST/data.mdb`` is built aside, made durable, and named by one atomic replacement of the link ``current``. The
exchange installs; resolvers, each as another user who may only read, open without locks (a table never changes) and notice a
new ``current`` by reading the link.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import lmdb

from appliance.runtime.errors import Corrupt, Refused
from appliance.runtime.files import sync_folder
from gateway.resolver.records import Record, Snapshot, digest, parse_record, parse_snapshot

INFO = b"\x00info"  # sorts before every code
_NAME = re.compile(r"tables/(\d{1,16})-([0-9a-f]{64})")


@dataclass(frozen=True)
class Installed:
    """The table that is current after an installation; ``fresh`` tells whether it is a new one."""

    serial: int
    count: int
    fresh: bool


@dataclass(frozen=True)
class Info:
    """What a table says of itself."""

    registry: str
    serial: int
    made: datetime
    count: int
    digest: str


def install(folder: Path, payload: bytes) -> Installed:
    """Make the snapshot ``payload`` (opened from its envelope) the current table in ``folder``; the same one again changes nothing.

    Raises:
        Corrupt: ``payload`` is no snapshot.
        Refused: the current table is newer (``older-serial``), or another one has the same serial (``same-serial``).
    """
    snapshot, name = parse_snapshot(payload), digest(payload)
    if not (folder / "tables").is_dir():
        (folder / "tables").mkdir(parents=True)
        (folder / "tables").chmod(0o755)  # whatever the umask: the resolvers are other users
    with _alone(folder):
        current = _current(folder)
        if current:
            serial, known = current
            if (serial, known) == (snapshot.serial, name) and _whole(folder / f"tables/{serial}-{known}"):
                return Installed(serial, len(snapshot.records), fresh=False)
            if snapshot.serial < serial:
                raise Refused("older-serial", f"the table here has serial {serial}, this one only {snapshot.serial}")
            if snapshot.serial == serial and known != name:
                raise Refused("same-serial", f"another table with serial {serial} is here already: the registry erred")
        target = folder / f"tables/{snapshot.serial}-{name}"
        if target.exists():  # built before a crash, never named as current; or damaged
            shutil.rmtree(target)
        _build(folder, target, snapshot, name)
        _point(folder, target)
        _sweep(folder, keep={target.name, f"{current[0]}-{current[1]}" if current else ""})
    return Installed(snapshot.serial, len(snapshot.records), fresh=True)


class Table:
    """The current table, for reading; one object a process and folder (LMDB opens an environment once a process)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._target = ""
        self._env: lmdb.Environment | None = None
        self._info: Info | None = None

    @classmethod
    def open(cls, folder: Path) -> Table:
        """Return the table in ``folder``, which may have none yet.

        Raises:
            Corrupt: the current table is damaged.
        """
        table = cls(folder)
        table.refresh()
        return table

    def refresh(self) -> bool:
        """Open the current table if it is another than before, and return whether it was.

        Raises:
            Corrupt: the new table is damaged; the one that was open stays open.
        """
        while (target := self._named()) and target != self._target:
            env = None
            try:
                env = lmdb.open(str(self._folder / target), readonly=True, lock=False, create=False, max_readers=1)
                info = _info(env)
            except (lmdb.Error, Corrupt) as error:
                if env is not None:
                    env.close()
                if self._named() != target:
                    continue  # swapped again and swept away while we looked
                raise Corrupt(f"the table of identifiers {target} cannot be read: {error}") from error
            self.close()
            self._env, self._info, self._target = env, info, target
            return True
        return False

    def _named(self) -> str:
        try:
            return os.readlink(self._folder / "current")  # noqa: PTH115 (a microsecond a request)
        except FileNotFoundError:
            return ""

    def get(self, code: object) -> Record | None:
        """Return the record of the code (a ``Code`` or its canonical text), or None.

        Raises:
            Corrupt: the record is damaged.
        """
        if self._env is None:
            return None
        try:
            with self._env.begin() as transaction:
                found = transaction.get(str(code).encode())
        except lmdb.Error as error:
            raise Corrupt(f"the table of identifiers is damaged: {error}") from error
        return None if found is None else parse_record(found)

    def info(self) -> Info | None:
        """Return what the open table says of itself, or None where there is no table yet."""
        return self._info

    def close(self) -> None:
        """Let go of the table."""
        if self._env is not None:
            self._env.close()
        self._env, self._info, self._target = None, None, ""


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the installers' lock; it ends with the process, however that ends."""
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _current(folder: Path) -> tuple[int, str] | None:
    """Return serial and digest of the current table, from the link's name alone: it holds even if the table is damaged."""
    try:
        found = _NAME.fullmatch(os.readlink(folder / "current"))  # noqa: PTH115 (text, not a path)
    except FileNotFoundError:
        return None
    if not found:
        raise Corrupt(f"{folder / 'current'} was not written by us")
    return int(found[1]), found[2]


def _whole(table: Path) -> bool:
    return (table / "data.mdb").is_file() and (table / "data.mdb").stat().st_size > 0


def _build(folder: Path, target: Path, snapshot: Snapshot, name: str) -> None:
    """Write the table aside, make it durable, and give it its name."""
    records = sorted((record.code.encode(), record.dump()) for record in snapshot.records)
    # Pages are 4 KiB and a large value takes whole ones: twice the bytes and two pages a record are more than enough.
    size = (16 << 20) + 2 * sum(len(value) for _, value in records) + 8192 * len(records)
    info = Info(snapshot.registry, snapshot.serial, snapshot.made, len(records), name)
    built = Path(tempfile.mkdtemp(prefix=".building-", dir=folder))
    try:
        env = lmdb.open(str(built), map_size=size, lock=False, sync=False)
        with env.begin(write=True) as transaction:
            transaction.put(INFO, json.dumps(asdict(info), default=datetime.isoformat).encode())
            for key, value in records:
                transaction.put(key, value, append=True)
        env.sync(True)
        env.close()
        built.chmod(0o755)
        (built / "data.mdb").chmod(0o644)
        with (built / "data.mdb").open("rb") as file:
            os.fsync(file.fileno())  # the mode too
        sync_folder(built)
        built.rename(target)
        sync_folder(target.parent)
    except BaseException:
        shutil.rmtree(built, ignore_errors=True)
        raise


def _point(folder: Path, target: Path) -> None:
    """Let ``current`` name ``target``, at once and durably."""
    fresh = folder / ".current"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(f"tables/{target.name}")
    fresh.replace(folder / "current")
    sync_folder(folder)


def _sweep(folder: Path, keep: set[str]) -> None:
    """Remove what older installations left; the previous table stays for readers that are just opening it."""
    for left in [*folder.glob(".building-*"), *(t for t in (folder / "tables").iterdir() if t.name not in keep)]:
        shutil.rmtree(left, ignore_errors=True)  # what stays is swept the next time


def _info(env: lmdb.Environment) -> Info:
    with env.begin() as transaction:
        found = transaction.get(INFO)
    if found is None:
        raise Corrupt("it does not say what it is")
    try:
        told = json.loads(found)
        made = datetime.fromisoformat(told["made"])
        return Info(str(told["registry"]), int(told["serial"]), made, int(told["count"]), str(told["digest"]))
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt("what it says of itself cannot be read") from error
