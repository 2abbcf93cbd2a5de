"""What nginx says of transfers, for tests: lines as its ``log_format`` writes them."""

from __future__ import annotations

import json
from typing import Any

from gateway.delivery.front import opaque
from gateway.delivery.front.opaque import Carried

CARRIED = Carried("999999-100000000000001-4", "a.m4s", "library", "hit")
METER = opaque.told(CARRIED)


def began(name: str = "1", port: int = 40000, **more: Any) -> bytes:
    told = {"began": name, "screen": "10.20.0.50", "port": str(port), "meter": METER, "subject": ""} | more
    return json.dumps(told).encode() + b"\n"


def ended(name: str = "1", port: int = 40000, body: int = 1000, heads: int = 200, **more: Any) -> bytes:
    told = {
        "ended": name,
        "screen": "10.20.0.50",
        "port": str(port),
        "status": 200,
        "sent": body + heads,
        "body": body,
        "done": "OK",
        "seconds": 0.25,
        "at": 1_800_000_000.5,
        "meter": METER,
        "subject": "",
    } | more
    return json.dumps(told).encode() + b"\n"
