from __future__ import annotations

from appliance.telemetry.session import Session, Told, asks_rebirth
from appliance.telemetry.sparkplug import REBIRTH, Datatype, Metric, Payload


def told(**values: int) -> list[Told]:
    return [Told(name, Datatype.INT64, value) for name, value in values.items()]


def value(payload: Payload, name: str) -> object:
    return next(metric.value for metric in payload.metrics if metric.name == name)


def test_birth_lists_everything_and_repeats_the_bd_seq_of_the_will() -> None:
    """tck-id-payloads-nbirth-bdseq: the birth carries the will's bdSeq, seq 0 and Node Control/Rebirth = false."""
    session, death = Session.start(1000.0).connect(1000.0)
    session, message = session.birth(told(a=1, b=2), 1001.0)
    assert message.kind == "NBIRTH"
    assert message.payload.seq == 0
    assert death.seq is None
    assert value(message.payload, "bdSeq") == value(death, "bdSeq") == session.bd_seq
    assert value(message.payload, REBIRTH) is False
    assert {m.name for m in message.payload.metrics} == {"bdSeq", REBIRTH, "a", "b"}


def test_data_names_only_what_changed() -> None:
    """tck-id-principles-rbe: NDATA is by exception, with the next seq; nothing changed, nothing sent."""
    session, _ = Session(0).birth(told(a=1, b=2), 0)
    session, message = session.changes(told(a=1, b=3), 1)
    assert message is not None
    assert (message.kind, message.payload.seq, [m.name for m in message.payload.metrics]) == ("NDATA", 1, ["b"])
    assert session.changes(told(a=1, b=3), 2) == (session, None)


def test_a_metric_that_comes_or_goes_is_a_birth() -> None:
    """What the last birth did not list, or lists in vain, makes a new one; bdSeq stays."""
    session, _ = Session(7).birth(told(a=1), 0)
    for now in (told(a=1, b=1), told(b=1)):
        after, message = session.changes(now, 1)
        assert message is not None
        assert (message.kind, after.bd_seq) == ("NBIRTH", 7)


def test_seq_and_bd_seq_wrap_at_255() -> None:
    """Both counters go from 255 to 0."""
    session, _ = Session(255).birth(told(a=0), 0)
    seen = []
    for n in range(1, 258):
        session, message = session.changes(told(a=n), n)
        assert message is not None
        seen.append(message.payload.seq)
    assert seen[:2] == [1, 2]
    assert seen[253:257] == [254, 255, 0, 1]
    assert session.connect(0)[0].bd_seq == 0


def test_only_rebirth_is_a_command() -> None:
    """Only Node Control/Rebirth = true asks for a birth."""
    assert asks_rebirth(Payload((Metric(REBIRTH, value=True, datatype=Datatype.BOOLEAN),)))
    assert not asks_rebirth(Payload((Metric(REBIRTH, value=False, datatype=Datatype.BOOLEAN),)))
    assert not asks_rebirth(Payload((Metric("Node Control/Reboot", value=True, datatype=Datatype.BOOLEAN),)))
