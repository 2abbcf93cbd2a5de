"""The journal's files: appended in batches, opened again, full disks, killed writers."""

from __future__ import annotations

import base64
import errno
import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from appliance.identity.keys import PrivateKey
from appliance.journal import note, proofs, tiles
from appliance.journal.disk import Disk
from appliance.journal.log import LONGEST, Journal
from appliance.journal.verify import CHECKPOINT, ENTRIES, TAIL, WITNESSED, parse_note, unpack, verify_folder
from appliance.runtime.errors import Corrupt, Refused, Unreachable

PRIVATE = PrivateKey.generate()
ORIGIN = "headend/guard"


def sign_as(journal: Journal, size: int, lines: list[str]) -> bool:
    return journal.countersigned(size, base64.b64encode(journal.head(size).root).decode(), lines)


def entries(count: int, first: int = 1) -> list[dict[str, object]]:
    return [{"decision": "apply", "number": number} for number in range(first, first + count)]


def numbers(folder: Path) -> list[object]:
    return [told["number"] for told in tiles.told(folder)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a journal with 700 entries: two whole tiles and a part."""
    journal = Journal(tmp_path / "guard", PRIVATE, ORIGIN)
    assert journal.append_many(entries(600)) == range(1, 601)
    for entry in entries(100, 601):
        journal.append(entry)
    journal.close()
    return tmp_path / "guard"


def test_what_was_appended_verifies_and_goes_on_after_a_restart(folder: Path) -> None:
    """The tree continues where it was, and numbers follow."""
    journal = Journal(folder, PRIVATE, ORIGIN)
    assert journal.append({"decision": "confirm", "number": 701}) == 701
    report = verify_folder(folder, str(PRIVATE.public))  # with the writer still at it
    assert (report.ok, report.signed, report.notes) == (True, 701, [])
    journal.close()
    assert numbers(folder) == list(range(1, 702))
    assert Journal(folder, PRIVATE, ORIGIN).size == 701


def test_the_files_are_those_of_tlog_tiles(folder: Path) -> None:
    """Whole and partial tiles and bundles lie where c2sp.org/tlog-tiles says, no others do, and the tail begins behind the whole ones."""
    found = {str(path.relative_to(folder / "tile")) for path in (folder / "tile").rglob("*") if path.is_file()}
    assert found == {"entries/000", "entries/001", "entries/002.p/188", "0/000", "0/001", "0/002.p/188", "1/000.p/2"}
    bundle = unpack((folder / "tile" / ENTRIES / "001").read_bytes())
    hashes = b"".join(proofs.leaf_hash(entry) for entry in bundle)
    assert (folder / "tile/0/001").read_bytes() == hashes
    assert len(hashes) == 8192
    assert (folder / TAIL).read_bytes().startswith(b"after 512\n{")
    head = parse_note((folder / CHECKPOINT).read_bytes())
    assert head.size == 700
    complete = tiles.Tiles(folder / "tile").complete
    assert proofs.root_of(0, 700, complete) == head.root


@pytest.mark.parametrize(
    "count", [1, 255, 256, 257, *(pytest.param(n, marks=pytest.mark.server) for n in (65_535, 65_536, 65_537 + 256))]
)
def test_any_size_opens_again_and_verifies(tmp_path: Path, count: int) -> None:
    """At the edges of tiles and of their levels the frontier is read back as it was, without reading the entries."""
    journal = Journal(tmp_path / "j", PRIVATE, ORIGIN)
    journal.append_many(entries(count))
    root = journal.head().root
    journal.close()
    again = Journal(tmp_path / "j", PRIVATE, ORIGIN)
    assert (again.size, again.head().root) == (count, root)
    again.append_many(entries(3, count + 1))
    again.close()
    report = verify_folder(tmp_path / "j")
    assert (report.faults, report.signed) == ([], count + 3)


def test_opening_reads_no_old_entries(folder: Path) -> None:
    """The bundles may be on another disk: what opens a journal is the tail and the tree's right edge."""
    for path in (folder / "tile" / ENTRIES).glob("00[01]"):
        path.unlink()
    assert Journal(folder, PRIVATE, ORIGIN).append({}) == 701


def test_a_batch_counts_wholly_or_not_at_all(folder: Path) -> None:
    """One entry that is too long, or that JSON cannot say, and none of its batch is written."""
    journal = Journal(folder, PRIVATE, ORIGIN)
    for wrong in ({"pad": "x" * LONGEST}, {"pad": float("nan")}, {"pad": "\ud800"}):
        with pytest.raises(ValueError, match=r"at most|compliant|surrogates"):
            journal.append_many([{"decision": "apply"}, wrong])
    assert journal.size == 700
    assert journal.append_many([]) == range(701, 701)
    journal.append({"pad": "x" * (LONGEST - 10)})  # the longest there is fits a bundle
    journal.close()
    assert verify_folder(folder).signed == 701


def test_a_torn_last_write_is_told_and_cut(folder: Path) -> None:
    """What append returned for is still there; the next entry begins on a line of its own."""
    with (folder / TAIL).open("ab") as file:
        file.write(b'{"decision":"apply"}\n{"decision":"app')
    report = verify_folder(folder)
    assert (report.ok, report.signed) == (True, 700)
    assert "interrupted" in report.notes[0]
    journal = Journal(folder, PRIVATE, ORIGIN)
    assert journal.cut == 37
    assert journal.append({"decision": "confirm"}) == 701
    assert verify_folder(folder).notes == []


@pytest.mark.parametrize(
    ("name", "spoil", "told"),
    [
        (TAIL, lambda data: data.replace(b'"number":600', b'"number":666'), "not as they were signed"),
        (TAIL, lambda data: data[: data.index(b"\n") + 1], "not as they were signed"),
        (TAIL, lambda data: data.replace(b"after 512", b"after 256"), "not as they were signed"),
        (TAIL, lambda _: b"", "begin"),
        (CHECKPOINT, lambda data: data.replace(b"\n700\n", b"\n701\n"), "not signed"),
        (CHECKPOINT, lambda _: b"", "no checkpoint"),
        ("tile/1/000.p/2", lambda data: bytes(len(data)), "not as they were signed"),
    ],
)
def test_a_writer_goes_on_from_nothing_that_was_altered(folder: Path, name: str, spoil: object, told: str) -> None:
    """Opening proves by a signature that tail and tree are what this key signed, and that nothing published is missing."""
    (folder / name).write_bytes(spoil((folder / name).read_bytes()))  # type: ignore[operator]
    with pytest.raises(Corrupt, match=told):
        Journal(folder, PRIVATE, ORIGIN)


@pytest.mark.parametrize("name", [TAIL, CHECKPOINT, "tile/1/000.p/2"])
def test_a_writer_goes_on_from_nothing_that_is_gone(folder: Path, name: str) -> None:
    """A missing part is no new beginning."""
    (folder / name).unlink()
    with pytest.raises(Corrupt, match=r"gone|missing"):
        Journal(folder, PRIVATE, ORIGIN)


def test_a_tail_put_back_to_what_it_was_does_not_open(tmp_path: Path) -> None:
    """Entries that were published or countersigned cannot be taken away by an older tail, each of which was signed in its time."""
    journal = Journal(tmp_path / "j", PRIVATE, ORIGIN)
    journal.append({"number": 1})
    older = (tmp_path / "j" / TAIL).read_bytes()
    journal.append({"number": 2})
    checkpoint = journal.publish()
    (tmp_path / "j" / WITNESSED).write_bytes(checkpoint)
    journal.close()
    (tmp_path / "j" / TAIL).write_bytes(older)
    with pytest.raises(Corrupt, match="2 entries were signed"):
        Journal(tmp_path / "j", PRIVATE, ORIGIN)
    (tmp_path / "j" / CHECKPOINT).unlink()
    with pytest.raises(Corrupt, match="witnessed: 2 entries"):
        Journal(tmp_path / "j", PRIVATE, ORIGIN)


def test_one_writer_at_a_time(folder: Path) -> None:
    """A second one is turned away, and may come when the first has gone."""
    first = Journal(folder, PRIVATE, ORIGIN)
    with pytest.raises(Unreachable, match="another process"):
        Journal(folder, PRIVATE, ORIGIN)
    first.close()
    first.close()
    with pytest.raises(Refused, match="closed"):
        first.append({})
    assert Journal(folder, PRIVATE, ORIGIN).size == 700


class Failing(Disk):
    """A disk whose named operation fails, for a while or for ever."""

    def __init__(self) -> None:
        self.failing: dict[str, int] = {}

    def _fail(self, name: str) -> None:
        if name in self.failing:
            raise OSError(self.failing[name], os.strerror(self.failing[name]))

    def append(self, file: int, data: bytes) -> None:
        if "append" in self.failing:
            super().append(file, data[: len(data) // 2])
        self._fail("append")
        super().append(file, data)

    def sync(self, file: int) -> None:
        self._fail("sync")
        super().sync(file)

    def cut(self, file: int, size: int) -> None:
        self._fail("cut")
        super().cut(file, size)

    def write(self, path: Path, data: bytes) -> None:
        self._fail("write")
        super().write(path, data)


def test_a_full_disk_refuses_and_leaves_nothing_behind(folder: Path) -> None:
    """Half a write is taken back; when there is room again the journal goes on."""
    disk = Failing()
    journal = Journal(folder, PRIVATE, ORIGIN, disk=disk)
    disk.failing = {"append": errno.ENOSPC}
    with pytest.raises(Refused) as refused:
        journal.append({"decision": "apply"})
    assert (refused.value.reason, refused.value.status) == ("journal-full", 507)
    assert verify_folder(folder).notes == []
    disk.failing = {}
    assert journal.append({"decision": "apply"}) == 701


@pytest.mark.parametrize("failing", [{"sync": errno.EIO}, {"append": errno.EIO, "cut": errno.EIO}])
def test_after_a_failed_fsync_nothing_is_accepted_until_a_new_start(folder: Path, failing: dict[str, int]) -> None:
    """A second fsync would succeed without having written (fsyncgate), so the journal does not ask again."""
    disk = Failing()
    journal = Journal(folder, PRIVATE, ORIGIN, disk=disk)
    disk.failing = failing
    with pytest.raises(Refused, match="cannot be written"):
        journal.append({"decision": "apply"})
    disk.failing = {}
    with pytest.raises(Refused) as refused:
        journal.append({"decision": "apply"})
    assert refused.value.reason == "journal-broken"
    journal.close()
    again = Journal(folder, PRIVATE, ORIGIN)
    assert again.size >= 700
    assert verify_folder(folder).ok


def test_entries_count_also_while_tiles_cannot_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tail grows meanwhile, not without end; tiles follow."""
    monkeypatch.setattr("appliance.journal.log.FULL_TAIL", 300)
    monkeypatch.setattr("appliance.journal.log.MOST_TAIL", 500)
    disk = Failing()
    journal = Journal(folder, PRIVATE, ORIGIN, disk=disk)
    disk.failing = {"write": errno.ENOSPC}
    assert journal.append_many(entries(400, 701)) == range(701, 1101)
    with pytest.raises(Refused, match="tiles cannot be written"):
        journal.publish()
    with pytest.raises(Refused) as refused:
        journal.append({})
    assert refused.value.reason == "journal-full"
    disk.failing = {}
    assert parse_note(journal.publish()).size == 1100
    journal.append({"number": 1101})
    journal.close()
    assert verify_folder(folder).signed == 1101


class Meeting(Disk):
    """A disk that writes a tile only while it is asked for another one."""

    def __init__(self) -> None:
        self._both = threading.Barrier(2, timeout=30)
        self.met: list[str] = []

    def write(self, path: Path, data: bytes) -> None:
        if path.name.startswith("new."):
            self._both.wait()
            self.met.append(path.name)
        super().write(path, data)


def test_tiles_wait_for_the_disk_together(tmp_path: Path) -> None:
    """One after the other, each would wait for an fsync of its own: that is where the time of a bulk registration went."""
    disk = Meeting()
    journal = Journal(tmp_path / "j", PRIVATE, ORIGIN, disk=disk)
    journal.append_many(entries(100))  # a tile and a bundle
    journal.publish()
    journal.close()
    assert sorted(disk.met) == ["new.0", "new.1"]
    assert verify_folder(tmp_path / "j").faults == []


def test_what_a_crash_left_of_tiles_is_removed(folder: Path) -> None:
    """They never got a name, and their entries are in the tail."""
    (folder / "new.63").write_bytes(b"half a tile")
    Journal(folder, PRIVATE, ORIGIN).close()
    assert not (folder / "new.63").exists()


def test_many_threads_append_at_once(tmp_path: Path) -> None:
    """Every entry has a number of its own, and is where its number says."""
    journal = Journal(tmp_path / "j", PRIVATE, ORIGIN)
    got: dict[int, str] = {}

    def work(name: str) -> None:
        for index in range(40):
            got[journal.append({"id": f"{name}{index}"})] = f"{name}{index}"

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    assert [told["id"] for told in tiles.told(tmp_path / "j")] == [got[number] for number in range(1, 241)]
    assert verify_folder(tmp_path / "j").ok


def test_what_witnesses_signed_is_kept_beside_the_checkpoint(folder: Path) -> None:
    """Each witness's newest line stays, older heads give way, and what is no cosignature is not taken."""
    journal = Journal(folder, PRIVATE, ORIGIN)
    operator, regulator = PrivateKey.generate(), PrivateKey.generate()
    keys = [note.verifier(note.witness_key(n, k.public)) for n, k in (("operator", operator), ("regulator", regulator))]
    line = note.cosignature(journal.head(), "operator", operator, 100)
    assert sign_as(journal, 700, [line])
    assert not sign_as(journal, 700, [line])
    assert sign_as(journal, 700, [note.cosignature(journal.head(), "regulator", regulator, 101)])
    assert sign_as(journal, 700, [note.cosignature(journal.head(), "operator", operator, 102)])
    assert not sign_as(journal, 600, [note.cosignature(journal.head(600), "operator", operator, 103)])
    assert journal.witnessed == 700
    report = verify_folder(folder, witnesses=keys)
    assert (report.faults, report.witnesses) == ([], {"operator": (700, 102), "regulator": (700, 101)})
    assert journal.standing().witnesses == (("regulator", 700, 101), ("operator", 700, 102))
    for lines in ([], ["x"]):
        with pytest.raises(Corrupt):
            sign_as(journal, 700, lines)
    for size, root in ((701, journal.head().root), (700, bytes(32))):
        with pytest.raises(Corrupt, match="signed"):
            journal.countersigned(size, base64.b64encode(root).decode(), [line])
    journal.close()
    assert Journal(folder, PRIVATE, ORIGIN).witnessed == 700


@pytest.mark.parametrize("old", [0, 1, 255, 256, 511, 512, 600, 699, 700])
def test_a_request_proves_that_the_journal_goes_on(folder: Path, old: int) -> None:
    """From whatever size a witness saw last, from tiles and memory alike."""
    journal = Journal(folder, PRIVATE, ORIGIN)
    before, asked = journal.head(old), note.parse_request(journal.request(old))
    head = parse_note(asked.note)
    assert (asked.old, head.size) == (old, 700)
    assert proofs.is_consistent(old, before.root, 700, head.root, asked.proof)


def write_for_ever(folder: Path, key: PrivateKey, pipe: int) -> None:
    """Append batch after batch, and say each number that was accepted."""
    journal = Journal(folder, key, ORIGIN)
    number = journal.size
    while True:
        number = journal.append_many(entries(1 + number % 97, number + 1))[-1]
        os.write(pipe, b"%d\n" % number)


@pytest.mark.filterwarnings(
    "ignore:.*use of fork:DeprecationWarning"
)  # a worker of the tests has a thread, which the child needs not
def test_a_writer_killed_at_any_moment_loses_nothing_that_it_said_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten times kill -9 at a random moment, in the middle of tiles and checkpoints too: all that was acknowledged is there."""
    monkeypatch.setattr("appliance.journal.log.FULL_TAIL", 300)
    folder, chance, kept = tmp_path / "j", random.Random(7), 0
    for _ in range(10):
        here, there = os.pipe()
        writer = os.fork()
        if writer == 0:
            try:
                write_for_ever(folder, PRIVATE, there)
            finally:
                os._exit(1)
        os.close(there)
        with os.fdopen(here, "rb") as said:
            last = said.readline()
            end = time.monotonic() + chance.uniform(0, 0.05)
            while time.monotonic() < end:
                last = said.readline()
            os.kill(writer, signal.SIGKILL)
            os.waitpid(writer, 0)
            rest = [line for line in said.read().splitlines(keepends=True) if line.endswith(b"\n")]
        kept = int((rest or [last])[-1])
        report = verify_folder(folder, str(PRIVATE.public))
        assert report.faults == []
        assert report.signed >= kept
    journal = Journal(folder, PRIVATE, ORIGIN)
    assert journal.size >= kept > 300
    journal.close()
    assert verify_folder(folder).faults == []
    assert numbers(folder) == list(range(1, journal.size + 1))
