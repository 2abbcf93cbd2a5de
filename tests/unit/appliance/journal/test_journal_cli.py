"""``headgate journal``: show, verify, prove, cosign."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from appliance.identity.keys import PrivateKey
from appliance.journal import note
from appliance.journal.cli import commands
from appliance.journal.log import Journal
from appliance.journal.verify import CHECKPOINT, Damaged, verify_folder
from appliance.runtime.errors import Corrupt, HeadgateError, Refused

PRIVATE = PrivateKey.generate()


def run(*words: Any) -> Result:
    return CliRunner().invoke(commands, [str(word) for word in words])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a journal with 300 entries; beside it, ``old``, its checkpoint at 100."""
    journal = Journal(tmp_path / "guard", PRIVATE, "headend/guard")
    journal.append_many([{"decision": "apply", "reason": "asked", "number": number} for number in range(1, 101)])
    (tmp_path / "old").write_bytes(journal.publish())
    journal.append_many([{"decision": "apply", "reason": "asked", "number": number} for number in range(101, 301)])
    journal.close()
    return tmp_path / "guard"


def test_show_tells_the_last_entries(folder: Path) -> None:
    """As a table for people, as JSON lines for programs, across the tail's beginning."""
    shown = run("show", folder, "--last", "60", "--json")
    assert [json.loads(line)["number"] for line in shown.output.splitlines()] == list(range(241, 301))
    table = run("show", folder, "--last", "1").output
    assert "300" in table
    assert "299" not in table
    empty = folder.parent / "empty"
    empty.mkdir()
    assert isinstance(run("show", empty).exception, Corrupt)


def test_verify_ends_with_a_status(folder: Path) -> None:
    """0 for a good copy, 1 with the entry's number for an altered one; what cannot be verified is said too."""
    good = run("verify", folder, "--key", PRIVATE.public, "--since", folder.parent / "old")
    assert good.exit_code == 0
    assert "300 records of 'headend/guard' are as they were signed" in good.output
    told = json.loads(run("verify", folder, "--json").output)
    assert (told["ok"], told["signed"], told["faults"]) == (True, 300, [])
    bundle = folder / "tile/entries/000"
    bundle.write_bytes(bundle.read_bytes().replace(b'"number":7,', b'"number":9,'))
    bad = run("verify", folder, "--json")
    assert isinstance(bad.exception, Refused)
    assert json.loads(bad.output.splitlines()[0])["faults"] == [
        "record 7: was altered, moved or put in after it was signed"
    ]
    assert isinstance(run("verify", folder.parent).exception, Corrupt)


@pytest.mark.parametrize("number", [1, 256, 257, 300])
def test_an_entry_is_proven_by_a_small_file(folder: Path, number: int) -> None:
    """The file alone, with the journal's key, shows the entry."""
    proof = folder.parent / "proof"
    assert run("prove", folder, number, "--out", proof).exit_code == 0
    assert proof.stat().st_size < 1500
    shown = json.loads(run("verify", proof, "--key", PRIVATE.public, "--json").output)
    assert (shown["number"], shown["signed"], json.loads(shown["entry"])["number"]) == (number, 300, number)
    assert isinstance(run("verify", proof, "--key", PrivateKey.generate().public).exception, Corrupt)
    assert run("verify", proof).exit_code == 2


def test_no_proof_is_made_of_what_does_not_hold(folder: Path) -> None:
    """Beyond the checkpoint, of an altered entry, of another history: nothing that would fail later is written."""
    assert "holds 300" in str(run("prove", folder, 301).exception)
    assert run("prove", folder).exit_code == 2
    bundle = folder / "tile/entries/000"
    bundle.write_bytes(bundle.read_bytes().replace(b'"number":7,', b'"number":9,'))
    assert "not as it was signed" in str(run("prove", folder, 7).exception)
    fork = Journal(folder.parent / "fork", PRIVATE, "headend/guard")
    fork.append_many([{"decision": "forged"}] * 120)
    fork.close()
    assert "does not go on" in str(run("prove", folder, "--since", fork.folder / CHECKPOINT).exception)
    assert "not go on" in str(run("prove", fork.folder, "--since", folder / CHECKPOINT).exception)


@pytest.fixture
def regulator(tmp_path: Path) -> tuple[Path, str]:
    """Return a witness's key file and its verifier key."""
    key = PrivateKey.generate()
    key.save(tmp_path / "regulator.key")
    return tmp_path / "regulator.key", note.verifier(note.witness_key("regulator", key.public))


def test_a_regulator_countersigns_by_files(folder: Path, regulator: tuple[Path, str]) -> None:
    """The first checkpoint as it is, each later one with the proof; what it signed counts for who has its key."""
    private, public = regulator
    words = ("--key", private, "--name", "regulator", "--log", PRIVATE.public)
    first, request, second = (folder.parent / name for name in ("first", "request", "second"))
    assert run("cosign", folder.parent / "old", *words, "--out", first).exit_code == 0
    assert run("prove", folder, "--since", first, "--out", request).exit_code == 0
    signed = run("cosign", request, *words, "--since", first, "--out", second)
    assert signed.exit_code == 0, signed.exception
    with_proof = run("cosign", folder / CHECKPOINT, *words, "--since", first, "--proof", request)
    assert with_proof.output.count("\N{EM DASH} regulator ") == 1
    report = verify_folder(folder, str(PRIVATE.public), [public], [first, second])
    assert (report.faults, report.witnesses["regulator"][0]) == ([], 300)
    assert run("cosign", second, *words, "--since", second).output.count("\N{EM DASH} regulator ") == 1


def test_a_regulator_signs_no_fork(folder: Path, regulator: tuple[Path, str]) -> None:
    """Neither without a proof, nor one of another history, nor a shorter journal, nor another key's."""
    words = ("--key", regulator[0], "--name", "regulator", "--log", PRIVATE.public)
    assert "no proof shows" in str(
        run("cosign", folder / CHECKPOINT, *words, "--since", folder.parent / "old").exception
    )
    assert "forked" in str(run("cosign", folder.parent / "old", *words, "--since", folder / CHECKPOINT).exception)
    fork = Journal(folder.parent / "fork", PRIVATE, "headend/guard")
    fork.append_many([{"decision": "forged"}] * 300)
    asked = folder.parent / "asked"
    asked.write_bytes(fork.request(100))
    fork.close()
    told = run("cosign", asked, *words, "--since", folder.parent / "old").exception
    assert isinstance(told, Refused)
    assert told.reason == "fork"
    other = ("--key", regulator[0], "--name", "regulator", "--log", PrivateKey.generate().public)
    assert "not signed" in str(run("cosign", folder / CHECKPOINT, *other).exception)
    bad_name = ("--key", regulator[0], "--name", "two words", "--log", PRIVATE.public)
    assert isinstance(run("cosign", folder / CHECKPOINT, *bad_name).exception, HeadgateError)
    with pytest.raises(Damaged):
        verify_folder(folder, "nonsense")
