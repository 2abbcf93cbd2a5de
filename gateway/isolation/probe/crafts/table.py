"""Name of an attack -> the function that makes its frames; ``catalogue.py`` has the same names, which a test holds."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from gateway.isolation.probe.catalogue import ATTACKS
from gateway.isolation.probe.crafts import four, link, six, talk, transport, tunnels
from gateway.isolation.probe.crafts.aim import Aim
from gateway.isolation.probe.scene import Scene
from gateway.isolation.probe.shots import Shot

MODULES: tuple[ModuleType, ...] = (link, four, six, tunnels, transport, talk)


def craft_of(attack: str) -> Callable[[Aim], None]:
    """Return the function that makes the frames of an attack: it has the attack's name."""
    name = attack.replace("-", "_")
    craft: Callable[[Aim], None] = next(getattr(module, name) for module in MODULES if hasattr(module, name))
    return craft


def shots_of(scene: Scene, zones: list[str]) -> list[Shot]:
    """Return the shots of every attack from each of ``zones``; an attack that has nothing to aim at there has none.

    A shot's number tells its attack and zone, however many zones are asked for.
    """
    made = []
    for place, side in enumerate(scene.sides):
        for number, attack in enumerate(ATTACKS, place * len(ATTACKS) + 1):
            if side.zone not in zones:
                continue
            aim = Aim(scene, side.zone, number)
            craft_of(attack.name)(aim)
            shot = aim.shot(attack.name)
            if shot.frames:
                made.append(shot)
    return made
