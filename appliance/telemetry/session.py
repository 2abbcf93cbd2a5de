"""A box's session as a Sparkplug edge node: what to publish when, as values (specification 3.0, sections 5 and 6.4).

A connection starts with ``connect`` (which gives the will), then ``birth`` lists every metric; ``changes`` names only what
changed since, and is a birth again when a metric appears or goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from appliance.telemetry.sparkplug import BD_SEQ, REBIRTH, Datatype, Metric, Payload, Value


@dataclass(frozen=True)
class Told:
    """One metric as the box knows it now."""

    name: str
    datatype: Datatype
    value: Value


@dataclass(frozen=True)
class Publish:
    """A message to publish: ``kind`` is NBIRTH or NDATA."""

    kind: str
    payload: Payload


@dataclass(frozen=True)
class Session:
    """Where the session stands; a new value after each step."""

    bd_seq: int  # of the present connection; 0..255
    seq: int = 255  # of the last message
    last: Mapping[str, Value] = field(
        default_factory=dict
    )  # what the controller was told, by name; empty before the birth

    @classmethod
    def start(cls, now: float) -> Session:
        """Return the state before the first connection.

        bdSeq must differ from the one of a session that a killed process left behind, without a disk to remember it: it starts
        from the clock (tck-id-payloads-ndeath-bdseq asks only that birth and death agree and that each CONNECT adds one).
        """
        return cls(int(now) & 255)

    def connect(self, now: float) -> tuple[Session, Payload]:
        """Return the session of a new connection, and the NDEATH that is its will."""
        after = Session((self.bd_seq + 1) & 255)
        return after, Payload((_bd_seq(after.bd_seq),), milliseconds(now))

    def birth(self, told: Iterable[Told], now: float) -> tuple[Session, Publish]:
        """Return the NBIRTH that lists everything; its seq is 0 and its bdSeq the will's, also at a rebirth."""
        known = list(told)
        time = milliseconds(now)
        metrics = (
            _bd_seq(self.bd_seq),
            Metric(REBIRTH, value=False, datatype=Datatype.BOOLEAN, time=time),
            *(Metric(one.name, one.value, one.datatype, time) for one in known),
        )
        after = replace(self, seq=0, last={one.name: one.value for one in known})
        return after, Publish("NBIRTH", Payload(metrics, time, 0))

    def changes(self, told: Iterable[Told], now: float) -> tuple[Session, Publish | None]:
        """Return the message that tells what changed since the last one, or None."""
        known = list(told)
        if {one.name for one in known} != set(self.last):  # a zone came or went: only a birth can say so
            return self.birth(known, now)
        time = milliseconds(now)
        changed = [one for one in known if self.last[one.name] != one.value]
        if not changed:
            return self, None
        seq = (self.seq + 1) & 255
        after = replace(self, seq=seq, last={**self.last, **{one.name: one.value for one in changed}})
        metrics = tuple(Metric(one.name, one.value, one.datatype, time) for one in changed)
        return after, Publish("NDATA", Payload(metrics, time, seq))


def asks_rebirth(command: Payload) -> bool:
    """Return whether an NCMD asks for a new birth; nothing else can be commanded this way."""
    return any(metric.name == REBIRTH and metric.value is True for metric in command.metrics)


def milliseconds(now: float) -> int:
    """Return a time in seconds since 1970 as Sparkplug writes it."""
    return int(now * 1000)


def _bd_seq(value: int) -> Metric:
    return Metric(BD_SEQ, value, Datatype.INT64)
