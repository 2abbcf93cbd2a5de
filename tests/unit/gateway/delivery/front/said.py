"""What nginx says of transfers, for tests: lines as its ``log_format`` writes them."""

from __future__ import annotations

import json
from typing import Any

from gateway.delivery.front import opaque
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
