"""What there is to show: the fleet's state beside what was asked of it and what it delivers, as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from monitoring.fleet import Box, Fleet

Agreement = Literal["equal", "differs", "unknown"]
TOP = 5  # releases shown for a box


@dataclass(frozen=True)
class Used:
    """What was delivered of one release (or of all): requests, bytes, and requests answered from the store."""

    release: str
    requests: int = 0
    bytes: int = 0
    hits: int = 0
    misses: int = 0

    @property
    def hit_share(self) -> float | None:
        """The share of requests answered from the store, of those that asked for content."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else None


@dataclass(frozen=True)
class Refusal:
    """Something a box did not let through; ``time`` by RFC 3339."""

    box: str
    time: str
    source: str
    reason: str
    told: str


@dataclass(frozen=True)
class Standing:
    """Whether a box enforces what is asked of it, and since when (seconds since 1970, 0 for unknown)."""

    agreement: Agreement
    since: float = 0.0


@dataclass(frozen=True)
class JournalView:
    """One journal of a box as its witness saw it; times in seconds since 1970, 0 for never."""

    name: str
    size: int  # entries that were countersigned
    cosigned: float = 0.0
    waiting: float = 0.0  # since when the newest checkpoint could not be countersigned
    fault: str = ""  # other-key, not-signed, forked, rolled-back
    told: str = ""


@dataclass(frozen=True)
class BoxView:
    """One box as people see it."""

    box: Box
    wanted: str
    standing: Standing
    used: Used
    top: tuple[Used, ...]
    records: Mapping[str, int] = field(default_factory=dict)  # stored, by kind
    journals: tuple[JournalView, ...] = ()

    @property
    def site(self) -> str:
        """The box's name."""
        return self.box.site

    @property
    def heard(self) -> bool:
        """Whether the box ever reported."""
        return self.box.seen > 0

    @property
    def enforced(self) -> str:
        """The digest that the box says it enforces, or an empty text."""
        return self.box.text("policy/enforced")

    @property
    def state(self) -> str:
        """The guard's word: enforced, pending, drift, failed; or unknown."""
        return self.box.text("policy/state") or "unknown"

    @property
    def well(self) -> bool:
        """Whether nobody needs to look at this box."""
        sound = not any(one.fault for one in self.journals)
        return (
            self.box.online and sound and self.standing.agreement != "differs" and self.state in ("enforced", "pending")
        )

    def told(self) -> dict[str, Any]:
        """Return the box as a JSON value."""
        box = self.box
        return {
            "site": box.site,
            "online": box.online,
            "last_seen": box.seen or None,
            "software": box.text("software"),
            "uptime": box.number("uptime"),
            "wanted": self.wanted or None,
            "enforced": self.enforced or None,
            "agreement": self.standing.agreement,
            "since": self.standing.since or None,
            "state": self.state,
            "faults": box.text("policy/faults").splitlines(),
            "confirm_by": box.text("policy/confirm_by") or None,
            "zones": box.zones(),
            "spool": {"records": box.number("spool/records"), "oldest": box.text("spool/oldest") or None},
            "usage": {**_used(self.used), "top": [{"release": one.release, **_used(one)} for one in self.top]},
            "records": dict(self.records),
            "journals": [vars(one) for one in self.journals],
        }


EVENTS = ("filter-failed",)  # of boxes, that are counted


@dataclass(frozen=True)
class Overview:
    """Everything on the page; ``now`` in seconds since 1970."""

    now: float
    boxes: tuple[BoxView, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    reasons: Mapping[str, int] = field(default_factory=dict)  # refusals so far, by reason
    broker: bool = False  # whether the controller is connected to it
    identifiers: int | None = None  # in the registry
    orders: int = 0  # serial of the last order to withdraw or to reinstate
    behind: Mapping[str, int] = field(default_factory=dict)  # orders that connected boxes have not proved
    events: Mapping[tuple[str, str], int] = field(default_factory=dict)  # so far, by box and ``EVENTS``


def agreement(wanted: str, enforced: str) -> Agreement:
    """Return how what a box enforces stands to what is asked of it (digests, empty where unknown)."""
    if not wanted or not enforced:
        return "unknown"
    return "equal" if wanted == enforced else "differs"


def standing(before: Standing | None, wanted: str, enforced: str, now: float) -> Standing:
    """Return the standing now: its time is kept while the agreement stays the same."""
    current = agreement(wanted, enforced)
    if before is not None and before.agreement == current:
        return before
    return Standing(current, now)


def wanted_of(box: Box, asked: Mapping[str, str]) -> str:
    """Return the digest asked of ``box``: the operator's word where there is one, else what lies on the box."""
    return asked.get(box.site) or box.text("policy/wanted")


def overview(
    fleet: Fleet,
    asked: Mapping[str, str],
    standings: Mapping[str, Standing],
    usage: Iterable[tuple[str, Used]],
    records: Mapping[str, Mapping[str, int]],
    now: float,
    journals: Mapping[str, tuple[JournalView, ...]] | None = None,
) -> tuple[BoxView, ...]:
    """Return the boxes to show, those that need somebody first: reported ones, and those of which a policy is asked."""
    by_box: dict[str, list[Used]] = {}
    for site, used in usage:
        by_box.setdefault(site, []).append(used)
    views = []
    for site in sorted({*fleet, *asked, *(journals or {})}):
        box = fleet.get(site, Box(site))
        releases = sorted(by_box.get(site, []), key=lambda used: (-used.bytes, -used.requests, used.release))
        named = [used for used in releases if used.release]
        wanted = wanted_of(box, asked)
        known = standings.get(site) or Standing(agreement(wanted, box.text("policy/enforced")))
        top, kept = tuple(named[:TOP]), (journals or {}).get(site, ())
        views.append(BoxView(box, wanted, known, total(releases), top, records.get(site, {}), kept))
    return tuple(sorted(views, key=lambda view: (view.well, not view.heard, view.site)))


def total(parts: Iterable[Used]) -> Used:
    """Return the sum of ``parts``."""
    known = list(parts)
    return Used(
        "",
        sum(one.requests for one in known),
        sum(one.bytes for one in known),
        sum(one.hits for one in known),
        sum(one.misses for one in known),
    )


def _used(used: Used) -> dict[str, Any]:
    return {"requests": used.requests, "bytes": used.bytes, "hits": used.hits, "misses": used.misses}
