"""The journal's files: appended, killed, altered, verified."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.identity.keys import PrivateKey
from appliance.journal.cli import commands
from appliance.journal.log import Journal
from appliance.journal.verify import CHECKPOINT, ENTRIES, LEAVES, verify_folder
from appliance.runtime.errors import Corrupt

KEY = PrivateKey.generate()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a journal with five entries."""
    journal = Journal(tmp_path / "guard", KEY, "headend/guard")
    for number in range(5):
        assert journal.append({"decision": "apply", "number": number}) == number + 1
    return tmp_path / "guard"


def test_what_was_appended_verifies_and_goes_on_after_a_restart(folder: Path) -> None:
    """The tree continues where it was."""
    assert Journal(folder, KEY, "headend/guard").append({"decision": "confirm"}) == 6
    report = verify_folder(folder, KEY.public)
    assert (report.ok, report.signed, report.notes) == (True, 6, [])


@pytest.mark.parametrize("place", range(0, 150, 7))
def test_any_altered_byte_of_an_entry_is_named_by_its_line(folder: Path, place: int) -> None:
    """The line that holds the byte is named, and the writer refuses to go on."""
    data = bytearray((folder / ENTRIES).read_bytes())
    line = data[:place].count(b"\n") + 1
    data[place] ^= 1
    (folder / ENTRIES).write_bytes(data)
    report = verify_folder(folder)
    assert not report.ok
    assert f"{ENTRIES}:{line}: was altered after it was signed" in report.faults
    with pytest.raises(Corrupt):
        Journal(folder, KEY, "headend/guard")


@pytest.mark.parametrize("name", [LEAVES, CHECKPOINT])
def test_any_altered_byte_beside_the_entries_is_told(folder: Path, name: str) -> None:
    """Each byte of the hashes and of the checkpoint matters."""
    good = (folder / name).read_bytes()
    for place in range(len(good)):
        data = bytearray(good)
        data[place] ^= 1
        (folder / name).write_bytes(data)
        report = verify_folder(folder)
        assert not report.ok
        assert name in report.faults[0]


def test_entries_that_were_cut_off_are_missed(folder: Path) -> None:
    """The checkpoint says how many there were."""
    lines = (folder / ENTRIES).read_bytes().splitlines(keepends=True)
    (folder / ENTRIES).write_bytes(b"".join(lines[:3]))
    assert verify_folder(folder).faults == ["entries.jsonl: holds 3 entries, 5 are signed"]


def test_entries_and_hashes_altered_together_do_not_pass(folder: Path) -> None:
    """Only the key makes a new root good."""
    forged = Journal(folder.parent / "forged", PrivateKey.generate(), "headend/guard")
    for number in range(5):
        forged.append({"decision": "refuse", "number": number})
    for name in (ENTRIES, LEAVES):
        (folder / name).write_bytes((folder.parent / "forged" / name).read_bytes())
    assert not verify_folder(folder, KEY.public).ok
    (folder / CHECKPOINT).write_bytes((folder.parent / "forged" / CHECKPOINT).read_bytes())
    assert verify_folder(folder, KEY.public).faults == [
        "checkpoint: the checkpoint is not signed by the key of 'headend/guard'"
    ]


def test_a_torn_last_line_is_told_and_cut(folder: Path) -> None:
    """What append returned for is still there, and the next entry begins on a line of its own."""
    with (folder / ENTRIES).open("ab") as file:
        file.write(b'{"decision":"app')
    report = verify_folder(folder)
    assert report.ok
    assert "interrupted" in report.notes[0]
    assert Journal(folder, KEY, "headend/guard").append({"decision": "confirm"}) == 6
    assert verify_folder(folder).notes == []


def test_an_entry_without_its_signature_is_told_and_signed_at_the_next_start(folder: Path) -> None:
    """kill -9 between the entry and its checkpoint loses neither."""
    with (folder / ENTRIES).open("ab") as file:
        file.write(b'{"decision":"apply"}\n')
    assert "not signed yet" in verify_folder(folder).notes[0]
    assert Journal(folder, KEY, "headend/guard").size == 6
    assert verify_folder(folder, KEY.public).signed == 6


def test_a_writer_killed_at_any_moment_loses_nothing_that_it_was_told_is_kept(tmp_path: Path) -> None:
    """Every number that append had returned before kill -9 is in the journal afterwards."""
    KEY.save(tmp_path / "key")
    program = (
        "import sys; from pathlib import Path; from appliance.identity.keys import PrivateKey; from appliance.journal.log import Journal\n"
        "journal = Journal(Path(sys.argv[1]), PrivateKey.load(Path(sys.argv[2])), 'headend/guard')\n"
        "while True: print(journal.append({'decision': 'apply', 'pad': 'x' * 500}), flush=True)\n"
    )
    kept = 0
    for run in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "guard"), str(tmp_path / "key")],
            stdout=subprocess.PIPE,
            text=True,
        ) as writer:
            assert writer.stdout is not None
            for _ in range(3 + run):
                kept = int(writer.stdout.readline())
            os.kill(writer.pid, signal.SIGKILL)
            rest = [line for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
            kept = int(rest[-1]) if rest else kept
        report = verify_folder(tmp_path / "guard", KEY.public)
        assert report.ok
        assert report.signed >= kept
    assert Journal(tmp_path / "guard", KEY, "headend/guard").size >= kept


def test_show_and_verify_work_on_a_copy(folder: Path) -> None:
    """Verify ends with status 0, on an altered copy it names the line and fails."""
    shown = CliRunner().invoke(commands, ["show", str(folder), "--last", "2", "--json"])
    assert [json.loads(line)["number"] for line in shown.output.splitlines()] == [3, 4]
    assert "apply" in CliRunner().invoke(commands, ["show", str(folder)]).output
    good = CliRunner().invoke(commands, ["verify", str(folder), "--key", str(KEY.public)])
    assert good.exit_code == 0
    assert "5 entries of 'headend/guard'" in good.output
    (folder / ENTRIES).write_bytes((folder / ENTRIES).read_bytes().replace(b'"number":3', b'"number":9'))
    bad = CliRunner().invoke(commands, ["verify", str(folder), "--json"])
    assert bad.exit_code == 1
    assert json.loads(bad.output.splitlines()[0])["faults"] == ["entries.jsonl:4: was altered after it was signed"]


def test_an_entry_is_bounded(folder: Path) -> None:
    """A huge entry is refused before anything is written."""
    size = (folder / ENTRIES).stat().st_size
    with pytest.raises(ValueError, match="at most"):
        Journal(folder, KEY, "headend/guard").append({"pad": "x" * (64 << 10)})
    assert (folder / ENTRIES).stat().st_size == size
