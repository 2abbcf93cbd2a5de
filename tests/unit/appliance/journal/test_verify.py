"""The offline verifier: whatever is altered, removed, moved, put in or forked is told, by its number where the files can say it."""

from __future__ import annotations

import base64
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.identity.keys import PrivateKey
from appliance.journal import note, proofs, tiles, verify
from appliance.journal.log import Journal
from appliance.journal.tiles import pack
from appliance.journal.verify import CHECKPOINT, KEY, TAIL, WITNESSED, Damaged, Report, unpack, verify_folder

PRIVATE = PrivateKey.generate()
ORIGIN = "headend/guard"
BUNDLES = "tile/entries/000", "tile/entries/001"
SIZE = 700


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a journal of 700 entries, countersigned by an operator at 600."""
    folder = tmp_path_factory.mktemp("journals") / "guard"
    journal = Journal(folder, PRIVATE, ORIGIN)
    journal.append_many([{"decision": "apply", "number": number} for number in range(1, 601)])
    root = base64.b64encode(journal.head().root).decode()
    journal.countersigned(600, root, [note.cosignature(journal.head(), "operator", OPERATOR, 1_700_000_000)])
    for number in range(601, SIZE + 1):
        journal.append({"decision": "apply", "number": number})
    journal.close()
    return folder


OPERATOR = PrivateKey.generate()
WITNESS_KEY = note.verifier(note.witness_key("operator", OPERATOR.public))


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """Return a copy that may be spoiled."""
    return Path(shutil.copytree(original, tmp_path / "copy"))


def spoiled(folder: Path, name: str, entries: list[bytes]) -> Report:
    (folder / name).write_bytes(pack(entries))
    return verify_folder(folder, str(PRIVATE.public))


def test_a_whole_journal_is_good(folder: Path) -> None:
    """With the key, the witness, and an earlier checkpoint, on a copy."""
    old = folder.parent / "old"
    shutil.copy(folder / WITNESSED, old)
    report = verify_folder(folder, str(PRIVATE.public), [WITNESS_KEY, f"operator={OPERATOR.public}"], [old])
    assert (report.faults, report.notes, report.signed, report.origin) == ([], [], SIZE, ORIGIN)
    assert report.witnesses == {"operator": (600, 1_700_000_000)}
    assert report.root == note.parse_note((folder / CHECKPOINT).read_bytes()).root.hex()


def test_any_altered_byte_of_any_file_is_told(folder: Path) -> None:
    """Some bytes of every file, one by one; of a bundle the entry is named that holds it."""
    chance = random.Random(3)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name, good = path.relative_to(folder).as_posix(), path.read_bytes()
        for place in {0, 1, 2, len(good) - 1, *chance.sample(range(len(good)), min(len(good), 12))}:
            data = bytearray(good)
            data[place] ^= 1 << chance.randrange(8)
            path.write_bytes(data)
            if name == KEY and data.strip() == good.strip():
                continue  # the end of its line
            try:
                report = verify_folder(folder, str(PRIVATE.public) if name != KEY else "", [WITNESS_KEY])
            except Damaged:
                if name != KEY:
                    raise
                continue
            assert not report.ok, (name, place)
            if name in BUNDLES and place > 2 and good[place : place + 1].isdigit():
                number = 256 * BUNDLES.index(name) + 1 + len(unpack(good[: _start(good, place)]))
                assert f"record {number}: was altered, moved or put in after it was signed" in report.faults
            elif name.startswith("tile/"):
                assert any(name in fault or fault.startswith("record") for fault in report.faults), report.faults
            elif name != KEY:
                assert name == WITNESSED or any(re.match(f"{name}|record", x) for x in report.faults + report.notes)
        path.write_bytes(good)
    assert verify_folder(folder, str(PRIVATE.public)).ok


def _start(data: bytes, place: int) -> int:
    """Return where the entry begins that holds byte ``place``."""
    at = 0
    while at + 2 + int.from_bytes(data[at : at + 2], "big") <= place:
        at += 2 + int.from_bytes(data[at : at + 2], "big")
    return at


def test_any_missing_file_is_told(folder: Path) -> None:
    """Each by its name."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in (KEY, WITNESSED)):
        data = path.read_bytes()
        path.unlink()
        report = verify_folder(folder, str(PRIVATE.public))
        assert any(path.relative_to(folder).as_posix() in fault for fault in report.faults), (path, report.faults)
        path.write_bytes(data)
    (folder / WITNESSED).unlink()
    assert verify_folder(folder, str(PRIVATE.public)).ok
    assert verify_folder(folder, str(PRIVATE.public), [WITNESS_KEY]).faults == [
        "no checkpoint here is countersigned by the witness 'operator'"
    ]


