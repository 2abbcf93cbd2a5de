"""Checkpoints as signed notes."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.identity.keys import PrivateKey, PublicKey
from appliance.journal import note
from appliance.journal.note import Checkpoint
from appliance.runtime.errors import Corrupt

KEY = PrivateKey.generate()
HEAD = Checkpoint("headend/guard", 5, bytes(range(32)))


def test_a_note_opens_with_its_key_alone() -> None:
    """Another key, another name or another byte is Corrupt."""
    signed = note.sign(HEAD, KEY)
    assert note.open_note(signed, "headend/guard", KEY.public) == HEAD
    with pytest.raises(Corrupt):
        note.open_note(signed, "headend/guard", PrivateKey.generate().public)
    with pytest.raises(Corrupt):
        note.open_note(signed, "edge/guard", KEY.public)
    with pytest.raises(Corrupt):
        note.open_note(signed.replace(b"\n5\n", b"\n6\n"), "headend/guard", KEY.public)


def test_a_note_has_the_form_that_other_tools_read() -> None:
    """c2sp.org/signed-note: text, empty line, em dash, name, key hash and signature."""
    text, _, signature = note.sign(HEAD, KEY).decode().partition("\n\n")
    assert text == f"headend/guard\n5\n{base64.b64encode(HEAD.root).decode()}"
    dash, name, encoded = signature.strip().split(" ")
    assert (dash, name) == ("\N{EM DASH}", "headend/guard")
    assert len(base64.b64decode(encoded)) == 4 + 64


def test_the_verifier_line_is_that_of_the_go_implementation() -> None:
    """The example of golang.org/x/mod/sumdb/note's documentation is read as its key."""
    line = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    name, key = note.parse_verifier(line)
    assert name == "PeterNeumann"
    assert note.verifier(name, key) == line


@given(st.binary(max_size=300))
def test_any_bytes_are_a_checkpoint_or_corrupt(data: bytes) -> None:
    """Nothing else comes out."""
    with pytest.raises(Corrupt):
        note.open_note(data, "headend/guard", KEY.public)


@given(st.text(max_size=120))
def test_any_text_is_a_verifier_or_corrupt(text: str) -> None:
    """Nothing else comes out."""
    try:
        _, key = note.parse_verifier(text)
    except Corrupt:
        return
    assert isinstance(key, PublicKey)
