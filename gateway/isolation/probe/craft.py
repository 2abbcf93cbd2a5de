"""Has the attacks' frames made by the process that holds scapy."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import gateway
from appliance.runtime import command
from gateway.isolation.probe import shots
from gateway.isolation.probe.scene import Scene
from gateway.isolation.probe.shots import Shot

PATIENCE = 120  # seconds; about two are needed for five zones
# The box's software is found by the paths that its starter set, not by any environment; the child is given the same ones.
START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from gateway.isolation.probe.crafts.process import main; main()"


def shots_of(*jobs: tuple[Scene, Sequence[str]]) -> list[Shot]:
    """Return the shots of every attack, for each job from each of its zones.

    Raises:
        CommandFailed: the process failed.
    """
    paths = [str(Path(gateway.__path__[0]).parent), *filter(None, sys.path)]
    argv = [sys.executable, "-IS", "-W", "error::UserWarning", "-c", START, json.dumps(paths)]
    asked = [{"scene": scene.dump(), "zones": list(zones)} for scene, zones in jobs]
    return shots.load(command.run(argv, stdin=json.dumps(asked), seconds=PATIENCE))
