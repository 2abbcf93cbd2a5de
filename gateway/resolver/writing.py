"""The table of identifiers, written: a level is added or all are replaced, and ``current`` names the new ones at once and durably.

Whenever the writer dies, the table is what ``current`` says, and the next writer throws away what that does not name.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from operator import itemgetter
from pathlib import Path

from appliance.runtime.errors import Corrupt
from appliance.runtime.files import write_atomic
from gateway.resolver import levels
from gateway.resolver.level import BUILDING, Built, Level, build
from gateway.resolver.levels import CURRENT, Head, Info
from gateway.resolver.table import FOLDER


class Writer:
    """Writes the table in ``folder``; one at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before: tuple[str, ...] = ()  # levels of the table before this one, which readers may just be opening

    def prepare(self) -> None:
        """Make the folder, and throw away what was not finished."""
        made = self._folder / FOLDER
        if not made.is_dir():
            made.mkdir(parents=True)
            made.chmod(0o755)  # whatever the umask: the resolvers are other users
        with self._alone():
            current = self._folder / CURRENT
            if current.is_symlink():  # of a version that had whole tables: begun anew
                current.unlink()
            self._sweep(self.info())

    def info(self) -> Info | None:
        """Return what is current, or None.

        Raises:
            Corrupt: the file was not written by us.
        """
        try:
            return levels.parse((self._folder / CURRENT).read_bytes())
        except FileNotFoundError:
            return None

    def replace(
        self,
        head: Head,
        records: Iterable[tuple[bytes, bytes]],
        ranges: Sequence[str] = (),
        adding: Changes = (),
        fresh: int = 0,
    ) -> Info:
        """Make a table of ``records``, in the order of their codes, and of the changes ``adding`` since them, and nothing else.

        So many of the changes are ``fresh``: of codes that are not there yet.

        Raises:
            Corrupt: they are not in order, or cannot be read.
            Refused: the table becomes too large (``too-large``).
        """
        with self._alone():
            base = self._built(head, records)
            told = (head.registry, head.size, head.made, base.records, head.root, (base,), tuple(ranges), head.subtrees)
            info = Info(*told)
            if adding:
                info = self._added(info, head, adding, fresh)
            return self._point(info)

    def add(self, head: Head, changes: Changes, fresh: int = 0) -> Info:
        """Put the records of ``changes``, the last of each code, before what is there, and merge levels that became many.

        So many of them are ``fresh``: of codes that are not there yet. Nothing is looked up: it would read all over the disk.

        Raises:
            Corrupt: what is there is damaged, or a record cannot be read.
        """
        with self._alone():
            info = self.info()
            if info is None:
                raise Corrupt("there is no table yet that something could be added to")
            return self._point(self._added(info, head, changes, fresh) if changes else info.at(head))

    def touch(self, made: datetime) -> Info:
        """Note that the registry said at ``made`` what is here.

        Raises:
            Corrupt: there is no table.
        """
        with self._alone():
            info = self.info()
            if info is None:
                raise Corrupt("there is no table yet")
            write_atomic(self._folder / CURRENT, replace(info, made=made).dump())
            return replace(info, made=made)

    def _added(self, info: Info, head: Head, changes: Changes, fresh: int) -> Info:
        latest = dict(changes)
        counts = [len(latest), *(level.records for level in info.levels)]
        number = levels.merging(counts) - 1  # of the older ones, merged with the new one at once
        built = self._built(
            head, merged([sorted(latest.items()), *(self._open(level).records() for level in info.levels[:number])])
        )
        rest = info.levels[number:]
        return replace(info.at(head), count=info.count + fresh if rest else built.records, levels=(built, *rest))

    def _open(self, level: Built) -> Level:
        return Level.open(self._folder / FOLDER / level.name, level.bytes)

    def _built(self, head: Head, records: Iterable[tuple[bytes, bytes]]) -> Built:
        return build(self._folder / FOLDER, f"{head.size}-{secrets.token_hex(8)}", records)

    def _point(self, info: Info) -> Info:
        before = self.info()
        write_atomic(self._folder / CURRENT, info.dump())
        if before is not None:
            self._before = tuple(level.name for level in before.levels)
        self._sweep(info)
        return info

    def _sweep(self, info: Info | None) -> None:
        keep = {*self._before, *(level.name for level in info.levels)} if info else set()
        for left in (self._folder / FOLDER).iterdir():
            if left.name not in keep or left.name.startswith(BUILDING):
                shutil.rmtree(left, ignore_errors=True)  # what stays is swept the next time

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the writers' lock; it ends with the process, however that ends."""
        descriptor = os.open(self._folder / ".writing", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


Changes = Sequence[tuple[bytes, bytes]]
"""Codes and records in the order in which they were changed; the last of a code counts."""


def merged(sources: Sequence[Iterable[tuple[bytes, bytes]]]) -> Iterator[tuple[bytes, bytes]]:
    """Yield codes and records of all ``sources``, newest first and each in the order of codes: of each code the newest."""
    last = b""
    for code, record in heapq.merge(*sources, key=itemgetter(0)):  # of equal ones, the first source's comes first
        if code != last:
            yield code, record
            last = code
