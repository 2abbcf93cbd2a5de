"""Where the guard's decisions are written down."""

from __future__ import annotations

import base64
import errno
import os
from pathlib import Path

import pytest

from appliance.identity.keys import PrivateKey
from appliance.journal import note, tiles
from appliance.journal.disk import Disk
from appliance.journal.verify import verify_folder
from appliance.telemetry.spool import Spool
from appliance.telemetry.witnessing import Answer, keep_answer, read_asked
from gateway.isolation.chronicle import LONGEST_WORD, BoxChronicle


def waiting(state: Path) -> list[dict[str, object]]:
    spool = Spool(state / "spool" / "spool.db")
    found = [{"id": one.record.id, **one.record.body} for one in spool.pending()]
    spool.close()
    return found


def test_decisions_stand_in_journal_and_spool_alike(tmp_path: Path) -> None:
    """One or many together, with the same ids; long words are cut in both."""
    chronicle = BoxChronicle(tmp_path, "headend")
    chronicle.tell("apply", "asked", digest="a" * 64)
    chronicle.tell_many([{"decision": "proved", "reason": "equal", "zone": zone, "told": "x" * 5000} for zone in "abc"])
    chronicle.close()
    entries = tiles.told(tmp_path / "journal" / "guard")
    assert [{key: value for key, value in entry.items() if key != "time"} for entry in entries] == waiting(tmp_path)
    assert [entry["decision"] for entry in entries] == ["apply", "proved", "proved", "proved"]
    assert len(entries[1]["told"]) == LONGEST_WORD
    assert verify_folder(tmp_path / "journal" / "guard").signed == 4


def test_a_checkpoint_leaves_with_each_decision_and_stands_for_the_report(tmp_path: Path) -> None:
    """What is published says all that was decided, and what a witness signed is told beside it."""
    state, run = tmp_path / "state", tmp_path / "run"
    chronicle = BoxChronicle(state, "headend", run)
    chronicle.tell("apply", "asked")
    head = note.parse_note(note.parse_request(read_asked(run)["guard"].request.encode()).note)
    assert (head.origin, head.size) == ("headend/guard", 1)
    line = note.cosignature(head, "operator", PrivateKey.generate(), 7)
    keep_answer(run, Answer("guard", 1, base64.b64encode(head.root).decode(), (line,)).encode())
    chronicle.look()
    chronicle.tell("confirm", "asked")
    standing = chronicle.checkpoint()
    chronicle.close()
    assert (standing.origin, standing.size, standing.witnesses) == ("headend/guard", 2, (("operator", 1, 7),))
    key = note.parse_verifier(standing.key)
    assert note.open_note(standing.checkpoint.encode(), key).root.hex() == standing.root
    assert note.open_note(standing.witnessed.encode(), key) == head


def test_the_zones_stand_also_with_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not in the journal is said until something is again; the guard goes on, and the spool is told."""
    chronicle = BoxChronicle(tmp_path, "headend")
    good = Disk.append

    def full(self: Disk, file: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Disk, "append", full)
    chronicle.tell("put-back", "drift")
    assert "No space left" in chronicle.failing
    monkeypatch.setattr(Disk, "append", good)
    chronicle.tell("put-back", "drift")
    assert chronicle.failing == ""
    chronicle.close()
    assert len(tiles.told(tmp_path / "journal" / "guard")) == 1
    assert len(waiting(tmp_path)) == 2