def test_an_entry_removed_put_in_or_moved_is_told_from_its_place_on(folder: Path) -> None:
    """The first entry that is not where it was is named."""
    entries = unpack((folder / BUNDLES[1]).read_bytes())
    removed = spoiled(folder, BUNDLES[1], entries[:40] + entries[41:])
    assert removed.faults[0].startswith("record 297:")
    put_in = spoiled(folder, BUNDLES[1], [*entries[:40], b'{"decision":"forged"}', *entries[40:]])
    assert put_in.faults[0].startswith("record 297:")
    moved = spoiled(folder, BUNDLES[1], [*entries[:40], entries[50], *entries[41:50], entries[40], *entries[51:]])
    assert [re.match(r"record (\d+)", fault)[1] for fault in moved.faults] == ["297", "307"]  # type: ignore[index]
    assert spoiled(folder, BUNDLES[1], entries).ok


def test_an_entry_altered_together_with_its_hashes_is_told(folder: Path) -> None:
    """A forger who makes every tile anew has still no signature for the new root; with one level left it says which entry."""
    entries = unpack((folder / BUNDLES[0]).read_bytes())
    entries[9] = b'{"decision":"forged"}'
    hashes = b"".join(proofs.leaf_hash(entry) for entry in entries)
    (folder / "tile/0/000").write_bytes(hashes)
    report = spoiled(folder, BUNDLES[0], entries)
    assert not report.ok
    upper = folder / "tile/1/000.p/2"
    tree = verify.Tree()
    tree.add(hashes)
    upper.write_bytes(tree.root(256) + upper.read_bytes()[32:])
    report = spoiled(folder, BUNDLES[0], entries)
    assert "neither the records nor the hash tiles have the signed root" in report.faults[0]
    assert report.signed < SIZE


def test_many_altered_entries_are_counted(folder: Path) -> None:
    """The first are named, the rest counted."""
    entries = [entry.replace(b"apply", b"admit") for entry in unpack((folder / BUNDLES[0]).read_bytes())]
    report = spoiled(folder, BUNDLES[0], entries)
    assert len(report.faults) == verify.MOST_NAMED + 1
    assert report.faults[-1] == "and 236 more records, up to 256"


def test_the_tail_is_held_by_its_signatures(folder: Path) -> None:
    """Behind the checkpoint there are no tiles yet: the batch is named in which something is not as it was signed."""
    journal = Journal(folder, PRIVATE, ORIGIN)
    journal.append_many([{"number": 701}, {"number": 702}])
    journal.append_many([{"number": 703}])
    good = (folder / TAIL).read_bytes()
    (folder / TAIL).write_bytes(good.replace(b'"number":702', b'"number":777'))
    assert verify_folder(folder).faults == [f"{TAIL}: records 701 to 703 are not as they were signed"]
    *_, line = good.rpartition(b'{"number":703}')
    told = good.replace(
        line, line[:-6] + (b"B" if line[-6:-5] == b"A" else b"A") + line[-5:]
    )  # a character of the signature
    (folder / TAIL).write_bytes(told)
    assert verify_folder(folder).faults == [f"{TAIL}: records 703 to 703 are not as they were signed"]
    first = good.index(b'{"number":702}\n') + len(b'{"number":702}\n')
    altered = bytearray(good)
    altered[first + 30] ^= 1
    (folder / TAIL).write_bytes(altered)
    assert verify_folder(folder).faults == [f"{TAIL}: the signature behind record 702 was altered"]
    (folder / TAIL).write_bytes(good.replace(b'{"number":703}\n', b""))
    assert not verify_folder(folder).ok
    (folder / TAIL).write_bytes(good)
    assert verify_folder(folder).ok
    journal.close()


