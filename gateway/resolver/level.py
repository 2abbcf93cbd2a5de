"""One level of the table of identifiers: an LMDB environment that never changes once it has its name.

Four databases: ``records`` (code -> the record as canonical JSON), ``links`` (target -> type, source), the links read backward,
``limited``, the codes of records that not everybody may see: few, so that to ask it costs little, and ``filter``, which holds
the Bloom filter of the codes where they are not too many: of a batch, most codes are in the oldest level alone.
Built from records in the order of their codes, in memory that does not grow with their number; read without locks by any process.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import json
import os
import re
import shutil
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import lmdb

from appliance.runtime.errors import Corrupt, Refused
from appliance.runtime.files import sync_folder
from gateway.resolver import bloom
from gateway.resolver.answer.raw import plain

FILE = "data.mdb"
LARGEST = 64 << 30  # bytes of a level
LONGEST_KEY = 511  # bytes; LMDB's own limit, also of what is kept under a key that has several values
AT_ONCE = 20_000  # records a transaction: what is changed by one is kept in memory until its end
IN_MEMORY = 500_000  # links that are sorted in memory; more go to files and are merged from there
BUILDING = ".building-"
_FILTER = b"codes"  # the key of the filter
_LINKS = b'"links":['  # nothing but the key itself is written so: a quote inside a text has a backslash before it
_CODE = re.compile(rb'\{"body":"[^"\\]*","code":"([^"\\]{1,%d})"' % LONGEST_KEY)
_FIRST, _NEXT, _TYPE = b'"links":[{"target":"', b'"},{"target":"', b'","type":"'
_decoder = json.JSONDecoder()
_open: WeakValueDictionary[str, Level] = WeakValueDictionary()  # LMDB opens an environment once a process


@dataclass(frozen=True)
class Built:
    """What a level holds, as the file that names it tells."""

    name: str
    records: int
    links: int
    bytes: int


class Level:
    """An open level; it belongs to one thread at a time."""

    def __init__(self, path: Path, env: lmdb.Environment) -> None:
        self.path = path
        self._env = env
        self._records = env.open_db(b"records", create=False)
        self._links = env.open_db(b"links", create=False, dupsort=True)
        self._limited, told = _database(env, b"limited"), _database(env, b"filter")
        self._read = env.begin(db=self._records)  # one for ever: what it reads never changes
        self._filter: bytes | None = None if told is None else self._read.get(_FILTER, None, told)
        self.raw: Callable[[bytes], bytes | None] = self._read.get  # the fast path: code -> record, or None

    @classmethod
    def open(cls, path: Path, size: int) -> Level:
        """Return the level in the folder ``path``, whose file has ``size`` bytes.

        Raises:
            Corrupt: it is damaged or not there.
        """
        try:
            there = (path / FILE).stat().st_size
            if there != size:  # beyond the end of a file that was cut off, reading kills the process
                raise Corrupt(f"{path.name} has {there} bytes, not {size}")
            if (found := _open.get(str(path))) is not None:
                return found
            env = lmdb.open(str(path), readonly=True, lock=False, create=False, max_dbs=4, readahead=False)
            level = cls(path, env)
        except (lmdb.Error, OSError) as error:
            raise Corrupt(f"{path.name}: {error}") from error
        _open[str(path)] = level
        return level

    def many(self, codes: Sequence[bytes], newer: Sequence[bytes | None], *, few: bool = False) -> list[bytes | None]:
        """Return the records of ``codes`` in their order: the ``newer`` one where there is one, else that which is here or None.

        Where ``few`` of them are here, the filter is asked first.

        Raises:
            Corrupt: the level is damaged.
        """
        get, found = self.raw, list(newer)
        try:
            if self._filter is None or not few:
                return [get(code) if one is None else one for code, one in zip(codes, newer, strict=True)]
            for at in bloom.perhaps(self._filter, codes):
                if found[at] is None:
                    found[at] = get(codes[at])
            return found
        except lmdb.Error as error:
            raise Corrupt(f"{self.path.name}: {error}") from error

    def limits(self, codes: Iterable[bytes]) -> bool:
        """Return whether a record here of one of ``codes`` is not plain, or may not be."""
        limited, get = self._limited, self._read.get
        return limited is None or any(get(code, None, limited) is not None for code in codes)

    def backward(self, target: bytes, after: bytes = b"") -> Iterator[bytes]:
        """Yield type and source (with a zero byte between) of the links to ``target``, in that order, behind ``after``.

        Raises:
            Corrupt: the level is damaged.
        """
        try:
            with self._read.cursor(self._links) as cursor:
                if not (cursor.set_range_dup(target, after) if after else cursor.set_key(target)):
                    return
                for found in cursor.iternext_dup():
                    if found != after:
                        yield bytes(found)
        except lmdb.Error as error:
            raise Corrupt(f"{self.path.name}: {error}") from error

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield all codes and records, in the order of the codes.

        Raises:
            Corrupt: the level is damaged.
        """
        try:
            with self._read.cursor(self._records) as cursor:
                yield from cursor
        except lmdb.Error as error:
            raise Corrupt(f"{self.path.name}: {error}") from error


