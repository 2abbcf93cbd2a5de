"""Signed envelopes."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.identity.envelope import open_sealed, seal
from appliance.identity.keys import PrivateKey, PublicKey
from appliance.runtime.errors import Corrupt, Refused

KIND = "application/vnd.headgate.test+json"
OURS, OTHER = PrivateKey.generate(), PrivateKey.generate()


@given(st.binary(max_size=200))
def test_what_was_sealed_comes_out(payload):
    """open(seal(x)) == x, and names the key that signed."""
    assert open_sealed(seal(payload, KIND, OURS), KIND, [OTHER.public, OURS.public]) == (payload, OURS.public)


def test_another_key_is_refused():
    """A signature of a key that is not admitted is no signature."""
    with pytest.raises(Refused, match="none of the keys") as caught:
        open_sealed(seal(b"x", KIND, OTHER), KIND, [OURS.public])

    assert caught.value.reason == "not-signed"


def test_an_altered_payload_is_refused():
    """The signature covers each byte of the payload."""
    told = json.loads(seal(b"pay 10", KIND, OURS))
    told["payload"] = base64.b64encode(b"pay 99").decode()
    with pytest.raises(Refused):
        open_sealed(json.dumps(told).encode(), KIND, [OURS.public])


def test_a_foreign_kind_is_corrupt():
    """An envelope of one kind cannot be passed off as another."""
    with pytest.raises(Corrupt, match="not 'b'"):
        open_sealed(seal(b"x", "a", OURS), "b", [OURS.public])


@given(st.one_of(st.binary(max_size=200), st.recursive(st.none() | st.text() | st.integers(), lambda x: st.lists(x) | st.dictionaries(
    st.sampled_from(["payload", "payloadType", "signatures", "sig"]), x), max_leaves=6).map(lambda x: json.dumps(x).encode())))  # fmt: skip
def test_any_bytes_are_refused_as_typed(data):
    """Any bytes -> Corrupt or Refused, nothing else."""
    with pytest.raises((Corrupt, Refused)):
        open_sealed(data, KIND, [OURS.public])


@given(st.text(max_size=60))
def test_any_text_that_is_no_key_is_told(text):
    """Any text -> ValueError that shows how a key is written (no text of this length is a key)."""
    with pytest.raises(ValueError, match="ed25519:"):
        PublicKey.parse(text[:40])


def test_a_key_is_read_as_it_is_written():
    """parse(str(key)) == key."""
    assert PublicKey.parse(str(OURS.public)) == OURS.public


def test_a_saved_key_is_private_and_never_overwritten(tmp_path):
    """The file is 0600, loads as the same key, and is not written twice."""
    path = tmp_path / "key.pem"
    OURS.save(path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert PrivateKey.load(path).public == OURS.public
    with pytest.raises(FileExistsError):
        OTHER.save(path)
