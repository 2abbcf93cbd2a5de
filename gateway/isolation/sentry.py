"""Keeps anything from joining two zones beside the exchange: looks, undoes, tells; while something is left, nothing crosses."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from appliance.runtime.errors import HeadgateError
from gateway.isolation.bridges.nouns import Found
from gateway.isolation.bridges.watch import must_stop_lanes
from gateway.isolation.decisions import to_tell
from gateway.isolation.evidence import Finding
from gateway.isolation.policy import Policy

log = logging.getLogger("headgate.guard")
ROUNDS = 3  # of looking and undoing in one go: what is undone may have hidden something


class Looks(Protocol):
    """What finds the ways across (``bridges.Bridges``)."""

    def scan(self, policy: Policy) -> Sequence[Found]:
        """Return everything that joins two zones, or could."""

    def undo_all(self, findings: Sequence[Found]) -> Sequence[Found]:
        """Undo what can be undone, and say with each what was done."""


class Gate(Protocol):
    """What opens and shuts the crossing between zones (``units.Units``)."""

    def shut(self, *, shut: bool) -> None:
        """Stop the crossing, or start it again."""


class Sentry:
    """One box's sentry; used from one thread at a time."""

    def __init__(self, looks: Looks, gate: Gate, tell: Callable[..., None], clock: Callable[[], float]) -> None:
        self.looks, self.gate, self.tell, self.clock = looks, gate, tell, clock
        self.findings: tuple[Finding, ...] = ()  # what is there now
        self.undone: dict[str, int] = {}  # name -> how often it was undone
        self.faults: tuple[str, ...] = ()
        self.shut = False
        self._told: dict[str, tuple[str, float]] = {}

    def look(self, policy: Policy, *, proved: bool = True) -> None:
        """Look at the whole box, undo what can be undone, and open or shut the crossing by what is left.

        Nothing crosses either while a zone's ruleset is not ``proved`` to be the policy's.
        """
        try:
            left = self._undone(policy)
        except (HeadgateError, OSError) as error:
            self._set("blind")
            self._fail(f"what joins zones cannot be looked for: {error}")
            return
        self.findings = tuple(left)
        self.faults = ()
        self._tell("found", {f"{one.name} {one.what}": one.what for one in left}, {one.what: one for one in left})
        self._set("bridge" if must_stop_lanes(left) else "" if proved else "not-proved")

    def _undone(self, policy: Policy) -> Sequence[Found]:
        found: Sequence[Found] = ()
        for _ in range(ROUNDS):
            found = self.looks.scan(policy)
            done = [one for one in self.looks.undo_all(found) if one.done] if found else []
            for one in done:
                self.undone[one.name] = self.undone.get(one.name, 0) + 1
                self._tell("undo", {f"{one.name} {one.what}": one.what}, {one.what: one})
            if not done:
                break
        return found

    def _tell(self, decision: str, said: dict[str, str], findings: dict[str, Found]) -> None:
        now = self.clock()
        for key, words in to_tell(said, self._told, now).items():
            one = findings[words]
            self._told[key] = (words, now)
            more = {"done": one.done} if one.done else {}
            self.tell(decision, one.name, way=one.way, zones=list(one.zones), detail=one.what, **more)

    def _set(self, why: str) -> None:
        """Shut the crossing because of ``why``, or open it where there is nothing."""
        if bool(why) != self.shut:
            try:
                self.gate.shut(shut=bool(why))
            except HeadgateError as error:
                self._fail(f"the crossing cannot be {'shut' if why else 'opened'}: {error}")
                return
            self.shut = bool(why)
            self.tell("shut" if why else "open", why or "clear", findings=len(self.findings))

    def _fail(self, words: str) -> None:
        if words not in self.faults:
            log.error("%s", words)
        self.faults = (words,)