def _database(env: lmdb.Environment, name: bytes) -> Any:
    """Return a database that levels of older versions do not have: None there."""
    with contextlib.suppress(lmdb.NotFoundError):
        return env.open_db(name, create=False)
    return None


def links_of(record: bytes) -> list[tuple[str, str]]:
    """Return type and target of the links that a record's canonical JSON holds.

    Raises:
        Corrupt: they cannot be read.
    """
    return [(kind.decode(), target.decode()) for target, kind in _links_of(record)]


def _links_of(record: bytes) -> list[tuple[bytes, bytes]]:
    """Return target and type of its links in bytes; read as JSON only where they are not plain, which takes four times as long."""
    begin = record.find(_LINKS)
    if begin < 0:
        return []
    text = record[begin + len(_FIRST) : record.find(b'"}]', begin)]
    parts = [one.partition(_TYPE) for one in text.split(_NEXT)]
    # Without a backslash each quotation mark is one of the form itself, which has no other key.
    if (
        record.startswith(_FIRST, begin)
        and b"\\" not in text
        and text.count(b'"') == 8 * len(parts) - 4
        and text.isascii()
        and text.decode().isprintable()
        and all(between for _, between, _ in parts)
    ):
        return [(target, kind) for target, _, kind in parts]
    try:
        found, _ = _decoder.raw_decode(record[begin + len(_LINKS) - 1 :].decode())
        return [(str(link["target"]).encode(), str(link["type"]).encode()) for link in found]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Corrupt("the links of a record cannot be read") from error


def code_of(record: bytes) -> bytes:
    """Return the code of a record's canonical JSON.

    Raises:
        Corrupt: it names none that is a key of the table.
    """
    if plain := _CODE.match(record):  # canonical JSON begins so; nearly always there is nothing to unescape
        return plain[1]
    try:
        code = str(json.loads(record)["code"]).encode()
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Corrupt("a record cannot be read") from error
    if not 0 < len(code) <= LONGEST_KEY:
        raise Corrupt("a record's code is longer than one may be")
    return code


def build(folder: Path, name: str, records: Iterable[tuple[bytes, bytes]]) -> Built:
    """Write the level ``folder/name`` from codes and records, which come in the order of the codes; it is durable when it is there.

    Raises:
        Corrupt: a code comes twice or out of order, or a record cannot be read.
        Refused: the level becomes larger than one may be (``too-large``).
    """
    built = Path(tempfile.mkdtemp(prefix=BUILDING, dir=folder))
    try:
        count, links = _write(built, records)
        size = (built / FILE).stat().st_size
        built.chmod(0o755)  # whatever the umask: who reads is another user
        (built / FILE).chmod(0o644)
        with (built / FILE).open("rb") as file:
            os.fsync(file.fileno())  # the mode too
        sync_folder(built)
        built.rename(folder / name)
        sync_folder(folder)
    except BaseException:
        shutil.rmtree(built, ignore_errors=True)
        raise
    return Built(name, count, links, size)


