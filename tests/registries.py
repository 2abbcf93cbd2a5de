"""A registry that publishes into a folder, quickly and without an API: for tests and benches of what boxes make of it."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from appliance.identity.keys import PrivateKey
from appliance.journal import note
from appliance.journal.proofs import inclusion, leaf_hash
from appliance.journal.tiles import pack
from appliance.journal.verify import ENTRIES, HASH, WIDTH, Checkpoint, Tree
from gateway.replica.replica import Replica
from gateway.resolver import change, published
from gateway.resolver.codes import check_digit
from gateway.resolver.level import code_of
from gateway.resolver.levels import Head, Info
from gateway.resolver.proof import ORIGIN
from gateway.resolver.published import Answer, Chunk, Snapshot
from gateway.resolver.published import Head as Told
from gateway.resolver.records import Record
from gateway.resolver.writing import Writer

MADE = datetime(2026, 1, 1, tzinfo=UTC)


def code(number: int, service: str = "999999") -> str:
    """Return the ISLI of a number."""
    return f"isli:{service}-{number:015}-{check_digit(f'{service}{number:015}')}"


def dump(number: int, title: str = "film", links: Sequence[int] = (), service: str = "999999", **more: object) -> bytes:
    """Return the record of a number as its body signs it."""
    told: dict[str, object] = {"body": "library", "code": code(number, service), "status": "registered", "title": title}
    if links:
        told["links"] = [{"target": code(other), "type": "multimedia"} for other in links]
    return json.dumps({**told, **more}, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def put(folder: Path, size: int, records: Iterable[Record], made: datetime | None = None, root: str = "") -> Info:
    """Make a table of ``records`` the current one, as a replica does."""
    writer = Writer(folder)
    writer.prepare()
    head = Head("centre", size, root or f"{size:064x}", made or datetime.now(UTC))
    return writer.replace(head, sorted((record.code.encode(), record.dump()) for record in records))


async def follow(replica: Replica, folder: Path) -> bool:
    """Bring a replica what it wants of what is published in ``folder``; return whether the table is what the registry says."""
    told = await replica.step({}, begin=True)
    while told.paths:
        files = {path: (folder / path).read_bytes() if (folder / path).is_file() else None for path in told.paths}
        told = await replica.step(files, begin=False)
    return told.fresh


class Registry:
    """The log and the table of a registry, and the folder below which it publishes both."""

    def __init__(self, folder: Path, key: PrivateKey, name: str = "centre") -> None:
        self.folder, self.key, self.name = folder, key, name
        self.entries: list[bytes] = []
        self.tree, self.table = Tree(), dict[bytes, bytes]()
        self._last = dict[bytes, int]()  # number of each code's newest change
        self.made, self._written = MADE, 0
        self.services: dict[str, object] = {}
        self.blocks: list[object] = []
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def size(self) -> int:
        """The number of changes."""
        return len(self.entries)

    def root(self, size: int | None = None) -> str:
        """Return the root of the log, or of the first so many changes."""
        return self.tree.root(self.size if size is None else size).hex()

    def change(self, records: Iterable[bytes], *, publish: bool = True) -> None:
        """Take records in, a change each."""
        fresh = []
        for number, record in enumerate(records, self.size + 1):
            code = code_of(record)
            fresh.append(change.entry(record, "0" * 64, 0, self.made.isoformat(), self._last.get(code)))
            self._last[code] = number
        self.entries += fresh
        self.tree.add(b"".join(map(leaf_hash, fresh)))
        for entry in fresh:
            record = change.record_in(entry)
            self.table[code_of(record)] = record
        if publish:
            self.publish()

    def publish(self) -> None:
        """Write the tiles that are new and the head."""
        size = self.size
        for number in range(self._written // WIDTH, -(-size // WIDTH)):
            self.write(published.tile(ENTRIES, number, size), pack(self.entries[number * WIDTH : (number + 1) * WIDTH]))
        for level in range(0, len(self.tree.levels), 8):
            row = self.tree.levels[level]
            for number in range((self._written >> level) // WIDTH, -(-(size >> level) // WIDTH)):
                hashes = row[number * WIDTH * HASH : (number + 1) * WIDTH * HASH]
                self.write(published.tile(level // 8, number, size), bytes(hashes))
        self._written = size
        self.head()

    def head(self) -> None:
        """Sign the head anew."""
        told = {"services": self.services, "blocks": self.blocks}
        head = Told(registry=self.name, size=self.size, root=self.root(), made=self.made, **told)
        self.write(published.HEAD, published.seal(head, self.key))

    def snapshot(self, each: int = 50_000, chunks: Iterable[Chunk] | None = None, count: int | None = None) -> Snapshot:
        """Write the table as it is as a snapshot, ``each`` records a chunk; or sign the given ``chunks``."""
        if chunks is None:
            rows = sorted(self.table.items())
            chunks = [self.chunk(rows[at : at + each]) for at in range(0, len(rows), each)]
        made = list(chunks)
        told = Snapshot(
            registry=self.name,
            size=self.size,
            root=self.root(),
            made=self.made,
            count=sum(one.records for one in made),
            chunks=made,
        )
        self.write(published.SNAPSHOT, published.seal(told, self.key))
        return told

    def chunk(self, rows: Sequence[tuple[bytes, bytes]]) -> Chunk:
        """Write a chunk."""
        data = gzip.compress(b"".join(record + b"\n" for _, record in rows), 1, mtime=0)
        sha256 = hashlib.sha256(data).hexdigest()
        self.write(published.chunk_name(sha256), data)
        return Chunk(
            name=published.chunk_name(sha256),
            sha256=sha256,
            bytes=len(data),
            records=len(rows),
            first=rows[0][0].decode(),
            last=rows[-1][0].decode(),
        )

    def look(self, asked: str) -> bytes:
        """Return the registry's answer on one code."""
        numbers = [n for n, entry in enumerate(self.entries) if code_of(change.record_in(entry)) == asked.encode()]
        number = numbers[-1] if numbers else None
        head = Checkpoint(f"{ORIGIN}{self.name}", self.size, bytes.fromhex(self.root()))
        claim = Answer(
            registry=self.name,
            code=asked,
            number=None if number is None else number + 1,
            size=self.size,
            root=self.root(),
            made=self.made,
        )
        path = [] if number is None else inclusion(number, self.size, self._complete)
        told = {
            "change": None if number is None else self.entries[number].decode(),
            "number": claim.number,
            "proof": [one.hex() for one in path],
            "checkpoint": note.sign(head, self.key).decode(),
            "claim": json.loads(published.seal(claim, self.key)),
        }
        return json.dumps(told).encode()

    def _complete(self, level: int, index: int) -> bytes:
        return bytes(self.tree.levels[level][index * HASH : (index + 1) * HASH])

    def write(self, path: str, data: bytes) -> None:
        """Write a file as it is."""
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)

    def read(self, path: str) -> bytes | None:
        """Return a file, or None."""
        place = self.folder / path
        return place.read_bytes() if place.is_file() else None
