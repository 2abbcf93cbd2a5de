"""The power goes between any two operations on the disk, and of what was not synced anything may be lost.

A recording disk writes down each operation of a run. Then, as ALICE does (Pillai et al., OSDI 2014), the states are made that a disk may
be found in after a power cut there: what fsync was asked for is there, of the rest any part may be, data and names each by itself.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance.identity.keys import PrivateKey
from appliance.journal import tiles
from appliance.journal.disk import Disk
from appliance.journal.log import Journal
from appliance.journal.verify import verify_folder
from appliance.runtime.errors import Corrupt

PRIVATE = PrivateKey.generate()
ORIGIN = "headend/guard"
PAGE = 512  # bytes that a disk writes wholly or not


@dataclass
class File:
    """A file's content: what is durable, and what was written since in order."""

    durable: bytes = b""
    since: list[tuple[int, bytes]] = field(default_factory=list)  # (place, data); place -1 cuts to the length of data

    def now(self) -> bytes:
        return self.after(lambda _: True)

    def after(self, keeps: object) -> bytes:
        """Return the content where of what is not durable only some pages reached the disk."""
        data = bytearray(self.durable)
        for place, written in self.since:
            for at in range(0, len(written), PAGE):
                if keeps(place + at):  # type: ignore[operator]
                    part = written[at : at + PAGE]
                    data.extend(bytes(max(0, place + at + len(part) - len(data))))
                    data[place + at : place + at + len(part)] = part
        return bytes(data)


