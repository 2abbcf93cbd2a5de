"""``Cache-Status`` (RFC 9211): what this cache did with a request, in its own words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import http_sf
from http_sf.types import Token

NAME = "headgate"
LONGEST_KEY = 200  # characters of a key that are told


@dataclass(frozen=True)
class Did:
    """What was done: ``hit`` or forwarded for the reason ``fwd``; ``ttl`` in seconds, negative once stale."""

    hit: bool = False
    fwd: str = ""
    fwd_status: int | None = None
    stored: bool = False
    collapsed: bool = False
    ttl: int | None = None
    key: str = ""
    detail: str = ""


def told(did: Did) -> str:
    """Return the member of the list that this cache adds."""
    parameters: dict[str, Any] = {}
    if did.hit:
        parameters["hit"] = True
    if did.fwd:
        parameters["fwd"] = Token(did.fwd)
    if did.fwd_status is not None:
        parameters["fwd-status"] = did.fwd_status
    if did.ttl is not None:
        parameters["ttl"] = did.ttl
    if did.stored:
        parameters["stored"] = True
    if did.collapsed:
        parameters["collapsed"] = True
    if did.key:
        # A key is an address as it was sent: what a structured string cannot hold is left out.
        parameters["key"] = "".join(one for one in did.key[:LONGEST_KEY] if " " <= one <= "~")
    if did.detail:
        parameters["detail"] = Token(did.detail)
    return str(http_sf.ser([(Token(NAME), parameters)]))
