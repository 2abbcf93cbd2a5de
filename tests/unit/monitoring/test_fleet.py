from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.telemetry.session import Session, Told
from appliance.telemetry.sparkplug import Datatype, Metric, Payload
from monitoring.fleet import ASK_AGAIN, Box, hear, unheard


def birth(bd_seq: int = 1, **values: int) -> Payload:
    told = [Told(name, Datatype.INT64, value) for name, value in values.items()]
    return Session(bd_seq).birth(told, 0)[1].payload


def data(seq: int, **values: int) -> Payload:
    return Payload(tuple(Metric(name, value, Datatype.INT64) for name, value in values.items()), 0, seq)


def born(**values: int) -> Box:
    return hear(Box("headend"), "NBIRTH", birth(**values), 10.0).box


def test_a_birth_is_all_there_is() -> None:
    """A birth brings the box online and replaces everything known."""
    heard = hear(born(old=1), "NBIRTH", birth(a=1), 20.0)
    assert heard.box.online
    assert heard.whole
    assert heard.box.metrics == heard.keep == {"a": 1}
    assert heard.box.changed == 10.0  # it was online already


def test_data_in_order_changes_what_it_names() -> None:
    """NDATA with the next seq changes the values it names, and no others."""
    heard = hear(born(a=1, b=2), "NDATA", data(1, b=3, unknown=9), 11.0)
    assert heard.box.metrics == {"a": 1, "b": 3}
    assert heard.keep == {"b": 3}
    assert not heard.ask_birth


def test_data_by_alias() -> None:
    """A sender that uses aliases is understood."""
    payload = Payload((Metric("a", 1, Datatype.INT64, alias=7),), 0, 0)
    box = hear(Box("x"), "NBIRTH", payload, 1.0).box
    assert hear(box, "NDATA", Payload((Metric(None, 2, alias=7),), 0, 1), 2.0).box.metrics == {"a": 2}


@pytest.mark.parametrize("box", [Box("new"), born(a=1)], ids=["unknown box", "gap"])
def test_what_was_missed_is_asked_for(box: Box) -> None:
    """Data of an unknown box, or after a gap, ask for a birth, and not again at once."""
    first = hear(box, "NDATA", data(5, a=2), 100.0)
    assert first.ask_birth
    assert first.box.metrics == box.metrics
    second = hear(first.box, "NDATA", data(6, a=2), 100.0 + ASK_AGAIN / 2)
    assert not second.ask_birth
    third = hear(second.box, "NDATA", data(7, a=2), 100.0 + ASK_AGAIN)
    assert third.ask_birth
    assert hear(third.box, "NBIRTH", birth(a=2), 106.0).box.online


def test_only_the_death_of_this_connection_counts() -> None:
    """The will of an earlier connection, which may come late, does not take the box offline."""
    box = born(a=1)
    old = Payload((Metric("bdSeq", 0, Datatype.INT64),))
    assert hear(box, "NDEATH", old, 20.0).box is box
    dead = hear(box, "NDEATH", Payload((Metric("bdSeq", 1, Datatype.INT64),)), 20.0).box
    assert (dead.online, dead.changed) == (False, 20.0)
    assert dead.metrics == {"a": 1}


def test_silence_is_offline() -> None:
    """A box that is not heard for long counts as offline though no will came."""
    box = born(a=1)
    assert unheard(box, 70.0, 60) is box
    assert not unheard(box, 71.0, 60).online


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["NBIRTH", "NDATA", "NDEATH"]),
            st.integers(0, 255),
            st.dictionaries(st.sampled_from(["a", "b", "bdSeq"]), st.integers(0, 3)),
        ),
        max_size=12,
    )
)
@settings(max_examples=80)
def test_any_history_ends_in_a_state_that_a_birth_mends(history: list[tuple[str, int, dict[str, int]]]) -> None:
    """Whatever comes in whatever order, the next birth gives exactly what it says."""
    box = Box("headend")
    for now, (kind, seq, values) in enumerate(history):
        box = hear(box, kind, data(seq, **values), float(now)).box
    after = hear(box, "NBIRTH", birth(9, a=5), 99.0).box
    assert (after.online, after.metrics, after.seq) == (True, {"a": 5}, 0)
