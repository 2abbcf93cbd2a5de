"""May this be asked? Pure: only origins that the policy names, only plain paths, only bounded answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from appliance.runtime.errors import Refused
from gateway.isolation.policy import Policy

LONGEST_PATH = 600  # bytes: a release's longest path and the folders before it
LARGEST = 1 << 40  # bytes of an answer
ROOTS = ("releases", "registry")


class Ask(BaseModel):
    """``POST /fetch``."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    origin: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    path: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_PATH)]
    largest: int = Field(ge=1, le=LARGEST)  # bytes
    etag: Annotated[str, StringConstraints(pattern=r'^(W/)?"[\x21\x23-\x7e]{0,190}"$')] | None = (
        None  # RFC 9110 section 8.8.3
    )


@dataclass(frozen=True)
class Target:
    """What is asked of the network: nothing in it comes from a sender but the checked path."""

    host: str
    port: int
    path: str  # percent-encoded
    largest: int  # bytes
    etag: str | None


def target(policy: Policy, data: bytes) -> Target:
    """Return what the request ``data`` asks for.

    Raises:
        Refused: it may not be asked (``bad-request``, ``unknown-origin``).
    """
    try:
        ask = Ask.model_validate(json.loads(data))
    except (ValueError, RecursionError) as error:
        told = (
            error.errors(include_url=False, include_input=False)[0]["msg"]
            if isinstance(error, ValidationError)
            else error
        )
        raise Refused("bad-request", str(told)[:300], 400) from error
    origin = policy.origins.get(ask.origin)
    if origin is None:
        raise Refused("unknown-origin", f"the policy names no origin '{ask.origin}'")
    if fault := fault_in(ask.path):
        raise Refused("bad-request", fault, 400)
    return Target(str(origin.address), origin.port, quote(ask.path, safe="/"), ask.largest, ask.etag)


def fault_in(path: str) -> str:
    """Return what is wrong with ``path`` as what an origin is asked for, or an empty text."""
    if any(0xD800 <= ord(c) <= 0xDFFF for c in path) or len(path.encode()) > LONGEST_PATH:
        return "the path is not UTF-8 text, or too long"
    first, *parts = path.split("/")
    if first or not parts or parts[0] not in ROOTS or len(parts) < 2:
        return f"a path begins with one of {', '.join(f'/{root}/' for root in ROOTS)}"
    if any(part in ("", ".", "..") or part.startswith(".") for part in parts):
        return "a path has no empty or hidden parts, no '.' and no '..'"
    if not path.isprintable() or any(c in path for c in "\\?#% "):
        return "a path holds no spaces, controls, '\\', '?', '#' or '%'"
    return ""
