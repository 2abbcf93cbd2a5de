"""What nginx says of transfers, for tests: lines as its ``log_format`` writes them, and accounts as its workers do."""

from __future__ import annotations

import json
import mmap
from pathlib import Path
from typing import Any

from gateway.delivery.front import opaque
from gateway.delivery.front.accounts import (
    ANSWER,
    ANSWERS,
    BEHIND,
    CLOSED,
    DONE,
    RUNNING_AT,
    SIZE,
    TEXTS,
    TEXTS_AT,
    UNDER_WAY,
    Counts,
)
from gateway.delivery.front.opaque import Carried

CARRIED = Carried("999999-100000000000001-4", "a.m4s", "library", "hit")
METER = opaque.told(CARRIED)
SCREEN = "10.20.0.50"


def began(
    name: str = "1", port: int = 40000, *, screen: str = SCREEN, meter: str = METER, subject: str = "", marks: str = ""
) -> bytes:
    return f"b {name} {screen} {port} {meter} {subject} {marks}\n".encode()


def ended(
    name: str = "1",
    port: int = 40000,
    body: int = 1000,
    heads: int = 200,
    *,
    at: float = 1_800_000_000.5,
    seconds: float = 0.25,
    done: str = "OK",
    status: int = 200,
    connection: int = 7,
    screen: str = SCREEN,
    meter: str = METER,
    subject: str = "",
    marks: str = "",
    length: int | None = None,
    spans: str = "",
) -> bytes:
    took = f"{at:.3f} {seconds:.3f} {body + heads} {body}"
    last = f"{meter} {subject} {marks} {body if length is None else length} {spans}"
    return f"e {name} {took} {done} {status:03} {connection} {screen} {port} {last}\n".encode()


def told(name: str = "1", port: int = 40000, body: int = 1000, heads: int = 200, **more: Any) -> bytes:
    """Return the line of a request in which a screen said something, or that delivery answered."""
    said = {
        "ended": name,
        "screen": SCREEN,
        "port": str(port),
        "status": 200,
        "sent": body + heads,
        "body": body,
        "done": "OK",
        "seconds": 0.25,
        "at": 1_800_000_000.5,
        "meter": METER,
        "subject": "",
        "length": str(body),
    } | more
    return json.dumps(said).encode() + b"\n"


class Worker:
    """A worker with the account at ``path``, which writes as ``account.lua`` does; it has room, since its tests see to that."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), SIZE)
        self.counts, self.places = Counts.from_buffer(self.memory), dict[bytes, int]()

    def answer(
        self,
        port: int = 40000,
        body: int = 1000,
        heads: int = 200,
        *,
        at: float = 1_800_000_000.5,
        milliseconds: int = 250,
        done: bool = True,
        closed: bool = False,
        screen: str = SCREEN,
        meter: str = METER,
        subject: str = "",
        marks: str = "",
        length: int | None = None,
    ) -> None:
        what = self.text(f"{meter} {body if length is None else length}".encode())
        whose = self.text(f"{screen} {subject} {marks}".encode())
        place = BEHIND + int(self.counts.head) % ANSWERS * ANSWER.size
        how = (DONE if done else 0) | (CLOSED if closed else 0)
        ANSWER.pack_into(self.memory, place, what, whose, body + heads, body, milliseconds, port, how, at)
        self.counts.head += 1

    def begin(
        self,
        number: int = 0,
        port: int = 40000,
        *,
        screen: str = SCREEN,
        meter: str = METER,
        subject: str = "",
        marks: str = "",
        length: int = 1000,
    ) -> None:
        """Begin a large answer at the place ``number``."""
        what, whose = f"{meter} {length}".encode(), f"{screen} {subject} {marks}".encode()
        place = RUNNING_AT + number * UNDER_WAY.size
        UNDER_WAY.pack_into(self.memory, place, True, port, len(what), len(whose), what + whose)

    def leave(self, number: int = 0) -> None:
        """Take note that it is over."""
        self.memory[RUNNING_AT + number * UNDER_WAY.size] = 0

    def text(self, text: bytes) -> int:
        head = int(self.counts.texts_head)
        at = self.places.get(text)
        if at is None or head - at >= TEXTS // 2:
            at = head if head % TEXTS + len(text) < TEXTS else head + TEXTS - head % TEXTS
            place = TEXTS_AT + at % TEXTS
            self.memory[place : place + len(text) + 1] = text + b"\n"
            self.places[text] = at
            self.counts.texts_head = at + len(text) + 1
        return at % TEXTS
