"""Checkpoints out of the box, and the witnesses' word back to the journal."""

from __future__ import annotations

import base64
import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.identity.keys import PrivateKey
from appliance.journal import note
from appliance.journal.log import Journal
from appliance.journal.verify import CHECKPOINT, verify_folder
from appliance.runtime.errors import Corrupt
from appliance.telemetry import witnessing
from appliance.telemetry.witnessing import Answer, Asked, Outlet, keep_answer, parse_answer, parse_asked, read_asked

OPERATOR = PrivateKey.generate()
WITNESS = note.verifier(note.witness_key("operator", OPERATOR.public))


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "state" / "guard", PrivateKey.generate(), "headend/guard")


def countersign(run: Path, journal: Journal) -> int:
    """Answer what the box asks as a witness would, and return how many entries that were."""
    head = note.parse_note(note.parse_request(read_asked(run)["guard"].request.encode()).note)
    line = note.cosignature(head, "operator", OPERATOR, 5)
    keep_answer(run, Answer("guard", head.size, base64.b64encode(head.root).decode(), (line,)).encode())
    return head.size


def test_a_checkpoint_leaves_and_comes_back_countersigned(tmp_path: Path, journal: Journal) -> None:
    """What was countersigned is what the next request goes on from, and the verifier finds the witness."""
    run = tmp_path / "run"
    outlet = Outlet(journal, "guard", run)
    journal.append_many([{"number": number} for number in range(300)])
    outlet.look(hurry=True)
    first = read_asked(run)["guard"]
    assert (first.key, note.parse_request(first.request.encode()).old) == (journal.verifier, 0)
    assert countersign(run, journal) == 300
    journal.append({"number": 300})
    outlet.look(hurry=True)
    second = note.parse_request(read_asked(run)["guard"].request.encode())
    assert (second.old, note.parse_note(second.note).size) == (300, 301)
    journal.close()
    assert verify_folder(journal.folder, witnesses=[WITNESS]).witnesses == {"operator": (300, 5)}


def test_it_leaves_when_it_is_time_or_there_is_hurry(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each ten seconds if something is new, at once after a decision, and at once when a witness has answered."""
    now = [100.0]
    monkeypatch.setattr(witnessing.time, "monotonic", lambda: now[0])
    run = tmp_path / "run"
    outlet = Outlet(journal, "guard", run)

    def size() -> int:
        return note.parse_note(note.parse_request(read_asked(run)["guard"].request.encode()).note).size

    outlet.look()
    journal.append({})
    outlet.look()
    assert size() == 0
    now[0] += witnessing.EVERY
    outlet.look()
    assert size() == 1
    journal.append({})
    outlet.look(hurry=True)
    assert size() == 2
    countersign(run, journal)
    journal.append({})
    outlet.look()
    assert (size(), journal.witnessed) == (3, 2)
    journal.close()


def test_a_witness_that_saw_something_else_says_from_where(tmp_path: Path, journal: Journal) -> None:
    """The next request goes on from there; what the journal never had is not believed."""
    run = tmp_path / "run"
    outlet = Outlet(journal, "guard", run)
    journal.append_many([{"number": number} for number in range(20)])
    outlet.look(hurry=True)
    for seen, old in ((7, 7), (0, 0), (21, 0)):
        keep_answer(run, Answer("guard", seen).encode())
        outlet.look()
        assert note.parse_request(read_asked(run)["guard"].request.encode()).old == old
    journal.close()


def test_a_bad_answer_changes_nothing(tmp_path: Path, journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """Lines that are none, a pipe, a link: told in the log, and the checkpoint goes out all the same the next time."""
    run = tmp_path / "run"
    outlet = Outlet(journal, "guard", run)
    outlet.look(hurry=True)
    keep_answer(run, Answer("guard", 0, base64.b64encode(journal.head().root).decode(), ("no line",)).encode())
    outlet.look()
    assert "stays on the box for now" in caplog.text
    place = run / "witness" / "guard"
    place.unlink()
    os.mkfifo(place)
    outlet.look()
    place.unlink()
    place.symlink_to(journal.folder / CHECKPOINT)
    outlet.look()
    assert journal.witnessed == 0
    journal.append({})
    outlet.look(hurry=True)
    assert "\n1\n" in read_asked(run)["guard"].request
    journal.close()


def test_what_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    """A daemon in wrong hands can speak of its own journal only, and not without bounds."""
    good = Asked("headend/guard+key", "old 0\n\ntext")
    for name, data in (
        ("guard", good.encode()),
        ("exchange", b"junk"),
        ("Wrong", good.encode()),
        ("long", Asked("k", "x" * 9000).encode()),
        ("nul", b'{"key":"a\\u0000","request":"b"}'),
    ):
        (tmp_path / "journal" / name).mkdir(parents=True)
        (tmp_path / "journal" / name / "checkpoint").write_bytes(data)
    (tmp_path / "journal" / "empty").mkdir()
    assert read_asked(tmp_path) == {"guard": good}
    assert read_asked(tmp_path / "none") == {}


@given(st.binary(max_size=100))
def test_any_bytes_are_understood_or_corrupt(data: bytes) -> None:
    """Nothing else comes out, of either side."""
    for parse in (parse_asked, parse_answer):
        with contextlib.suppress(Corrupt):
            parse(data)


@pytest.mark.parametrize(
    "data",
    [
        b'{"journal":"../x","size":1,"root":"","signatures":[]}',
        b'{"journal":"a","size":true,"root":"","signatures":[]}',
        b'{"journal":"a"}',
    ],
)
def test_no_answer_names_another_file(tmp_path: Path, data: bytes) -> None:
    """A name is a name, a size a number."""
    with pytest.raises(Corrupt):
        keep_answer(tmp_path, data)
    assert not (tmp_path / "witness").exists()
