"""The process that holds scapy: reads scenes and prints their shots."""

from __future__ import annotations

import json
import sys

from scapy.config import conf

from gateway.isolation.probe import scene, shots

LARGEST = 1 << 20  # bytes of all scenes


def main() -> None:
    """Read a list of ``{scene, zones}`` from standard input, print the shots of all as JSON."""
    # Frames are complete as they are made: nothing about this machine's routes or links is to be looked up.
    conf.route_autoload = conf.route6_autoload = False
    from gateway.isolation.probe.crafts import table  # after the settings, which count while layers are brought in

    asked = json.loads(sys.stdin.read(LARGEST))
    sys.stdout.write(
        shots.dump(shot for job in asked for shot in table.shots_of(scene.load(job["scene"]), job["zones"]))
    )


if __name__ == "__main__":
    main()
