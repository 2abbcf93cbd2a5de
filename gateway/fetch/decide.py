"""May this be asked? Pure: only upstreams that the policy names, only plain paths, only bounded answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Self
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from appliance.runtime.errors import Refused
from gateway.fetch import loops
from gateway.isolation.content import S3
from gateway.isolation.policy import Policy

LONGEST_PATH = 600  # bytes: a release's longest path and the folders before it
LARGEST = 1 << 40  # bytes of an answer
ROOTS = ("releases", "registry", "trust")
MOST_EXCLUDED, MOST_TAGS = 8, 8  # names
Named = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Tag = Annotated[str, StringConstraints(pattern=r'^(W/)?"[\x21\x23-\x7e]{0,190}"$')]  # RFC 9110 section 8.8.3
Site = Annotated[str, StringConstraints(pattern=rf"^{loops.SITE}$")]


class Ask(BaseModel):
    """``POST /fetch``: of one ``origin``, or of ``any``, which is parents first and then origins, or ``direct`` origins only."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        hide_input_in_errors=True,
        validate_by_alias=True,
        validate_by_name=True,
    )

    path: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_PATH)]
    largest: int = Field(ge=1, le=LARGEST)  # bytes that are handed on
    origin: Named | None = None
    any: bool = False
    direct: bool = False
    excluded: list[Named] = Field(default_factory=list, max_length=MOST_EXCLUDED, alias="not")
    etag: Tag | None = None  # what the origin that is named gave last
    etags: dict[Named, Tag] = Field(default_factory=dict, max_length=MOST_TAGS)  # the same by name, where any is asked
    first: int = Field(default=0, ge=0, le=LARGEST)  # bytes that are there already, and not asked for again
    oldest: int | None = Field(
        default=None, ge=0, le=86400
    )  # seconds since a parent heard of it; older is as if it were away
    via: list[Site] = Field(default_factory=list, max_length=loops.DEEPEST)  # the boxes for which this is asked

    @model_validator(mode="after")
    def _one_or_any(self) -> Self:
        if (self.origin is None) == (not self.any):
            raise ValueError("either 'origin' names one, or 'any' is true")
        return self


@dataclass(frozen=True)
class Target:
    """What is asked of the network: nothing in it comes from a sender but the checked path."""

    name: str
    host: str
    port: int
    path: str  # percent-encoded
    largest: int  # bytes
    etag: str | None = None
    first: int = 0  # bytes
    oldest: int | None = None  # seconds
    parent: bool = False
    tls: bool = False
    s3: S3 | None = None
    loop: str = ""  # CDN-Loop


def parse(policy: Policy, data: bytes) -> Ask:
    """Return what the request ``data`` asks for.

    Raises:
        Refused: it may not be asked (``bad-request``, ``unknown-origin``, ``loop``).
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
    if ask.origin is not None and ask.origin not in policy.origins:
        raise Refused("unknown-origin", f"the policy names no origin '{ask.origin}'")
    if fault := fault_in(ask.path):
        raise Refused("bad-request", fault, 400)
    loops.check(ask.via, policy.site)
    return ask


def target(policy: Policy, ask: Ask, name: str) -> Target:
    """Return what is asked of the upstream ``name`` of the policy."""
    origin = policy.origins[name]
    encoded = quote(ask.path, safe="/")
    return Target(
        name,
        str(origin.address),
        origin.port,
        f"/{origin.s3.bucket}{encoded}" if origin.s3 else encoded,
        ask.largest,
        ask.etag if ask.origin else ask.etags.get(name),
        ask.first,
        ask.oldest if origin.role == "parent" else None,
        origin.role == "parent",
        origin.tls,
        origin.s3,
        loops.written((*ask.via, policy.site)),
    )


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
