"""A copy of what a registry publishes -> everything that is wrong with it: tree, chains, statements, snapshot. Touches the folder."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from pathlib import Path

from appliance.identity.keys import PublicKey
from appliance.journal import note
from appliance.journal.proofs import Frontier, leaf_hash
from appliance.journal.reading import Reading
from appliance.journal.verify import Key
from appliance.runtime.errors import Corrupt, HeadgateError
from gateway.resolver import statement as statements
from gateway.resolver.change import Change, parse_change, record_in
from gateway.resolver.published import HEAD, SNAPSHOT, Head, Signed, Snapshot, unseal
from gateway.resolver.records import LONGEST_RECORD, parse_record
from gateway.resolver.statement import Statement

MOST_NAMED = 1000  # faults that are told one by one
TOGETHER = 2560  # changes between two looks at the progress: whole tiles


@dataclass(frozen=True)
class Keys:
    """Who may have signed: the keys of bodies, and of operators who withdraw; empty: signatures are not checked."""

    bodies: Mapping[str, Sequence[PublicKey]] = field(default_factory=dict)
    operators: Sequence[PublicKey] = ()


@dataclass
class Report:
    """What an audit found: how much was looked at, and each fault in words."""

    changes: int = 0
    codes: int = 0
    statements: int = 0
    signed: bool = False  # whether signatures of bodies were checked
    snapshot: int | None = None  # size of the log that the snapshot shows, once its records were compared
    faults: list[str] = field(default_factory=list)
    more: int = 0  # faults beyond those

    @property
    def ok(self) -> bool:
        """Whether all is as it must be."""
        return not self.faults

    def add(self, fault: str) -> None:
        """Note a fault."""
        if len(self.faults) < MOST_NAMED:
            self.faults.append(fault)
        else:
            self.more += 1


@dataclass(frozen=True)
class _Latest:
    number: int
    final: bool  # it was withdrawn
    dump: bytes  # digest of the record's dump


class Audit:
    """One look over the copy in ``folder`` of ``/registry/``, whose verifier key is ``key``."""

    def __init__(self, folder: Path, key: Key, keys: Keys) -> None:
        self._folder, self._key, self._keys = folder, key, keys
        self._reading = Reading(folder)
        self._latest: dict[str, _Latest] = {}
        self._time: datetime | None = None
        self._statement_before: tuple[str, Statement, bytes] | None = None  # a large one is met several times
        self.report = Report(signed=bool(keys.bodies))

    def run(self, seen: Callable[[int, int], None]) -> Report:
        """Look at all of it; ``seen`` is told how many of how many changes were looked at.

        Raises:
            Corrupt: there is no checkpoint that the key signed.
        """
        head = note.open_note(self._reading.checkpoint(), self._key)
        published, snapshot = self._signed(HEAD, Head), self._signed(SNAPSHOT, Snapshot)
        marks = {one.size: one.root for one in (published, snapshot) if one is not None} | {head.size: head.root.hex()}
        tree, before = Frontier(), 0
        for mark in [0, *sorted(marks)]:
            if mark > head.size:
                self.report.add(f"something is signed of {mark} changes, the checkpoint has only {head.size}")
                break
            for start in range(before, mark, TOGETHER):
                self._look(start, min(mark, start + TOGETHER), tree)
                seen(min(mark, start + TOGETHER), head.size)
            before = mark
            if mark in marks and tree.root.hex() != marks[mark]:
                self.report.add(f"the first {mark} changes are not those that were signed")
            if snapshot is not None and mark == snapshot.size:
                self._compare(snapshot)
        self.report.codes = len(self._latest)
        return self.report

    def _signed(self, name: str, model: type[Signed]) -> Signed | None:
        try:
            return unseal(model, (self._folder / name).read_bytes(), [PublicKey(self._key.raw)])[0]
        except FileNotFoundError:
            return None
        except HeadgateError as error:
            self.report.add(f"{name}: {error}")
            return None

    def _look(self, start: int, end: int, tree: Frontier) -> None:
        """Look at the changes behind ``start``, up to number ``end``; a statement may go on in the next part."""
        changes: list[tuple[int, Change]] = []
        leaves = []
        try:
            for number, data in enumerate(self._reading.entries(start, end), start + 1):
                leaves.append(leaf_hash(data))
                try:
                    changes.append((number, parse_change(data)))
                except Corrupt as error:
                    self.report.add(f"change {number}: {error}")
        except Corrupt as error:
            self.report.add(str(error))
        tree.add_many(leaves)
        self.report.changes += len(leaves)
        for digest, group in groupby(changes, lambda one: one[1].statement):
            self._statement(digest, list(group))
        for number, change in changes:
            self._chain(number, change)

    def _chain(self, number: int, change: Change) -> None:
        """A code's changes name each other, none follows a withdrawal, and time goes on."""
        record = change.record
        before = self._latest.get(record.code)
        if change.previous != (before.number if before else None):
            self.report.add(
                f"change {number}: {record.code} was changed before by {before.number if before else 'none'}"
            )
        if before is not None and before.final:
            self.report.add(
                f"change {number}: {record.code} was withdrawn by change {before.number}, which is for good"
            )
        if self._time is not None and change.time < self._time:
            self.report.add(f"change {number}: it is of a time before that of the change before it")
        self._time = change.time
        self._latest[record.code] = _Latest(number, record.status == "withdrawn", _short(record.dump()))

    def _statement(self, digest: str, changes: list[tuple[int, Change]]) -> None:
        """Each change is in what its body signed."""
        numbers = f"changes {changes[0][0]} to {changes[-1][0]}"
        try:
            told, leaves = self._open(digest, changes)
        except (HeadgateError, OSError) as error:
            self.report.add(f"{numbers}: the statement {digest[:12]}: {error}")
            return
        if statements.root_of(leaves) != told.root or len(leaves) != told.count * 32:
            self.report.add(f"{numbers}: the statement {digest[:12]} is of other records")
        for number, change in changes:
            leaf = leaf_hash(change.record.dump())
            if leaves[change.index * 32 : change.index * 32 + 32] != leaf:
                self.report.add(f"change {number}: it is not in its statement")
            if change.record.body != told.body or (change.record.status == "withdrawn") != (told.act == "withdraw"):
                self.report.add(f"change {number}: its statement is of another body or another act")

    def _open(self, digest: str, changes: list[tuple[int, Change]]) -> tuple[Statement, bytes]:
        """Return what was signed, by whom is checked where keys are known, and its records' hashes."""
        before = self._statement_before
        if before is not None and before[0] == digest:
            return before[1], before[2]
        self.report.statements += 1
        path = self._folder / "statements" / digest[:2] / f"{digest}.json"
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            raise Corrupt("its content is another than its name says")
        told = statements.claimed(data)
        if self.report.signed:
            keys = [*self._keys.bodies.get(told.body, ()), *(self._keys.operators if told.act == "withdraw" else ())]
            told = statements.open_statement(data, keys)
        leaves = self._leaves(path, told, changes)
        self._statement_before = (digest, told, leaves)
        return told, leaves

    def _leaves(self, path: Path, told: Statement, changes: list[tuple[int, Change]]) -> bytes:
        """Return the hashes of the statement's records: as kept, or made anew from the log, where all of them are."""
        if path.with_suffix(".leaves").exists():
            return path.with_suffix(".leaves").read_bytes()
        number, change = changes[0]
        first = number - 1 - change.index
        if first < 0:
            raise Corrupt("the log begins after its first record")
        entries = self._reading.entries(first, first + told.count)
        return statements.leaves_of(record_in(data) for data in entries)

    def _compare(self, snapshot: Snapshot) -> None:
        """The snapshot holds what the log says, no more and no less."""
        count = 0
        for dump in self._dumps(snapshot):
            count += 1
            try:
                code = parse_record(dump).code
            except Corrupt as error:
                self.report.add(f"{SNAPSHOT}: {error}")
                continue
            known = self._latest.get(code)
            if known is None or known.dump != _short(dump):
                self.report.add(f"{SNAPSHOT}: {code} is not as the log has it")
        if count != len(self._latest):
            self.report.add(f"{SNAPSHOT}: it holds {count} records, the log {len(self._latest)}")
        self.report.snapshot = snapshot.size

    def _dumps(self, snapshot: Snapshot) -> Iterator[bytes]:
        for chunk in snapshot.chunks:
            path = self._folder / chunk.name
            try:
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                if digest != chunk.sha256:
                    self.report.add(f"{chunk.name}: its content is another than its name says")
                    continue
                with gzip.open(path) as lines:
                    while line := lines.readline(LONGEST_RECORD + 2):
                        yield line.removesuffix(b"\n")
            except (OSError, EOFError) as error:
                self.report.add(f"{chunk.name}: {error}")


def _short(dump: bytes) -> bytes:
    return hashlib.blake2b(dump, digest_size=16).digest()
