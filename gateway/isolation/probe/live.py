"""The box itself: from each zone's namespace, as a daemon that was taken over would, while all other zones are listened to.

Nothing may be disturbed on the networks outside: each frame is addressed to the port of another zone, so nobody else takes it in, and bears
the MAC of the port that it leaves by. It is seen only where two zones are joined: by a cable, by a switch, or within the box.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from contextlib import ExitStack
from functools import partial

from gateway.isolation.kernel import Kernel
from gateway.isolation.netns import KernelFailed
from gateway.isolation.probe import craft, wires
from gateway.isolation.probe.bench import Bench
from gateway.isolation.probe.scene import Scene, Side
from gateway.isolation.probe.shots import Shot
from gateway.isolation.probe.wires import Ear
from gateway.isolation.topology import PORT

MOST_FRAMES = 24  # of one attack to one zone: a network that is in use is not flooded
LONGEST = 1514  # bytes of a frame


def mac_of(kernel: Kernel, zone: str) -> str:
    """Return the MAC of a zone's live port, or nothing where it has none."""
    try:
        with kernel.inside(zone, partial(wires.open_wire, PORT)) as port:
            return str(port.getsockname()[4].hex(":"))
    except (OSError, KernelFailed):
        return ""


def shots_of(scene: Scene) -> list[Shot]:
    """Return the shots of every attack as the box itself would send them, harmless to all but another zone's port."""
    within = {}
    for side in scene.sides:
        own = dataclasses.replace(side, host4=side.box4, host6=side.box6, host_mac=side.mac)
        within[side.zone] = Scene(scene.nonce, tuple(own if other is side else other for other in scene.sides))
    shots = craft.shots_of(*((told, [zone]) for zone, told in within.items()))
    return [harmless(shot, within[shot.source]) for shot in shots]


def harmless(shot: Shot, scene: Scene) -> Shot:
    """Return a shot whose frames are addressed to the ports of other zones and bear the MAC of their own."""
    own = bytes.fromhex(scene.side(shot.source).mac.replace(":", ""))
    others = [side for side in scene.sides if side.zone != shot.source]
    frames: dict[bytes, None] = {}
    for side in others:
        meant = [f for f in shot.frames if len(f) <= LONGEST and _meant(f, side, others)]
        mac = bytes.fromhex(side.mac.replace(":", ""))
        frames |= dict.fromkeys(mac + own + frame[12:] for frame in meant[:MOST_FRAMES])
    return dataclasses.replace(shot, frames=tuple(frames))


def _meant(frame: bytes, side: Side, others: list[Side]) -> bool:
    """Return whether a frame names an address of ``side``, or none of any other zone."""

    def names(one: Side) -> bool:
        return any(ipaddress.ip_address(a).packed in frame for a in (one.box4, one.host4, one.box6, one.host6))

    return names(side) or not any(names(one) for one in others)


def build(kernel: Kernel, scene: Scene, zone: str, stack: ExitStack) -> Bench:
    """Return the bench that sends from one zone's namespace and listens in all of them.

    Raises:
        KernelFailed: a zone has no namespace.
        OSError: a zone has no port.
    """
    ears: list[Ear] = []
    ports = {}
    for side in scene.sides:
        ears.append(Ear(side.zone, stack.enter_context(kernel.inside(side.zone, wires.open_wire)), outside=False))
        ports[side.zone] = stack.enter_context(kernel.inside(side.zone, partial(wires.open_wire, PORT)))
    within = {zone: lambda packet: kernel.inside(zone, partial(wires.send_from_within, packet))}
    return Bench(scene.nonce, {zone: ports[zone]}, ears, ports, within=within)
