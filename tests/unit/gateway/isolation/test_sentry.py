"""The sentry undoes what joins two zones, tells each thing once a minute, and lets nothing cross while something is left."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from appliance.runtime.errors import HeadgateError
from gateway.isolation import policy as policies
from gateway.isolation.bridges.nouns import EndProcess, Found
from gateway.isolation.sentry import Sentry

POLICY = policies.parse(
    b"""
site: scratch
zones:
  culture:   {port: "02:68:67:0a:00:0b", addresses: [10.10.0.11/24]}
  bigscreen: {port: "02:68:67:14:00:0b", addresses: [10.20.0.11/24]}
never: [{from: bigscreen, to: culture}]
"""
)
BRIDGE = Found(
    20, "process-in-two-zones", ("bigscreen", "culture"), "process 7 is in both", 7, mends=(EndProcess(7, 1),)
)
TOLD = Found(36, "unknown-listener", ("culture",), "process 8 listens on tcp/99", 8)


class Looks:
    """Finds ``there``; what is undone is there no more, unless it is stubborn."""

    def __init__(self, *there: Found, stubborn: bool = False) -> None:
        self.there, self.stubborn = list(there), stubborn
        self.fails = ""

    def scan(self, policy: Any) -> list[Found]:
        if self.fails:
            raise OSError(13, self.fails)
        return list(self.there)

    def undo_all(self, findings: Any) -> list[Found]:
        return [self._undo(finding) for finding in findings]

    def _undo(self, finding: Found) -> Found:
        if self.stubborn or not finding.mends:
            return finding
        self.there.remove(finding)
        return replace(finding, done="ended process 7")


class Gate:
    def __init__(self) -> None:
        self.calls: list[bool] = []
        self.fails = False

    def shut(self, *, shut: bool) -> None:
        if self.fails:
            raise HeadgateError("systemd is away")
        self.calls.append(shut)


class Scene:
    def __init__(self, looks: Looks) -> None:
        self.looks, self.gate, self.now = looks, Gate(), 1000.0
        self.told: list[tuple[str, str]] = []
        self.sentry = Sentry(looks, self.gate, self._tell, lambda: self.now)

    def _tell(self, decision: str, reason: str, **more: Any) -> None:
        self.told.append((decision, reason))

    def look(self) -> None:
        self.sentry.look(POLICY)


def test_what_can_be_undone_is_undone_at_once_and_told():
    """One look ends the process, says so, counts it, and the crossing never shuts."""
    scene = Scene(Looks(BRIDGE))
    scene.look()

    assert scene.told == [("undo", "process-in-two-zones")]
    assert (scene.sentry.findings, scene.sentry.undone, scene.gate.calls) == ((), {"process-in-two-zones": 1}, [])


def test_while_a_bridge_is_left_nothing_crosses():
    """A bridge that cannot be undone shuts the crossing until it is gone."""
    looks = Looks(BRIDGE, stubborn=True)
    scene = Scene(looks)
    scene.look()
    scene.look()
    assert (scene.gate.calls, scene.sentry.shut) == ([True], True)

    looks.there.clear()
    scene.look()
    assert (scene.gate.calls, scene.sentry.shut) == ([True, False], False)
    assert scene.told == [("found", "process-in-two-zones"), ("shut", "bridge"), ("open", "clear")]


def test_what_is_only_told_leaves_the_crossing_open():
    """A listener that the ruleset keeps unreachable is told once a minute and stops nothing."""
    scene = Scene(Looks(TOLD))
    for _ in range(3):
        scene.look()
    assert (scene.told, scene.gate.calls) == ([("found", "unknown-listener")], [])
    assert scene.sentry.findings == (TOLD,)

    scene.now += 61
    scene.look()
    assert scene.told == [("found", "unknown-listener")] * 2


def test_who_cannot_see_lets_nothing_cross():
    """A look that fails shuts the crossing and says why; it opens again with the next good look."""
    looks = Looks()
    scene = Scene(looks)
    looks.fails = "not permitted"
    scene.look()
    assert scene.gate.calls == [True]
    assert "not permitted" in scene.sentry.faults[0]

    looks.fails = ""
    scene.look()
    assert (scene.gate.calls, scene.sentry.faults) == ([True, False], ())


def test_while_a_zone_is_not_proved_nothing_crosses():
    """A ruleset that may do anything is no better than a bridge."""
    scene = Scene(Looks())
    scene.sentry.look(POLICY, proved=False)
    scene.sentry.look(POLICY, proved=False)
    scene.sentry.look(POLICY, proved=True)

    assert scene.told == [("shut", "not-proved"), ("open", "clear")]
    assert scene.gate.calls == [True, False]


@pytest.mark.parametrize("shut", [True, False])
def test_a_gate_that_does_not_move_is_tried_again(shut: bool):
    """Where systemd does not answer, the next look tries again, and until then the fault is told."""
    looks = Looks(BRIDGE, stubborn=True)
    scene = Scene(looks)
    if not shut:
        scene.look()
        looks.there.clear()
    scene.gate.fails = True
    scene.look()
    assert "systemd is away" in scene.sentry.faults[0]

    scene.gate.fails = False
    scene.look()
    assert (scene.gate.calls[-1], scene.sentry.shut) == (shut, shut)
