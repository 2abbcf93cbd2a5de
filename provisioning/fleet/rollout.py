"""A rollout as a state machine: ring by ring, and no further where a box fails or does not report in time. Pure.

Rules: a ring starts only when every box of the ring before reports the wanted digest as enforced. A box that the playbook failed on,
or that did not report within the limit, halts the rollout: the boxes of later rings keep what they have.

    waiting --Playing--> playing --Played(ok)--> reporting --Reported(wanted)--> enforced
                            |                        |
                            +--Played(failed)--> failed <--limit passed--+
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from provisioning.fleet.plan import Plan

LIMIT = 120.0  # seconds in which a box must report what it enforces, after its playbook ended


class State(StrEnum):
    """Where a box is in the rollout."""

    WAITING = "waiting"
    PLAYING = "playing"
    REPORTING = "reporting"
    ENFORCED = "enforced"
    FAILED = "failed"


@dataclass(frozen=True)
class Box:
    """One box in a rollout."""

    site: str
    ring: int
    wanted: str  # digest
    state: State = State.WAITING
    since: float = 0.0  # when it came into this state, seconds of the caller's clock
    told: str = ""  # the reason of a failure, or what it reports instead


@dataclass(frozen=True)
class Rollout:
    """The boxes of a rollout."""

    boxes: tuple[Box, ...]
    limit: float = LIMIT

    def ring(self, number: int) -> tuple[Box, ...]:
        """Return the boxes of a ring."""
        return tuple(box for box in self.boxes if box.ring == number)


@dataclass(frozen=True)
class Play:
    """Run the playbook on these boxes."""

    ring: int
    sites: tuple[str, ...]


@dataclass(frozen=True)
class Ask:
    """Ask the controller what these boxes enforce, again until ``until``."""

    ring: int
    sites: tuple[str, ...]
    until: float


@dataclass(frozen=True)
class Halt:
    """Go no further; ``why`` tells each box that failed, ``untouched`` the boxes that keep what they had."""

    ring: int
    why: tuple[str, ...]
    untouched: tuple[str, ...]


@dataclass(frozen=True)
class Done:
    """Every box reports what is wanted."""


Step = Play | Ask | Halt | Done


def start(plan: Plan, *, ring: int | None = None, limit: float = LIMIT) -> Rollout:
    """Return the rollout of ``plan``, of one ring only where given.

    Every box is in it, changed or not: the playbook also keeps software and certificates, and changes nothing where nothing differs.
    """
    boxes = (Box(change.site, change.ring, change.wanted) for change in plan.changes if ring in (None, change.ring))
    return Rollout(tuple(boxes), limit)


def next_step(rollout: Rollout, now: float) -> Step:
    """Return what to do next."""
    for number in sorted({box.ring for box in rollout.boxes}):
        boxes = rollout.ring(number)
        late = [b for b in boxes if b.state is State.REPORTING and now - b.since >= rollout.limit]
        failed = [box for box in boxes if box.state is State.FAILED]
        reporting = [box for box in boxes if box.state is State.REPORTING]
        waiting = [box for box in boxes if box.state in (State.WAITING, State.PLAYING)]
        if waiting:
            return Play(number, tuple(box.site for box in waiting))
        if failed or late:
            why = [f"{box.site}: {box.told}" for box in failed]
            why += [
                f"{b.site}: {b.told or 'nothing reported'}, {rollout.limit:.0f} s after it was provisioned"
                for b in late
            ]
            untouched = tuple(box.site for box in rollout.boxes if box.ring > number)
            return Halt(number, tuple(why), untouched)
        if reporting:
            until = min(box.since for box in reporting) + rollout.limit
            return Ask(number, tuple(box.site for box in reporting), until)
    return Done()


def playing(rollout: Rollout, sites: Iterable[str], now: float) -> Rollout:
    """Return the rollout once the playbook was started on ``sites``."""
    return _move(rollout, set(sites), State.PLAYING, now)


def played(rollout: Rollout, site: str, failure: str | None, now: float) -> Rollout:
    """Return the rollout once the playbook ended on ``site``, with a ``failure`` in words or without."""
    state = State.REPORTING if failure is None else State.FAILED
    return _move(rollout, {site}, state, now, failure or "")


def reported(rollout: Rollout, site: str, enforced: str | None, detail: str, now: float) -> Rollout:
    """Return the rollout once ``site`` was seen to enforce the digest ``enforced`` (None: nothing reported)."""
    box = next(box for box in rollout.boxes if box.site == site)
    if box.state is not State.REPORTING:
        return rollout
    if enforced == box.wanted:
        return _move(rollout, {site}, State.ENFORCED, now)
    told = "it has not reported" if enforced is None else f"it reports {enforced[:12]}, wanted is {box.wanted[:12]}"
    return _move(rollout, {site}, State.REPORTING, box.since, f"{told} ({detail})" if detail else told)


def _move(rollout: Rollout, sites: set[str], state: State, now: float, told: str = "") -> Rollout:
    boxes = tuple(replace(b, state=state, since=now, told=told) if b.site in sites else b for b in rollout.boxes)
    return replace(rollout, boxes=boxes)
