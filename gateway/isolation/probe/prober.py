"""Runs the whole catalogue: controls, twin and, where asked, the box itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from appliance.runtime.errors import HeadgateError
from gateway.isolation.evidence import Probe
from gateway.isolation.kernel import Kernel
from gateway.isolation.policy import Policy
from gateway.isolation.probe import bench, craft, holes, private, twin
from gateway.isolation.probe import live as live_box
from gateway.isolation.probe.catalogue import BY_NAME, Hole
from gateway.isolation.probe.judge import Round, Rounds, judge
from gateway.isolation.probe.scene import Scene, scene_of
from gateway.isolation.probe.shots import Shot

NONCE = 6  # bytes, random for each run
HOLES: tuple[Hole, ...] = ("open", "joined", "helped")
Build = Callable[[ExitStack], bench.Bench]
Progress = Callable[[str, float], None]  # what was just sent, and the share of all that is behind us


class Stage:
    """One run: who has which address, what is shot, and how far it is."""

    def __init__(self, scene: Scene, zones: list[str], progress: Progress | None = None, *, rounds: int = 2) -> None:
        self.scene, self.progress, self.done = scene, progress, 0
        self._tell("making packets")
        self.shots = craft.shots_of((scene, zones))
        self.whole = len(self.shots) * rounds

    def round(self, place: str, build: Build, shots: list[Shot], *, control: bool = False) -> Round:
        """Build an arrangement, shoot at it, take it down, and return what was seen; a control is given time to show all it should."""

        def on(shot: Shot) -> None:
            self.done += 1
            self._tell(f"{place}: {shot.attack} from {shot.source}")

        awaited = frozenset(shot.number for shot in shots) if control else frozenset[int]()
        try:
            with ExitStack() as stack:
                return Round(tuple(bench.fire(build(stack), shots, on, awaited=awaited)))
        except (HeadgateError, OSError) as error:
            return Round(failed=str(error))

    def control(
        self, hole: Hole, build: Callable[[Hole, Scene, list[Shot], ExitStack], bench.Bench] = holes.build
    ) -> Round:
        """Return what the box with a hole showed of the shots that are to be seen through it."""
        chosen = [shot for shot in self.shots if BY_NAME[shot.attack].hole == hole]
        return self.round(hole, partial(build, hole, self.scene, chosen), chosen, control=True)

    def twin(self, policy: Policy) -> Round:
        """Return what the box's twin let through."""

        def build(stack: ExitStack) -> bench.Bench:
            return twin.build(policy, self.scene, stack)[0]

        return self.round("twin", build, self.shots)

    def live(self, kernel: Kernel) -> dict[str, Round]:
        """Return what came through on the box itself, by the zone it was sent from."""
        shots = live_box.shots_of(self.scene)
        zones = [side.zone for side in self.scene.sides]
        return {
            zone: self.round(
                "live", partial(live_box.build, kernel, self.scene, zone), [s for s in shots if s.source == zone]
            )
            for zone in zones
        }

    def _tell(self, words: str) -> None:
        if self.progress:
            self.progress(words, min(1.0, self.done / self.whole) if self.done else 0.0)


def run(
    policy: Policy, kernel: Kernel | None = None, *, live: bool = False, progress: Progress | None = None
) -> list[Probe]:
    """Return the verdict on every attack from every zone of ``policy``; with ``live`` also on the zones of ``kernel``.

    Nothing of the machine is changed: twin and controls stand in namespaces that only this call sees, and that end with it. Where the
    machine does not let it have them, every probe is blind and says so.

    Raises:
        CommandFailed: the attacks' frames cannot be made.
    """
    asked = kernel if live else None
    scene = scene_of(policy, os.urandom(NONCE), _macs(asked, policy))
    stage = Stage(scene, list(policy.zones), progress, rounds=3 if asked else 2)
    try:
        controls, closed = private.run(lambda: ({hole: stage.control(hole) for hole in HOLES}, stage.twin(policy)))
    except (HeadgateError, OSError) as error:
        controls, closed = {}, Round(failed=str(error))
    rounds = Rounds(controls, closed, stage.live(asked) if asked else {})
    return judge(stage.shots, rounds, tuple(policy.zones))


def _macs(kernel: Kernel | None, policy: Policy) -> dict[str, str]:
    """Return the MACs that the live ports have."""
    return {zone: mac for zone in policy.zones if kernel and (mac := live_box.mac_of(kernel, zone))}
