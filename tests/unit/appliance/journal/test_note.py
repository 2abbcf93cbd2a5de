"""Checkpoints as signed notes, cosignatures and requests to witnesses."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.identity.keys import PrivateKey
from appliance.journal import note
from appliance.journal.verify import WITNESS, Checkpoint, Damaged, parse_key
from appliance.runtime.errors import Corrupt

PRIVATE = PrivateKey.generate()
KEY = note.log_key("headend/guard", PRIVATE.public)
HEAD = Checkpoint("headend/guard", 5, bytes(range(32)))


def test_a_note_opens_with_its_key_alone() -> None:
    """Another key, another name or another byte is Corrupt."""
    signed = note.sign(HEAD, PRIVATE)
    assert note.open_note(signed, KEY) == HEAD
    for key in (
        note.log_key("headend/guard", PrivateKey.generate().public),
        note.log_key("edge/guard", PRIVATE.public),
    ):
        with pytest.raises(Corrupt):
            note.open_note(signed, key)
    with pytest.raises(Corrupt):
        note.open_note(signed.replace(b"\n5\n", b"\n6\n"), KEY)


def test_a_note_has_the_form_that_other_tools_read() -> None:
    """c2sp.org/signed-note: text, empty line, em dash, name, key hash and signature."""
    text, _, signature = note.sign(HEAD, PRIVATE).decode().partition("\n\n")
    assert text == f"headend/guard\n5\n{base64.b64encode(HEAD.root).decode()}"
    dash, name, encoded = signature.strip().split(" ")
    assert (dash, name) == ("\N{EM DASH}", "headend/guard")
    assert len(base64.b64decode(encoded)) == 4 + 64


def test_the_verifier_line_is_that_of_the_go_implementation() -> None:
    """The example of golang.org/x/mod/sumdb/note's documentation is read as its key."""
    line = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    key = note.parse_verifier(line)
    assert key.name == "PeterNeumann"
    assert note.verifier(key) == line
    with pytest.raises(Corrupt):  # it signs notes; it is no witness
        note.parse_verifier(line, WITNESS)


def test_the_example_of_the_specification_is_read() -> None:
    """c2sp.org/tlog-cosignature's checkpoint gives the log's size, and the witness's time."""
    text = (
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "\N{EM DASH} example.com/behind-the-sofa "
        "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
        "\N{EM DASH} witness.example.com/w1 "
        "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
    )
    found = note.parse_note(text.encode())
    assert found.size == 20852163
    assert note.witnesses_of(found) == (("witness.example.com/w1", 20852163, 1679315147),)
    assert note.written(found, note.lines_of(found)) == text.encode()


def test_a_cosignature_says_who_saw_it_when() -> None:
    """It counts for its witness's key alone, over this head alone, at this time alone; the journal's own key is no witness."""
    witness = PrivateKey.generate()
    line = note.cosignature(HEAD, "operator", witness, 1_700_000_000)
    data = note.written(HEAD, [note.signature(HEAD, PRIVATE), line])
    key = note.witness_key("operator", witness.public)
    assert note.open_note(data, KEY).cosigned_by(key) == 1_700_000_000
    assert note.parse_note(data).cosigned_by(note.witness_key("operator", PRIVATE.public)) is None
    assert note.parse_note(data).cosigned_by(note.witness_key("regulator", witness.public)) is None
    other = Checkpoint(HEAD.origin, 6, HEAD.root)
    assert note.parse_note(note.written(other, [line])).cosigned_by(key) is None
    name, encoded = line.removeprefix("\N{EM DASH} ").split(" ")
    later = bytearray(base64.b64decode(encoded))
    later[11] ^= 1
    moved = f"\N{EM DASH} {name} {base64.b64encode(later).decode()}"
    assert note.parse_note(note.written(HEAD, [moved])).cosigned_by(key) is None
    assert parse_key(note.verifier(key), kind=WITNESS) == parse_key(f"operator={witness.public}", kind=WITNESS) == key


def test_a_request_to_a_witness_is_the_specifications() -> None:
    """c2sp.org/tlog-witness: 'old N', the proof's hashes, an empty line, the checkpoint."""
    signed = note.sign(HEAD, PRIVATE)
    data = note.request(3, [bytes(32), bytes(range(32))], signed)
    assert data.startswith(b"old 3\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nAAEC")
    assert note.parse_request(data) == note.Request(3, (bytes(32), bytes(range(32))), signed)
    for wrong in (b"old 03\n\n", b"old -1\n\n", b"new 3\n\n", b"old 3\nAAAA\n\n", b"old 3\n" + b"A" * 9000):
        with pytest.raises(Corrupt):
            note.parse_request(wrong + signed)


@pytest.mark.parametrize("lines", [[], ["x"], ["\N{EM DASH} operator AAAA"], ["\N{EM DASH} a b c"]])
def test_only_cosignatures_are_kept(lines: list[str]) -> None:
    """What a witness sends has the form of cosignatures, and is not too much."""
    with pytest.raises(Corrupt):
        note.checked_lines(lines)
    good = note.cosignature(HEAD, "operator", PRIVATE, 1)
    assert note.checked_lines([good]) == [good]
    with pytest.raises(Corrupt):
        note.checked_lines([good] * (note.MOST_LINES + 1))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_checkpoint_or_corrupt(data: bytes) -> None:
    """Nothing else comes out."""
    with pytest.raises(Corrupt):
        note.open_note(data, KEY)
    with pytest.raises(Corrupt):
        note.open_note(b"headend/guard\n5\n" + data, KEY)


@given(st.one_of(st.text(max_size=120), st.text("ed25519:+=AQ/ ", max_size=60)))
def test_any_text_is_a_verifier_or_damaged(text: str) -> None:
    """Nothing else comes out."""
    try:
        key = parse_key(text, "name")
    except Damaged:
        return
    assert len(key.raw) == 32
