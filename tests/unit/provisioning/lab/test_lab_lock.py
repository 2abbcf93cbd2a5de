"""One process at a time changes a lab."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.runtime.errors import Refused
from provisioning.lab import lock
from provisioning.lab.lock import MARK, holding

HOLD = """
import subprocess, sys
from pathlib import Path
from provisioning.lab.lock import holding
folder = Path(sys.argv[2])
with holding(sys.argv[1], folder, Path(sys.argv[3]), record=folder / "record.json"):
    child = subprocess.Popen(["sleep", "600"])
    print(child.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATIENCE", 0.2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "lab"
    made.mkdir()
    (made / "record.json").write_text("{}")
    return made


@pytest.fixture
def holder(tmp_path: Path, folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Another process that holds the lab and runs a program."""
    argv = [sys.executable, "-c", HOLD, f"lk{os.getpid()}", str(folder), str(tmp_path / "locks")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        child = int(process.stdout.readline())
        yield process, child
        process.kill()
        if Path(f"/proc/{child}").exists():
            os.kill(child, signal.SIGKILL)


def hold(folder: Path, tmp_path: Path):
    return holding(f"lk{os.getpid()}", folder, tmp_path / "locks", record=folder / "record.json")


def test_a_second_process_is_refused_and_reads_which_holds_it(tmp_path: Path, folder: Path, holder):
    """Two changes at once would each undo the other's work."""
    with pytest.raises(Refused, match=str(holder[0].pid)) as refused, hold(folder, tmp_path):
        pytest.fail("held twice")

    assert refused.value.reason == "lab-busy"


def test_what_a_killed_holder_started_is_ended_first(tmp_path: Path, folder: Path, holder):
    """Its last program would go on making things behind the next one's back."""
    process, child = holder
    process.kill()
    process.wait()

    with hold(folder, tmp_path):
        state = Path(f"/proc/{child}/stat")
        assert not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] == "Z"


def test_the_same_name_in_another_folder_is_refused_while_it_lives(tmp_path: Path, folder: Path):
    """Names in the kernel are the machine's; once the other lab is gone the name is free."""
    other = tmp_path / "other"
    with hold(folder, tmp_path):
        pass
    with pytest.raises(Refused, match=str(folder)) as refused, hold(other, tmp_path):
        pytest.fail("two labs of one name")
    assert refused.value.reason == "name-taken"

    (folder / "record.json").unlink()
    with hold(other, tmp_path):
        assert os.environ[MARK] == f"lk{os.getpid()}"


def test_nothing_stays_of_a_lab_that_is_gone(tmp_path: Path, folder: Path):
    """No lock file, and no mark in the environment."""
    with hold(folder, tmp_path):
        (folder / "record.json").unlink()

    assert list((tmp_path / "locks").iterdir()) == []
    assert MARK not in os.environ
