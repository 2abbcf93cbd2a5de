"""The box's side of an attack from outside: what the attacker is told, what is heard while it shoots, and what it all means.

``scene_of(policy, nonce, macs, hosts)`` makes the scene; the attacker runs ``shoot.py`` with its ``dump()`` while ``Hearing`` listens on
the box; ``merge`` says what came of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from typing import Self

from gateway.isolation.evidence import Probe
from gateway.isolation.kernel import Kernel
from gateway.isolation.probe import craft, traces, wires
from gateway.isolation.probe.bench import Bench, Listening, look
from gateway.isolation.probe.judge import Round, refute
from gateway.isolation.probe.scene import Scene
from gateway.isolation.probe.shots import Sighting
from gateway.isolation.probe.wires import Ear

STEP = 0.1  # seconds between two looks at what was heard


class Hearing:
    """Listens in every zone of a live box while an attacker outside shoots from one of them."""

    def __init__(self, kernel: Kernel, scene: Scene, source: str) -> None:
        self.scene, self.source = scene, source
        self.shots = craft.shots_of((scene, [source]))
        self._stack = ExitStack()
        ears = []
        for side in scene.sides:
            ear = self._stack.enter_context(kernel.inside(side.zone, wires.open_wire))
            ears.append(Ear(side.zone, ear, outside=False))
        options = kernel.inside(source, traces.Options)
        self._stack.callback(options.close)
        look_there = partial(_state, kernel, source, options)
        self._bench = Bench(scene.nonce, {}, ears, {}, states={source: look_there})
        self._listening = Listening(self._bench, self.shots)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def listen(self, seconds: float = STEP) -> list[Sighting]:
        """Listen for some time more and return all that was seen so far."""
        self._listening.drain(seconds)
        return self._listening.sightings()

    def end(self) -> Round:
        """Return what was heard, and what the attacks changed in the kernel of the zone that they came from."""
        self._listening.drain()
        look(self._bench, self.shots, self._listening)
        return Round(tuple(self._listening.sightings()))


def _state(kernel: Kernel, zone: str, options: traces.Options, addresses: list[str]) -> str:
    return kernel.inside(zone, partial(traces.state, options, addresses))


def merge(probes: Iterable[Probe], scene: Scene, source: str, heard: Round, told: str) -> list[Probe]:
    """Return ``probes`` with what an attacker outside achieved: ``heard`` on the box, and ``told`` what ``shoot.py`` printed.

    Raises:
        ValueError: ``told`` is not what it prints.
    """
    try:
        answered = json.loads(told)
        sightings = [Sighting(int(a["number"]), "answer", source, str(a["words"])) for a in answered["answers"]]
        sent = int(answered["sent"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the attacker's report cannot be read: {error!r}") from error
    shots = craft.shots_of((scene, [source]))
    failed = "" if sent >= sum(len(shot.frames) for shot in shots) else f"the attacker sent {sent} frames only"
    return refute(probes, shots, Round((*heard.sightings, *sightings), failed), "outside")