def test_what_was_published_cannot_be_taken_away(folder: Path) -> None:
    """Without its last entries the journal is told as shorter than what is signed."""
    journal = Journal(folder, PRIVATE, ORIGIN)
    older = {name: (folder / name).read_bytes() for name in (TAIL, CHECKPOINT)}
    journal.append_many([{"number": 701}])
    new = journal.publish()
    journal.close()
    (folder / TAIL).write_bytes(older[TAIL])
    assert f"{CHECKPOINT}: 701 records were signed, 700 are here: the last were removed" in verify_folder(folder).faults
    # All put back as it was then: only who kept a later checkpoint can know.
    (folder / CHECKPOINT).write_bytes(older[CHECKPOINT])
    shutil.rmtree(folder / "tile/0/002.p")
    shutil.rmtree(folder / "tile/entries/002.p")
    kept = folder.parent / "kept"
    kept.write_bytes(new)
    report = verify_folder(folder, since=[kept])
    assert f"{kept}: 701 records were signed, 700 are here: the last were removed" in report.faults


def test_a_fork_is_told_by_an_earlier_checkpoint(folder: Path) -> None:
    """A journal written anew with the very key, as long and each file right in itself, is another history than was seen."""
    fork = Journal(folder.parent / "fork", PRIVATE, ORIGIN)
    fork.append_many([{"decision": "forged", "number": number} for number in range(1, SIZE + 100)])
    fork.close()
    assert verify_folder(fork.folder, str(PRIVATE.public)).ok
    kept = folder / CHECKPOINT
    report = verify_folder(fork.folder, str(PRIVATE.public), since=[kept])
    assert report.faults == [f"{kept}: another history: its 700 records are not the first 700 here"]
    shutil.copy(folder / WITNESSED, fork.folder)
    assert verify_folder(fork.folder, str(PRIVATE.public)).faults == [
        "witnessed: another history: its 600 records are not the first 600 here"
    ]


def test_another_key_counts_for_nothing(folder: Path) -> None:
    """A journal that is right in itself under another key is not this one's."""
    other = PrivateKey.generate()
    report = verify_folder(folder, str(other.public))
    assert f"{CHECKPOINT}: not signed by the key of '{ORIGIN}'" in report.faults
    assert report.signed < SIZE
    named = note.verifier(note.log_key("edge/guard", PRIVATE.public))
    assert not verify_folder(folder, named).ok
    assert verify_folder(folder, note.verifier(note.log_key(ORIGIN, PRIVATE.public))).ok
    assert not verify_folder(folder, witnesses=[f"operator={other.public}"]).ok


@pytest.mark.parametrize(
    "name", ["tile/entries/003", "tile/0/900", "tile/0/junk", "tile/2/000.p/1", "tile/entries/002.p/300"]
)
def test_files_that_belong_to_no_signed_entry_are_told(folder: Path, name: str) -> None:
    """What was put beside the journal is not of it."""
    (folder / name).parent.mkdir(exist_ok=True, parents=True)
    (folder / name).write_bytes(pack([b'{"decision":"forged"}']))
    assert verify_folder(folder).faults == [f"{name}: belongs to no signed record"]


def test_no_journal_and_no_key_are_said(tmp_path: Path, folder: Path) -> None:
    """They are no altered journals."""
    with pytest.raises(Damaged, match="cannot be read"):
        verify_folder(tmp_path)
    for key in ("ed25519:AAAA", "guard+00000000+AAAA", "rsa:1"):
        with pytest.raises(Damaged, match="key"):
            verify_folder(folder, key)


