"""The attacker's side: sends the whole catalogue from a host of a zone at a real box, and prints what answered as JSON.

``python -m gateway.isolation.probe.shoot --interface eth0 --scene scene.json --from bigscreen``. Only the box is addressed, so that
nobody else on the network takes anything in.
"""

from __future__ import annotations

import dataclasses
import json
import socket
from contextlib import closing
from pathlib import Path

import click

from gateway.isolation.probe import craft, scene, wires
from gateway.isolation.probe.bench import Bench, Listening
from gateway.isolation.probe.scene import Scene
from gateway.isolation.probe.shots import Shot, Sighting
from gateway.isolation.probe.wires import Ear

QUIET = 0.5  # seconds in which no further answer comes
GROUP = 1  # the bit of a MAC that addresses many


def harmless(shot: Shot, box: str) -> Shot:
    """Return a shot whose frames all go to the box's port, also those that would go to many."""
    mac = bytes.fromhex(box.replace(":", ""))
    return dataclasses.replace(shot, frames=tuple(mac + f[6:] if f[0] & GROUP else f for f in shot.frames))


def shoot(interface: str, told: Scene, source: str) -> tuple[int, list[Sighting]]:
    """Send every attack from ``source`` out of ``interface``; return how many frames were sent and what answered.

    Raises:
        OSError: the interface is down or gone.
    """
    with closing(wires.open_wire(interface)) as wire:
        told = _as_host(told, source, wire.getsockname()[4].hex(":"))
        shots = [harmless(shot, told.side(source).mac) for shot in craft.shots_of((told, [source]))]
        listening = Listening(Bench(told.nonce, {source: wire}, [Ear(source, wire, outside=True)], {}), shots)
        sent = 0
        for shot in shots:
            for frame in shot.frames:
                wires.send(wire, frame)
                sent += 1
            listening.drain()
        while listening.drain(QUIET):
            pass
    return sent, listening.sightings()


def _as_host(told: Scene, source: str, mac: str) -> Scene:
    """Return the scene in which the attacker has the MAC of its own port: answers find their way to it."""
    sides = tuple(dataclasses.replace(side, host_mac=mac) if side.zone == source else side for side in told.sides)
    return Scene(told.nonce, sides)


@click.command()
@click.option("--interface", required=True, help="The port that leads to the box.")
@click.option(
    "--scene", "file", required=True, type=click.Path(exists=True, path_type=Path), help="What the box wrote."
)
@click.option("--from", "source", required=True, help="The zone in which this machine stands.")
def main(interface: str, file: Path, source: str) -> None:
    """Send every attack at a box and print what answered, as JSON.

    Example: python -m gateway.isolation.probe.shoot --interface eth0 --scene scene.json --from bigscreen
    """
    try:
        sent, sightings = shoot(interface, scene.load(file.read_text()), source)
    except (ValueError, StopIteration, socket.gaierror, OSError) as error:
        raise click.ClickException(str(error)) from error
    answers = [{"number": seen.number, "words": seen.words} for seen in sightings]
    click.echo(json.dumps({"from": source, "sent": sent, "answers": answers}, ensure_ascii=False))


if __name__ == "__main__":
    main()