class Recording(Disk):
    """Does as the real disk, and keeps in mind what would be left of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: dict[int, File] = {}  # by a number of the file, whatever its name
        self.names: dict[Path, int] = {}  # as they are now
        self.durable: dict[Path, int] = {}  # as a folder's sync left them
        self.folders: set[Path] = {root}
        self.moments: list[tuple[str, object]] = []
        self.on_operation = lambda: None
        self._next = 0

    def _of(self, file: int) -> File:
        return self.files[self.names[Path(f"/proc/self/fd/{file}").readlink()]]

    def append(self, file: int, data: bytes) -> None:
        known = self._of(file)
        known.since.append((len(known.now()), data))
        super().append(file, data)
        self.on_operation()

    def sync(self, file: int) -> None:
        super().sync(file)
        known = self._of(file)
        known.durable, known.since = known.now(), []
        self.on_operation()

    def write(self, path: Path, data: bytes) -> None:
        self.write_all([(path, data)])

    def write_all(self, files: Sequence[tuple[Path, bytes]]) -> None:
        for path, data in files:
            self._next += 1
            self.names[path] = self._next
            self.files[self._next] = File(b"", [(0, data)])
            self.on_operation()  # written, and not yet synced
            path.write_bytes(data)
        for path, data in files:
            self.files[self.names[path]] = File(data)
            self.on_operation()

    def rename(self, path: Path, to: Path) -> None:
        super().rename(path, to)
        self.names[to] = self.names.pop(path)
        self.on_operation()

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        self.names.pop(path, None)
        self.on_operation()

    def make_folder(self, path: Path) -> None:
        super().make_folder(path)
        self.on_operation()

    def sync_folder(self, path: Path) -> None:
        super().sync_folder(path)
        for known in (self.names, self.durable):
            for name in [name for name in known if name.parent == path]:
                if name in self.names:
                    self.durable[name] = self.names[name]
                else:
                    del self.durable[name]
        self.folders.add(path)
        self.on_operation()

    def left(self, to: Path, chance: random.Random, share: float) -> None:
        """Make below ``to`` what a power cut now may leave: of all that is not durable about ``share`` is there."""
        changed = {name for name in {*self.names, *self.durable} if self.names.get(name) != self.durable.get(name)}
        names = dict(self.durable)
        for name in sorted(changed):
            if chance.random() < share:
                if name in self.names:
                    names[name] = self.names[name]
                else:
                    names.pop(name, None)
        for name, number in names.items():
            place = to / name.relative_to(self.root)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(self.files[number].after(lambda _: chance.random() < share))


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.server)])
def test_a_power_cut_at_any_instant_loses_no_accepted_entry_and_leaves_nothing_that_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """After every operation: what append returned for is there, the journal opens, and no state verifies that was never written."""
    monkeypatch.setattr("appliance.journal.log.FULL_TAIL", 260)
    chance = random.Random(seed)
    root = tmp_path / "now"
    root.mkdir()
    disk = Recording(root)
    accepted: list[dict[str, object]] = []
    offered: list[dict[str, object]] = []
    states = 0

    def cut_the_power() -> None:
        nonlocal states
        for share in (0.0, 1.0, chance.random()):
            if chance.random() < 0.85 and states > 40:
                continue
            states += 1
            after = tmp_path / f"after-{states}"
            after.mkdir()
            disk.left(after, chance, share)
            if (after / "guard" / "tail.jsonl").exists():
                judge(after / "guard")
            else:
                assert accepted == []

    def judge(folder: Path) -> None:
        report = verify_folder(folder, str(PRIVATE.public)) if (folder / "key.pub").exists() else None
        if report is not None and report.ok:
            assert tiles.told(folder) == offered[: report.signed]
            assert report.signed >= len(accepted)
        try:
            journal = Journal(folder, PRIVATE, ORIGIN)
        except Corrupt as error:
            raise AssertionError(f"a power cut made the journal unreadable: {error}") from error
        assert journal.size >= len(accepted)
        journal.append({"after": "the cut"})
        journal.close()
        again = verify_folder(folder, str(PRIVATE.public))
        assert again.faults == []
        assert tiles.told(folder) == [*offered[: again.signed - 1], {"after": "the cut"}]

    disk.on_operation = cut_the_power
    journal = Journal(root / "guard", PRIVATE, ORIGIN, disk=disk)
    while len(accepted) < 800:
        batch: list[dict[str, object]] = [
            {"number": len(offered) + index} for index in range(chance.choice([1, 2, 90, 200]))
        ]
        offered += batch
        journal.append_many(batch)
        accepted += batch
        if chance.random() < 0.3:
            journal.publish()
    disk.on_operation = lambda: None
    journal.close()
    assert states > 80


def test_every_torn_end_of_the_last_writes_opens_to_what_was_signed(tmp_path: Path) -> None:
    """The tail cut inside and at the edges of its last three batches: the batches before stand, and nothing else."""
    journal = Journal(tmp_path / "j", PRIVATE, ORIGIN)
    journal.append({"number": 1})
    checkpoint = journal.publish()
    ends = []
    for number in (2, 3, 4):
        ends.append((tmp_path / "j" / "tail.jsonl").stat().st_size)
        journal.append({"number": number})
    whole = (tmp_path / "j" / "tail.jsonl").read_bytes()
    journal.close()
    before = (tmp_path / "j" / "checkpoint").read_bytes()
    assert before != checkpoint
    each = range(ends[0], len(whole) + 1)
    edges = {size for end in (*ends, len(whole)) for size in (end - 2, end - 1, end, end + 1)}
    for size in sorted(set(each) & (edges | set(each[random.randrange(12) :: 12]))):
        folder = tmp_path / f"torn-{size}"
        (folder).mkdir()
        for name, data in (
            ("tail.jsonl", whole[:size]),
            ("checkpoint", checkpoint),
            ("key.pub", (tmp_path / "j/key.pub").read_bytes()),
        ):
            (folder / name).write_bytes(data)
        for kind in ("0", "entries"):
            (folder / "tile" / kind / "000.p").mkdir(parents=True)
        (folder / "tile/0/000.p/1").write_bytes(journal_tile(whole))
        (folder / "tile/entries/000.p/1").write_bytes(tiles.pack([b'{"number":1}']))
        expected = 1 + sum(size >= end for end in (*ends[1:], len(whole)))
        report = verify_folder(folder, str(PRIVATE.public))
        assert (report.faults, report.signed) == ([], expected)
        again = Journal(folder, PRIVATE, ORIGIN)
        assert (again.size, again.cut) == (expected, size - ([ends[0], *ends[1:], len(whole)][expected - 1]))
        again.close()
        assert verify_folder(folder, str(PRIVATE.public)).faults == []


def test_a_signature_that_reached_the_disk_before_its_entries_signs_nothing(tmp_path: Path) -> None:
    """Pages of one write may come in any order: a batch whose first page is missing was never accepted, and is cut."""
    journal = Journal(tmp_path / "j", PRIVATE, ORIGIN)
    journal.append({"number": 1})
    journal.publish()
    folder = Path(shutil.copytree(tmp_path / "j", tmp_path / "after"))
    good = (folder / "tail.jsonl").stat().st_size
    journal.append({"pad": "x" * 2000})
    data = bytearray((tmp_path / "j" / "tail.jsonl").read_bytes())
    journal.close()
    data[good : good + PAGE] = bytes(PAGE)
    (folder / "tail.jsonl").write_bytes(data)
    assert verify_folder(folder).signed == 1
    again = Journal(folder, PRIVATE, ORIGIN)
    assert (again.size, again.cut) == (1, len(data) - good)
    again.close()
    assert verify_folder(folder).ok


def journal_tile(whole: bytes) -> bytes:
    from appliance.journal.proofs import leaf_hash

    assert whole.splitlines()[2] == b'{"number":1}'
    return leaf_hash(b'{"number":1}')