@pytest.mark.parametrize("place", [0, 10**6])
def test_a_tail_that_claims_anything_is_bounded(folder: Path, place: int) -> None:
    """A number that nothing signed stands behind is not counted to."""
    (folder / TAIL).write_bytes(b"after %d\n" % (256 * 10**15 + 256 * place))
    assert any(TAIL in fault for fault in verify_folder(folder).faults)
    (folder / CHECKPOINT).unlink()
    assert not verify_folder(folder).ok


@pytest.mark.parametrize("size", [10**18, 256 * 10**12])
def test_a_signed_lie_does_not_make_the_verifier_work_without_end(folder: Path, size: int) -> None:
    """A box that signs an absurd number of entries is told as short of them, at once, whatever else is damaged."""
    (folder / CHECKPOINT).write_bytes(note.sign(verify.Checkpoint(ORIGIN, size, bytes(32)), PRIVATE))
    told = f"{CHECKPOINT}: {size} records were signed, far fewer are here"
    assert told in verify_folder(folder).faults
    (folder / TAIL).unlink()
    assert told in verify_folder(folder).faults


def run_alone(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the verifier as an auditor's laptop has it: one file in a folder, Python isolated from this repository."""
    program = shutil.copy(verify.__file__, folder.parent / "verify.py")
    return subprocess.run(
        [sys.executable, "-I", program, *words], capture_output=True, text=True, cwd=folder.parent, check=False
    )


def test_the_verifier_is_one_file_that_works_alone(folder: Path) -> None:
    """Copied away from everything of ours it says good, altered and wrong usage by its exit status, and names what is wrong."""
    key = ["--key", str(PRIVATE.public)]
    good = run_alone(folder, str(folder), *key, "--witness", WITNESS_KEY, "--since", str(folder / WITNESSED))
    assert good.returncode == 0, good.stderr
    assert "700 records of 'headend/guard' are as they were signed" in good.stdout
    assert "the first 600 records were seen by the witness 'operator' at 2023-11-14 22:13:20 UTC" in good.stdout
    data = (folder / BUNDLES[0]).read_bytes()
    (folder / BUNDLES[0]).write_bytes(data.replace(b'"number":7}', b'"number":8}'))
    bad = run_alone(folder, str(folder), *key)
    assert bad.returncode == 1
    assert bad.stdout.splitlines()[0] == "record 7: was altered, moved or put in after it was signed"
    assert run_alone(folder, str(folder.parent)).returncode == 1
    assert run_alone(folder, str(folder), "--key", "no key").returncode == 1


def test_the_verifier_checks_the_proof_of_one_entry_alone(folder: Path) -> None:
    """A c2sp.org/tlog-proof shows its entry; another entry, place or key does not pass."""
    from click.testing import CliRunner

    from appliance.journal.cli import commands

    proof = folder.parent / "42.tlog-proof"
    made = CliRunner().invoke(commands, ["prove", str(folder), "42", "--out", str(proof)])
    assert made.exit_code == 0, made.output
    shown = run_alone(folder, str(proof), "--key", str(PRIVATE.public))
    assert shown.returncode == 0, shown.stderr
    assert '{"decision":"apply","number":42}' in shown.stdout
    assert run_alone(folder, str(proof), "--key", str(PrivateKey.generate().public)).returncode == 1
    text = proof.read_text()
    extra = text.splitlines()[1]
    other = CliRunner().invoke(commands, ["prove", str(folder), "43"]).output.splitlines()[1]
    for wrong in (
        text.replace(extra, other),
        text.replace("index 41", "index 40"),
        text.replace("\n\n", "\nAAAA\n\n", 1),
        "junk",
    ):
        with pytest.raises(Damaged):
            verify.verify_proof(wrong.encode(), str(PRIVATE.public))
    assert tiles.told(folder)[41] == {"decision": "apply", "number": 42}
