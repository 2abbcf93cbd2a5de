from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.runtime.errors import Corrupt, Refused, Unreachable
from appliance.telemetry.records import Record
from appliance.telemetry.spool import Spool


def record(n: int = 0) -> Record:
    return Record.new("event", "guard", {"n": n})


def test_keeps_order_and_forgets(tmp_path: Path) -> None:
    """Records come back oldest first, after a number, and are gone once forgotten."""
    spool = Spool(tmp_path / "spool.db")
    made = [record(n) for n in range(5)]
    numbers = [spool.append(r) for r in made]
    assert numbers == sorted(set(numbers))
    assert [item.record for item in spool.pending(0, 3)] == made[:3]
    assert [item.record for item in spool.pending(numbers[2], 9)] == made[3:]
    assert spool.state().oldest == made[0].told()["time"]
    assert spool.forget([made[0].id, "nobody"]) == 1
    assert spool.depth() == 4
    spool.close()
    again = Spool(tmp_path / "spool.db")
    assert [item.record for item in again.pending()] == made[1:]
    again.close()


def test_numbers_are_never_used_again(tmp_path: Path) -> None:
    """A number is not given twice, even when the spool was empty in between."""
    spool = Spool(tmp_path / "spool.db")
    first = record()
    number = spool.append(first)
    spool.forget([first.id])
    assert spool.append(record()) > number
    spool.close()


def test_a_repeated_id_is_stored_once(tmp_path: Path) -> None:
    """Appending the same record again is accepted and changes nothing."""
    spool = Spool(tmp_path / "spool.db")
    one = record()
    assert spool.append(one) == spool.append(one)
    assert spool.depth() == 1
    spool.close()


def test_full_is_a_refusal(tmp_path: Path) -> None:
    """A full spool refuses with its reason, keeps what it has, and takes more once some is forgotten."""
    spool = Spool(tmp_path / "spool.db", most_records=2)
    kept = [record(n) for n in range(2)]
    for one in kept:
        spool.append(one)
    with pytest.raises(Refused) as refusal:
        spool.append(record())
    assert refusal.value.reason == "spool-full"
    spool.append(kept[0])  # waits already: nothing more is stored
    spool.forget([kept[0].id])
    spool.append(record())
    assert spool.depth() == 2
    spool.close()


def test_full_by_bytes_is_a_refusal(tmp_path: Path) -> None:
    """The bound in bytes holds too."""
    spool = Spool(tmp_path / "spool.db", most_bytes=400)
    spool.append(record())
    with pytest.raises(Refused, match="wait for the controller"):
        spool.append(Record.new("event", "guard", {"text": "x" * 300}))
    spool.close()


def test_a_record_that_breaks_the_rules_is_not_stored(tmp_path: Path) -> None:
    """A record built past its checks is refused at the door."""
    spool = Spool(tmp_path / "spool.db")
    good = record()
    with pytest.raises(Corrupt):
        spool.append(Record(good.id, good.kind, good.time, "NOBODY", {}))
    assert spool.depth() == 0
    spool.close()


def test_files_are_writable_by_the_group_whatever_the_umask(tmp_path: Path) -> None:
    """The file and SQLite's helpers carry mode 0660 under umask 077."""
    before = os.umask(0o077)
    try:
        spool = Spool(tmp_path / "spool.db")
        spool.append(record())
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"spool.db": 0o660, "spool.db-wal": 0o660, "spool.db-shm": 0o660}
    spool.close()


def test_threads_share_it(tmp_path: Path) -> None:
    """Threads append at once and nothing is lost."""
    spool = Spool(tmp_path / "spool.db")
    threads = [threading.Thread(target=lambda: [spool.append(record(n)) for n in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert spool.depth() == 80
    spool.close()


WRITER = """
import os, sys
from pathlib import Path
from appliance.telemetry.records import Record
from appliance.telemetry.spool import Spool
group, path, count = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(group); os.setuid(group + int(sys.argv[4]))
os.umask(0o077)
spool = Spool(path)
for n in range(count):
    record = Record.new("event", "guard", {"n": n})
    spool.append(record)
    os.write(1, record.id.encode() + b"\\n")  # said only once append returned
"""


def writer(path: Path, count: int, which: int = 0) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, "64000", str(path), str(count), str(which)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])},
    )


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder as the box's: set-group-id, of a group that the writers are in, and reachable (pytest's own folders are not)."""
    folder = Path(tempfile.mkdtemp(prefix="headgate-spool-"))
    if os.geteuid() == 0:
        os.chown(folder, 0, 64000)
    folder.chmod(0o2770)
    yield folder
    shutil.rmtree(folder)


def test_processes_of_several_users_share_it(shared: Path) -> None:
    """Three processes of three users in one group append at once, from a file that none of them found, and nothing is lost."""
    path = shared / "spool.db"
    running = [writer(path, 30, which) for which in range(3)]
    said = [process.communicate(timeout=60)[0].split() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    spool = Spool(path)
    assert {item.record.id for item in spool.pending(0, 1000)} == {name.decode() for names in said for name in names}
    assert spool.depth() == 90
    spool.close()


def test_survives_kill_9(shared: Path) -> None:
    """Killed in the middle of appending, every append that returned is there."""
    path = shared / "spool.db"
    for _ in range(3):
        process = writer(path, 1_000_000)
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(25)]
        os.kill(process.pid, signal.SIGKILL)
        said += process.stdout.readlines()
        process.stdout.close()
        assert process.wait(timeout=10) == -signal.SIGKILL
        spool = Spool(path)
        kept = {item.record.id for item in spool.pending(0, 100_000)}
        assert {line.decode().strip() for line in said if line.endswith(b"\n")} <= kept
        assert spool.depth() == len(kept)
        spool.close()


def test_a_damaged_record_does_not_hold_back_the_others(tmp_path: Path) -> None:
    """A record that can no longer be read is set aside, counted, and the others go on."""
    spool = Spool(tmp_path / "spool.db")
    made = [record(n) for n in range(3)]
    for one in made:
        spool.append(one)
    with sqlite3.connect(tmp_path / "spool.db") as other:
        other.execute("UPDATE records SET data = x'00ff' WHERE id = ?", (made[1].id,))
    other.close()
    assert [item.record for item in spool.pending()] == [made[0], made[2]]
    assert (spool.depth(), spool.state().damaged) == (2, 1)
    spool.close()


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    """A file that is no spool is Corrupt, not a crash."""
    path = tmp_path / "spool.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(Corrupt, match="damaged"):
        Spool(path)


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    """A spool whose folder is missing says so."""
    with pytest.raises(Unreachable, match="cannot be opened"):
        Spool(tmp_path / "nowhere" / "spool.db")


def test_a_locked_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another writer that never ends is told as Unreachable, within a bound."""
    monkeypatch.setattr("appliance.telemetry.spool.WAIT", 0.05)
    spool = Spool(tmp_path / "spool.db")
    other = sqlite3.connect(tmp_path / "spool.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unreachable):
        spool.append(record())
    other.execute("ROLLBACK")
    other.close()
    spool.append(record())
    spool.close()