def _write(built: Path, records: Iterable[tuple[bytes, bytes]]) -> tuple[int, int]:
    runs, limited, hashes = _Runs(built / "links"), _Runs(built / "limited"), array("I")
    env = lmdb.open(str(built), map_size=LARGEST, lock=False, sync=False, max_dbs=4, meminit=False)
    try:
        forward, backward = env.open_db(b"records"), env.open_db(b"links", dupsort=True)
        count = _put(env, forward, _noting(records, runs, limited, hashes))
        links = _put(env, backward, runs.sorted())
        _put(env, env.open_db(b"limited"), limited.sorted())
        if count <= bloom.MOST:
            _put(env, env.open_db(b"filter"), iter([(_FILTER, bloom.bloom(hashes))]))
        env.sync(True)
    except lmdb.MapFullError as error:
        raise Refused("too-large", f"a level of the table has at most {LARGEST} bytes") from error
    except lmdb.DiskError as error:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
    except lmdb.Error as error:
        raise Corrupt(f"the records cannot be laid down: {error}") from error
    finally:
        env.close()
        runs.close()
        limited.close()
    return count, links


def _put(env: lmdb.Environment, into: Any, items: Iterator[tuple[bytes, bytes]]) -> int:
    """Append ``items`` in transactions that are bounded, and return how many there were."""
    total = 0
    while True:
        with env.begin(write=True) as transaction, transaction.cursor(into) as cursor:
            taken = _Taken(items)
            consumed, added = cursor.putmulti(taken, append=True, dupdata=True)
        total += added
        if consumed != added:
            raise Corrupt("the records are not in the order of their codes, each once")
        if taken.over:
            return total


class _Taken:
    """The next ``AT_ONCE`` of the items; ``over`` tells whether they were the last."""

    def __init__(self, items: Iterator[tuple[bytes, bytes]]) -> None:
        self._items, self.over = items, False

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        for _ in range(AT_ONCE):
            item = next(self._items, None)
            if item is None:
                self.over = True
                return
            yield item


def _noting(
    records: Iterable[tuple[bytes, bytes]], runs: _Runs, limited: _Runs, hashes: array[int]
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the records, checked for their order, and note their links, those that are not plain, and what the filter is made of."""
    last = b""
    for code, record in records:
        if not last < code or len(code) > LONGEST_KEY:
            raise Corrupt(f"{code[:80].decode(errors='replace')} is not behind the code before it")
        last = code
        for target, kind in _links_of(record):
            runs.add(target, b"%s\0%s" % (kind, code))
        if not plain(record):
            limited.add(code, b"")
        if len(hashes) <= bloom.MOST:
            hashes.append(bloom.hashed(code))
        yield code, record


class _Runs:
    """Links, sorted by target, type and source: in memory while they are few, in files that are merged where they are many.

    Each is kept as its target and its source with a zero byte between, which no target has: bytes are sorted three times as fast as pairs.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._held, self._files = path, set[bytes](), list[Path]()

    def add(self, target: bytes, source: bytes) -> None:
        """Take a link.

        Raises:
            Corrupt: it is longer than a link may be, or no link.
        """
        if not target or max(len(target), len(source)) > LONGEST_KEY or b"\0" in target:
            raise Corrupt("a link is longer than one may be, or has no target")
        self._held.add(b"%s\0%s" % (target, source))
        if len(self._held) >= IN_MEMORY:
            path = self._path.with_name(f"{self._path.name}-{len(self._files)}")
            with path.open("wb", buffering=1 << 20) as file:
                for one in sorted(self._held):
                    file.write(b"%c%c%s" % (*divmod(len(one), 256), one))
            self._files.append(path)
            self._held.clear()

    def sorted(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield all links in order."""
        held = sorted(self._held)
        for one in heapq.merge(held, *(_read(path) for path in self._files)) if self._files else held:
            target, _, source = one.partition(b"\0")
            yield target, source

    def close(self) -> None:
        """Throw the files away."""
        for path in self._files:
            path.unlink(missing_ok=True)


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=1 << 18) as file:
        while head := file.read(2):
            yield file.read(int.from_bytes(head, "big"))
