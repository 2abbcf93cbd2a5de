"""(code, record, who asks, now) -> what to answer. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from gateway.resolver.answer.form import Form
from gateway.resolver.answer.here import Here, unseen
from gateway.resolver.answer.known import Known
from gateway.resolver.answer.places import Place, places, playable
from gateway.resolver.codes import Code
from gateway.resolver.records import age

STALE_AFTER = 24 * 3600.0  # seconds; the registry signs its head anew at least every hour


@dataclass(frozen=True)
class Source:
    """Who said it, and when: the table, or a look-up that is kept ``keep`` seconds."""

    registry: str
    serial: int
    made: datetime
    keep: float = STALE_AFTER

    @cached_property
    def label(self) -> str:
        """What an answer's header says of it."""
        return f"serial={self.serial}"

    @cached_property
    def until(self) -> float:
        """When it gets stale, in seconds since 1970."""
        return self.made.timestamp() + self.keep

    def age(self, now: datetime) -> float:
        """Return the seconds since it was said."""
        return age(self.made, now)

    def stale(self, now: datetime) -> bool:
        """Return whether it is older than it may be."""
        return (now - self.made).total_seconds() > self.keep


@dataclass(frozen=True)
class Redirect:
    """Go and play it there."""

    location: str
    known: Known


@dataclass(frozen=True)
class Moved:
    """Another code took its place."""

    successor: str
    known: Known


@dataclass(frozen=True)
class Document:
    """All that is known, nearest location first."""

    known: Known
    places: list[Place]
    playable: str | None


@dataclass(frozen=True)
class Gone:
    """It was withdrawn."""

    sentence: str
    known: Known


@dataclass(frozen=True)
class Hidden:
    """It is there, but may not be seen here; told only where the policy says so."""

    reason: str
    sentence: str


@dataclass(frozen=True)
class NotFound:
    """The table does not know it, or may not tell yet, or may not tell here."""

    reason: str  # unknown-code or reserved
    sentence: str


@dataclass(frozen=True)
class NoTable:
    """The box never received a table of identifiers."""

    sentence: str = "this box has received no table of identifiers yet"


Outcome = Redirect | Moved | Document | Gone | Hidden | NotFound | NoTable


def outcome(
    code: Code,
    known: Known | None,
    source: Source | None,
    here: Here,
    form: Form,
    now: datetime,
    screen: str | None = None,
) -> Outcome:
    """Return the answer for ``code``, of which ``source`` says ``known``.

    A player in a zone without delivery is told what is known instead of being sent away.
    """
    if source is None:
        return NoTable()
    if known is None:
        return NotFound("unknown-code", f"{code} is not registered")
    if hidden := unseen(known, here, now):
        # Where hidden codes are not there, the answer is the very one of a code that nobody registered.
        return Hidden(*hidden) if here.hidden == 403 else NotFound("unknown-code", f"{code} is not registered")
    status = known.status
    if status == "reserved":
        return NotFound("reserved", f"{code} is reserved and not published yet")
    if status == "withdrawn":
        told = f": {known.reason}" if known.reason else ""
        return Gone(f"{code} was withdrawn{told}", known)
    if form == "player" and status == "superseded" and known.successor:
        return Moved(known.successor, known)
    found = places(known, here, screen)
    nearest = playable(found)
    if form == "player" and nearest:
        return Redirect(nearest, known)
    return Document(known, found, nearest)
