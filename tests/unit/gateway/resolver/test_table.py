"""The table on disk: installed whole or not at all."""

import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.runtime.errors import Corrupt, Refused
from gateway.resolver.codes import check_digit
from gateway.resolver.records import Record, Snapshot
from gateway.resolver.table import Table, install

MADE = datetime(2026, 1, 1, tzinfo=UTC)


def code(number: int) -> str:
    payload = f"999999{number:015}"
    return f"isli:999999-{number:015}-{check_digit(payload)}"


def snapshot(serial: int, count: int = 3, title: str = "film") -> bytes:
    records = [Record(code=code(n), title=f"{title} {n} of {serial}", body="library") for n in range(count)]
    return Snapshot(registry="centre", serial=serial, made=MADE, records=records).dump()


def test_an_installed_table_answers(tmp_path: Path) -> None:
    """What was installed is found by its code, and the table says what it is."""
    done = install(tmp_path, snapshot(7))
    assert (done.serial, done.count, done.fresh) == (7, 3, True)
    table = Table.open(tmp_path)
    found = table.get(code(2))
    assert found is not None
    assert found.title == "film 2 of 7"
    assert table.get(code(3)) is None
    info = table.info()
    assert info is not None
    assert (info.registry, info.serial, info.made, info.count) == ("centre", 7, MADE, 3)


def test_no_table_yet_is_no_error(tmp_path: Path) -> None:
    """A folder without a table answers nothing, and notices the first one."""
    table = Table.open(tmp_path)
    assert table.info() is None
    assert table.get(code(1)) is None
    install(tmp_path, snapshot(1))
    assert table.refresh()
    assert table.get(code(1)) is not None


def test_a_reader_notices_a_new_table_and_keeps_reading(tmp_path: Path) -> None:
    """An open reader answers from the old table until it looks, then from the new; two installations do not hurt it."""
    install(tmp_path, snapshot(1))
    table = Table.open(tmp_path)
    for serial in (2, 3, 4):
        install(tmp_path, snapshot(serial))
        assert table.get(code(0)).title == "film 0 of 1"  # type: ignore[union-attr]
    assert table.refresh()
    assert not table.refresh()
    assert table.get(code(0)).title == "film 0 of 4"  # type: ignore[union-attr]
    assert len(list((tmp_path / "tables").iterdir())) == 2


@pytest.mark.parametrize(("serial", "title", "reason"), [(4, "film", "older-serial"), (5, "other", "same-serial")])
def test_the_table_never_goes_back(tmp_path: Path, serial: int, title: str, reason: str) -> None:
    """An older serial, and another table of the same serial, are refused, and the current one stays."""
    install(tmp_path, snapshot(5))
    with pytest.raises(Refused) as refused:
        install(tmp_path, snapshot(serial, title=title))
    assert refused.value.reason == reason
    assert Table.open(tmp_path).get(code(1)).title == "film 1 of 5"  # type: ignore[union-attr]


def test_the_same_table_again_changes_nothing(tmp_path: Path) -> None:
    """A second installation of the same bytes writes nothing."""
    install(tmp_path, snapshot(5))
    before = (tmp_path / "current").lstat().st_ino
    assert not install(tmp_path, snapshot(5)).fresh
    assert (tmp_path / "current").lstat().st_ino == before


def test_damage_is_told(tmp_path: Path) -> None:
    """A table that cannot be read is Corrupt, and a newer one heals it."""
    install(tmp_path, snapshot(1))
    (tmp_path / "current" / "data.mdb").write_bytes(b"\xa5" * 8192)
    with pytest.raises(Corrupt, match="cannot be read"):
        Table.open(tmp_path)
    install(tmp_path, snapshot(2))
    assert Table.open(tmp_path).get(code(1)) is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_another_user_reads_it(tmp_path: Path) -> None:
    """A user who may only read opens the table, whatever the installer's umask was."""
    for parent in (tmp_path, *tmp_path.parents[:-2]):
        parent.chmod(0o755)
    old = os.umask(0o077)
    try:
        install(tmp_path, snapshot(1))
    finally:
        os.umask(old)
    script = (
        "import os, sys; from pathlib import Path; from gateway.resolver.table import Table; "
        "path = Path(sys.argv[1]); Table.open(path).close(); "  # loads all it needs: the clone may lie where only its owner reads
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); "
        f"print(Table.open(path).get('{code(1)}').title)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stdout == "film 1 of 1\n", done.stderr


def test_kill_9_while_installing_leaves_a_whole_table(tmp_path: Path) -> None:
    """However the installer is killed, a whole table is current, serials only grow, and the next installation cleans up."""
    install(tmp_path, snapshot(1, count=400))
    script = (
        "import sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path; import test_table as t\n"
        "from gateway.resolver.table import Table, install\n"
        "start = Table.open(Path(sys.argv[1])).info().serial\n"
        "payloads = [t.snapshot(start + n, count=400) for n in range(1, 60)]\n"
        "print('go', flush=True)\n"
        "for payload in payloads: install(Path(sys.argv[1]), payload)\n"
    )
    wait, last, seen = random.Random(7), 1, set()
    for _ in range(8):
        installer = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path), str(Path(__file__).parent)], stdout=subprocess.PIPE
        )
        assert installer.stdout is not None
        assert installer.stdout.readline() == b"go\n"
        time.sleep(wait.uniform(0.01, 0.15))  # not a synchronisation: any instant must be survivable
        installer.send_signal(signal.SIGKILL)
        installer.wait(10)
        installer.stdout.close()
        table = Table.open(tmp_path)
        info = table.info()
        assert info is not None
        assert info.serial >= last
        assert all(table.get(code(n)).title == f"film {n} of {info.serial}" for n in range(400))  # type: ignore[union-attr]
        last = info.serial
        seen.add(last)
        table.close()
    assert len(seen) > 1  # some were killed after they had installed something
    install(tmp_path, snapshot(last + 1))
    assert not list(tmp_path.glob(".building-*"))
    assert len(list((tmp_path / "tables").iterdir())) == 2
