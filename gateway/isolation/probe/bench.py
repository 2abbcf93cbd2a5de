"""One arrangement of wires: sends shots into it and tells where they were seen."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from appliance.runtime.errors import HeadgateError
from gateway.isolation.probe import traces, wires
from gateway.isolation.probe.catalogue import BY_NAME
from gateway.isolation.probe.shots import BEACON, Kind, Reader, Shot, Sighting, nonce_of
from gateway.isolation.probe.tell import tell
from gateway.isolation.probe.wires import Ear

QUIET = 0.25  # seconds without any sighting after the beacons came: what the kernel still had in hand is through
PATIENCE = 1.0  # seconds for what a control must show
DEAF = 5.0  # seconds for a beacon
NOBODY = bytes.fromhex("026867ffffff")  # a MAC that no port has: only raw sockets take notice
BEACON_TYPE = b"\x88\xb5"  # local experimental Ethernet type (IEEE 802)
MOST_WORDS = 4  # frames told of one shot in one zone

Progress = Callable[[Shot], None]


class Deaf(HeadgateError):
    """A listener did not hear what it must: whatever it does not hear means nothing."""


@dataclass
class Bench:
    """Where frames go in, where is listened, and what may not change."""

    run: bytes  # the six bytes that all frames carry
    wires: Mapping[str, socket.socket]  # zone -> the attacker's end
    ears: list[Ear]
    ports: Mapping[str, socket.socket]  # zone -> the box's own end, for beacons
    states: Mapping[str, Callable[[list[str]], str]] = field(
        default_factory=dict
    )  # space -> what it holds (``traces.state``)
    counters: Mapping[str, Callable[[], int]] = field(default_factory=dict)  # zone -> fragments counted
    within: Mapping[str, Callable[[bytes], str]] = field(default_factory=dict)  # zone -> sends a packet from there


class Listening:
    """Collects sightings while frames fly."""

    def __init__(self, bench: Bench, shots: Iterable[Shot]) -> None:
        self.bench = bench
        self.shots = {shot.number: shot for shot in shots}
        self.reader = Reader(bench.run, self.shots.values())
        self.seen: dict[tuple[int, Kind, str], list[str]] = {}
        self.beacons: set[int] = set()

    def drain(self, seconds: float = 0.0) -> bool:
        """Take what the ears hold; return whether something was seen that was not before."""
        news = False
        for ear, frame, outgoing in wires.heard(self.bench.ears, seconds):
            for number in self.reader.numbers(frame):
                if number == BEACON:
                    if not (ear.outside and outgoing):
                        self.beacons.add(ear.socket.fileno())
                    continue
                shot = self.shots.get(number)
                if shot is None or (ear.outside and outgoing) or (not ear.outside and ear.zone == shot.source):
                    continue
                kind: Kind = "answer" if ear.zone == shot.source else "leak"
                news |= self.note(number, kind, ear.zone, tell(frame))
        return news

    def note(self, number: int, kind: Kind, zone: str, words: str) -> bool:
        """Keep a sighting; return whether it is new."""
        known = self.seen.setdefault((number, kind, zone), [])
        new = not known
        if words not in known and len(known) < MOST_WORDS:
            known.append(words)
        return new

    def sightings(self) -> list[Sighting]:
        """Return what was seen."""
        return [Sighting(number, kind, zone, "; ".join(words)) for (number, kind, zone), words in self.seen.items()]


def fire(
    bench: Bench, shots: Iterable[Shot], progress: Progress | None = None, *, awaited: frozenset[int] = frozenset()
) -> list[Sighting]:
    """Send ``shots`` and return where they were seen; ``awaited`` are the numbers that a control is expected to show.

    Raises:
        Deaf: a listener did not hear the beacon that was sent to it.
        OSError: a port is down or gone.
    """
    shots = list(shots)
    listening = Listening(bench, shots)
    for shot in shots:
        _shoot(bench, shot, listening)
        if progress:
            progress(shot)
    _beacons(bench, listening)
    quiet = time.monotonic() + QUIET
    latest = time.monotonic() + PATIENCE
    while time.monotonic() < quiet or (time.monotonic() < latest and awaited - {key[0] for key in listening.seen}):
        if listening.drain(0.05):
            quiet = time.monotonic() + QUIET
            latest = time.monotonic() + PATIENCE
    look(bench, [shot for shot in shots if not BY_NAME[shot.attack].alone], listening)
    return listening.sightings()


def _shoot(bench: Bench, shot: Shot, listening: Listening) -> None:
    attack = BY_NAME[shot.attack]
    counter = bench.counters.get(shot.source) if attack.alone and not shot.traces else None
    before = counter() if counter else 0
    for frame in shot.frames:
        if attack.within:
            bench.within[shot.source](frame[14:])
        else:
            wires.send(bench.wires[shot.source], frame)
    listening.drain()
    if counter and counter() != before:
        listening.note(shot.number, "effect", shot.source, "fragments were put together")
    if attack.alone and shot.traces:
        look(bench, [shot], listening)


def look(bench: Bench, shots: list[Shot], listening: Listening) -> None:
    """Note the traces of ``shots`` that the kernel holds."""
    for space, state in bench.states.items():
        for number, line in traces.found(shots, state(traces.asked(shots))):
            listening.note(number, "effect", space, line)


def _beacons(bench: Bench, listening: Listening) -> None:
    """Send a frame through each port to its ears, behind all else, and wait until every ear has heard it."""
    for port in bench.ports.values():
        frame = NOBODY + port.getsockname()[4] + BEACON_TYPE + nonce_of(bench.run, BEACON)
        wires.send(port, frame.ljust(60, b"\0"))
    wanted = {ear.socket.fileno() for ear in bench.ears}
    end = time.monotonic() + DEAF
    while not wanted <= listening.beacons:
        listening.drain(0.05)
        if time.monotonic() > end:
            mute = sorted({ear.zone for ear in bench.ears if ear.socket.fileno() not in listening.beacons})
            raise Deaf(f"the listeners of {', '.join(mute)} do not hear what the box's own port sends")
