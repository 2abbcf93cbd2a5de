"""Which records to send now, and which again: a window over the spool, as a value.

PUBACK does not mean stored (a broker may lose what it acknowledged), so only the controller's own acknowledgement counts. What is
not acknowledged in time is sent again; the controller keeps one record for each id, so that each arrives exactly once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from appliance.telemetry.records import Numbered, batch

BATCH = 100  # records of one message
BATCH_BYTES = 256 << 10  # bytes of one message; the controller takes twice that
WINDOW = 1000  # records sent and not yet acknowledged
PATIENCE = 10.0  # seconds until a record is sent again


@dataclass(frozen=True)
class Outbox:
    """What is on its way: ``after`` is the spool's number up to which all was sent on this connection."""

    after: int = 0
    flying: Mapping[str, float] = field(default_factory=dict)  # id -> when it was sent, in seconds

    def room(self) -> int:
        """Return how many records may be sent now."""
        return max(0, min(BATCH, WINDOW - len(self.flying)))

    def sent(self, items: Iterable[Numbered], now: float) -> Outbox:
        """Return the outbox after ``items`` went out."""
        known = list(items)
        last = max((item.seq for item in known), default=self.after)
        return Outbox(max(self.after, last), {**self.flying, **{item.record.id: now for item in known}})

    def acknowledged(self, ids: Iterable[str]) -> Outbox:
        """Return the outbox after the controller stored ``ids``."""
        gone = frozenset(ids)
        return replace(self, flying={name: at for name, at in self.flying.items() if name not in gone})

    def overdue(self, now: float, patience: float = PATIENCE) -> bool:
        """Return whether an acknowledgement is missing for too long, so that all must be sent again."""
        return any(now - at >= patience for at in self.flying.values())


def fitting(items: Iterable[Numbered], largest: int = BATCH_BYTES) -> list[Numbered]:
    """Return the leading ``items`` that fit one message of ``largest`` bytes, at least one where there is one."""
    chosen: list[Numbered] = []
    size = 2
    for item in items:
        size += len(batch([item]))
        if chosen and size > largest:
            break
        chosen.append(item)
    return chosen
