"""What a lab made, written before it is made."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.runtime.errors import Corrupt, Refused
from provisioning.lab.state import KINDS, Made, Record, State

RECORDS = st.builds(
    Record,
    st.lists(st.builds(Made, st.sampled_from(sorted(KINDS)), st.text())),
    st.lists(st.tuples(st.text(), st.text())),
)


@given(RECORDS)
@settings(max_examples=100)
def test_a_record_reads_back_as_it_was_written(record: Record):
    """Nothing that was made is forgotten by writing it down."""
    assert Record.parse(record.dump()) == record


@given(st.binary() | st.sampled_from([b"{}", b"[]", b'{"version":1,"made":[["x","y"]],"unplugged":[]}', b"null"]))
@settings(max_examples=150)
def test_any_bytes_are_a_record_or_damaged(data: bytes):
    """A damaged record is said to be so; nothing is removed on its word."""
    try:
        record = Record.parse(data)
    except Corrupt:
        return
    assert all(made.kind in KINDS for made in record.made)


@pytest.mark.parametrize(
    "data",
    [
        b'{"version":2,"made":[],"unplugged":[]}',
        b'{"version":1,"made":[["disk","/dev/sda"]],"unplugged":[]}',
        b'{"version":1,"made":[["mount",7]],"unplugged":[]}',
        b'{"version":1,"made":[["mount"]],"unplugged":[]}',
        b'{"version":1,"made":[]}',
        b"[" * 100_000,
    ],
)
def test_what_no_lab_writes_is_damaged(data: bytes):
    """Another version, an unknown kind, a number for a name, a missing part, a bomb."""
    with pytest.raises(Corrupt):
        Record.parse(data)


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State("one", folder=tmp_path / "labs", locks=tmp_path / "locks")


def test_things_are_remembered_once_and_in_order(state: State):
    """Intending twice is once; forgetting what is not there is nothing."""
    with state.changing():
        state.create()
        state.intend("namespace", "hg-one-a")
        state.intend("mount", "/x")
        state.intend("namespace", "hg-one-a")
        state.forget("mount", "/y")

    assert state.read().made == [Made("namespace", "hg-one-a"), Made("mount", "/x")]
    assert state.owns("mount", "/x")
    assert not state.owns("mount", "/y")


def test_a_pulled_cable_is_remembered_until_it_is_put_back(state: State):
    """Also twice pulled is pulled once."""
    with state.changing():
        state.create()
        state.set_plugged("edge", "culture", plugged=False)
        state.set_plugged("edge", "culture", plugged=False)
        assert state.read().unplugged == [("edge", "culture")]
        state.set_plugged("edge", "culture", plugged=True)
        state.set_plugged("edge", "culture", plugged=True)

    assert state.read().unplugged == []


def test_nobody_writes_without_holding_the_lab(state: State):
    """A change outside of changing() is our own mistake."""
    with pytest.raises(RuntimeError):
        state.create()


def test_the_operator_s_key_is_not_for_others(state: State):
    """The lab's folder opens to root only."""
    with state.changing():
        state.create()

    assert state.folder.stat().st_mode & 0o777 == 0o700


def test_holding_may_be_nested(state: State):
    """start() inside of up() does not wait for itself."""
    with state.changing(), state.changing():
        state.create()
    with state.changing():
        assert state.exists


@pytest.mark.parametrize("name", ["", "UP", "a/b", "..", "a b", "-a", "a-", "x" * 21])
def test_a_name_that_no_namespace_can_bear_is_refused(tmp_path: Path, name: str):
    """A lab's name becomes part of paths and of the kernel's names."""
    with pytest.raises(Refused) as refused:
        State(name, folder=tmp_path)

    assert refused.value.reason == "bad-name"


@pytest.mark.parametrize("folder", ["/a:b", "/a,b", "/a b", "/a\\b"])
def test_a_folder_that_overlay_cannot_take_is_refused(folder: str):
    """Colon and comma separate overlayfs's options."""
    with pytest.raises(Refused) as refused:
        State("one", folder=Path(folder))

    assert refused.value.reason == "bad-folder"
