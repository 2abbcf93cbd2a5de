"""The frames of an attack with what gives them away again; where one was seen."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["leak", "answer", "effect"]
MAGIC = 8  # bytes of a shot's nonce: six of the run, two of the shot
WINDOW = 4  # bytes: every mark's first part has as many
LONGEST_HEAD = 256  # bytes of a frame in which a mark begins: headers, also those that an error quotes
BEACON = 0xFFFF  # the shot number of the frames by which a listener shows that it hears


@dataclass(frozen=True)
class Shot:
    """One attack from one zone."""

    number: int
    attack: str
    source: str
    frames: tuple[bytes, ...]
    marks: tuple[tuple[bytes, ...], ...] = ()  # each: bytes that a frame holds all of if it belongs to this shot
    traces: tuple[str, ...] = ()  # words that the kernel's state holds once the attack took


@dataclass(frozen=True)
class Sighting:
    """A shot that was seen where it may not be: in another zone, answered in its own, or by what it changed."""

    number: int
    kind: Kind
    zone: str
    words: str


def nonce_of(run: bytes, number: int) -> bytes:
    """Return the eight bytes that each frame of a shot carries."""
    return run + number.to_bytes(2, "big")


class Reader:
    """Finds the shots that a frame belongs to, by nonce alone."""

    def __init__(self, run: bytes, shots: Iterable[Shot]) -> None:
        self._run = run
        self._marks: dict[bytes, list[tuple[tuple[bytes, ...], int]]] = {}
        for shot in shots:
            for mark in shot.marks:
                self._marks.setdefault(mark[0][:WINDOW], []).append((mark, shot.number))

    def numbers(self, frame: bytes) -> Iterator[int]:
        """Yield the number of each shot whose nonce or mark is in ``frame``."""
        found: set[int] = set()
        place = frame.find(self._run)
        while place >= 0:
            number = int.from_bytes(frame[place + 6 : place + MAGIC], "big")
            if place + MAGIC <= len(frame) and number not in found:
                found.add(number)
                yield number
            place = frame.find(self._run, place + 1)
        # There are thousands of marks, and a hundred places in a frame where one may begin.
        head = frame[:LONGEST_HEAD]
        for start in self._marks.keys() & {head[at : at + WINDOW] for at in range(len(head) - WINDOW + 1)}:
            for mark, number in self._marks[start]:
                if number not in found and all(part in frame for part in mark):
                    found.add(number)
                    yield number


def dump(shots: Iterable[Shot]) -> str:
    """Return shots as a text that ``load`` reads."""
    return json.dumps([
        {
            "number": shot.number,
            "attack": shot.attack,
            "source": shot.source,
            "frames": [frame.hex() for frame in shot.frames],
            "marks": [[part.hex() for part in mark] for mark in shot.marks],
            "traces": list(shot.traces),
        }
        for shot in shots
    ])  # fmt: skip


def load(text: str) -> list[Shot]:
    """Return the shots that ``dump`` wrote."""
    return [_shot(told) for told in json.loads(text)]


def _shot(told: dict[str, Any]) -> Shot:
    return Shot(
        told["number"],
        told["attack"],
        told["source"],
        tuple(bytes.fromhex(frame) for frame in told["frames"]),
        tuple(tuple(bytes.fromhex(part) for part in mark) for mark in told["marks"]),
        tuple(told["traces"]),
    )
