"""How a daemon's journal begins: new, after an interruption, after damage, and from the first layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.identity.keys import PrivateKey
from appliance.journal import conversion, note, tiles
from appliance.journal.disk import Disk
from appliance.journal.log import Journal
from appliance.journal.opening import open_or_begin
from appliance.journal.proofs import Frontier, leaf_hash
from appliance.journal.verify import CHECKPOINT, TAIL, Checkpoint, verify_folder
from appliance.runtime.errors import Corrupt

ORIGIN = "headend/guard"


def begin(state: Path) -> Journal:
    return open_or_begin(state / "journal" / "guard", state / "guard" / "journal.key", ORIGIN)


def test_a_journal_begins_with_a_key_of_its_own_and_goes_on_with_it(tmp_path: Path) -> None:
    """The key is its owner's alone, and the same at the next start."""
    first = begin(tmp_path)
    first.append({"decision": "apply"})
    first.close()
    assert (tmp_path / "guard" / "journal.key").stat().st_mode & 0o777 == 0o600
    second = begin(tmp_path)
    assert (second.size, second.verifier) == (1, first.verifier)
    second.close()


def test_what_was_cut_is_the_next_entry(tmp_path: Path) -> None:
    """An interrupted write is not passed over in silence."""
    begin(tmp_path).close()
    with (tmp_path / "journal/guard" / TAIL).open("ab") as file:
        file.write(b'{"decision":')
    begin(tmp_path).close()
    (entry,) = tiles.told(tmp_path / "journal/guard")
    assert (entry["decision"], entry["bytes"]) == ("journal-cut", "12")


@pytest.mark.parametrize("movable", [True, False])
def test_a_damaged_journal_is_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, movable: bool) -> None:
    """It is put aside whole, beside the folder or inside where that is a mount, and the new one begins by saying so."""
    journal = begin(tmp_path)
    journal.append_many([{"decision": "apply", "number": number} for number in range(600)])
    journal.close()
    folder = tmp_path / "journal/guard"
    altered = (folder / TAIL).read_bytes().replace(b'"number":599', b'"number":666')
    (folder / TAIL).write_bytes(altered)
    if not movable:
        rename = Path.rename

        def refuse(self: Path, to: Path) -> Path:
            if self == folder:
                raise OSError("Device or resource busy")
            return rename(self, to)

        monkeypatch.setattr(Path, "rename", refuse)
    begin(tmp_path).close()
    (entry,) = tiles.told(folder)
    assert entry["decision"] == "journal-damaged"
    assert "not as they were signed" in entry["detail"]
    kept = (folder.parent if movable else folder) / entry["kept"]
    assert (kept / TAIL).read_bytes() == altered
    assert (kept / "tile/entries/001").exists()
    assert verify_folder(folder).ok


def first_layout(folder: Path, key: PrivateKey, count: int) -> list[bytes]:
    """Write a journal as the first layout had it."""
    folder.mkdir(parents=True)
    lines = [json.dumps({"decision": "apply", "number": number}).encode() for number in range(count)]
    tree = Frontier()
    for line in lines:
        tree.add(leaf_hash(line))
    (folder / conversion.ENTRIES).write_bytes(b"".join(line + b"\n" for line in lines))
    (folder / conversion.LEAVES).write_bytes(b"".join(map(leaf_hash, lines)))
    (folder / CHECKPOINT).write_bytes(note.sign(Checkpoint(ORIGIN, count, tree.root), key))
    return lines


class Dying(Disk):
    """The power goes at the removal of one file."""

    def __init__(self, last: str) -> None:
        self.last = last

    def unlink(self, path: Path) -> None:
        if path.name == self.last:
            raise OSError("the power is gone")
        super().unlink(path)


@pytest.mark.parametrize("last", [CHECKPOINT, conversion.LEAVES, conversion.ENTRIES])
def test_a_journal_of_the_first_layout_is_taken_over(tmp_path: Path, last: str) -> None:
    """Same entries, same root, whatever instant the conversion is interrupted."""
    key = PrivateKey.generate()
    lines = first_layout(tmp_path / "j", key, 300)
    before = note.parse_note((tmp_path / "j" / CHECKPOINT).read_bytes())
    with pytest.raises(OSError, match="the power is gone"):
        Journal(tmp_path / "j", key, ORIGIN, disk=Dying(last))
    journal = Journal(tmp_path / "j", key, ORIGIN)
    assert journal.head() == before
    assert journal.append({"decision": "confirm"}) == 301
    journal.close()
    assert not (tmp_path / "j" / conversion.ENTRIES).exists()
    assert list(tiles.entries_of(tmp_path / "j"))[:300] == lines
    report = verify_folder(tmp_path / "j", str(key.public))
    assert (report.faults, report.signed) == ([], 301)


@pytest.mark.parametrize(
    "spoil", [lambda d: d.replace(b"7", b"8"), lambda d: d[: len(d) // 2], lambda d: d + b"{}\n{}\n"]
)
def test_a_first_layout_that_was_altered_is_not(tmp_path: Path, spoil: object) -> None:
    """What is not as it was signed is no beginning."""
    key = PrivateKey.generate()
    first_layout(tmp_path / "j", key, 30)
    path = tmp_path / "j" / conversion.ENTRIES
    path.write_bytes(spoil(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(Corrupt, match=r"entries\.jsonl"):
        Journal(tmp_path / "j", key, ORIGIN)
