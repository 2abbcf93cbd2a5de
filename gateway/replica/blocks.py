"""Blocks of codes that the registry allotted: what may be registered at this box while the line is down, and the next codes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.runtime.errors import Refused
from gateway.resolver.codes.isli import check_digit
from gateway.resolver.published import Head

Known = Callable[[str], bool]  # whether a code is registered, or waits to be


@dataclass(frozen=True)
class Block:
    """Codes that begin with ``part`` and that only the box ``box`` of ``body`` gives out."""

    part: str
    body: str
    box: str


@dataclass(frozen=True)
class Allotted:
    """The registry's blocks, and the digits of the link codes of each service, by its newest head."""

    blocks: tuple[Block, ...] = ()
    lengths: Mapping[str, int] | None = None


def allotted(head: Head) -> Allotted:
    """Return what a head says of blocks and services; entries of another form are left out."""
    blocks = tuple(
        Block(str(b["part"]), str(b["body"]), str(b["box"]))
        for b in _maps(head.blocks)
        if {"part", "body", "box"} <= b.keys()
    )
    lengths = {
        code: one["link"]
        for code, one in head.services.items()
        if isinstance(one, dict) and isinstance(one.get("link"), int)
    }
    return Allotted(blocks, lengths)


def check(known: Allotted, site: str, body: str, codes: Iterable[str], registered: Known) -> None:
    """Refuse what cannot be registered here: a new code outside this box's blocks, or one of another box's.

    Raises:
        Refused: ``outside-block`` or ``allotted``.
    """
    for code in codes:
        block = next((one for one in known.blocks if code.startswith(one.part)), None)
        if block is not None and block.box != site:
            raise Refused("allotted", f"{code} is in the block {block.part} of '{block.box}': it is registered there")
        if block is None and not registered(code):
            told = "a new code is registered here in a block that was allotted to this box (headgate id block), any other at the centre"
            raise Refused("outside-block", f"{code} is in no block of '{site}': {told}")
        if block is not None and block.body != body:
            raise Refused("allotted", f"{code} is in the block {block.part} of '{block.body}', not of '{body}'")


def following(
    known: Allotted, site: str, body: str, given: Mapping[str, int], registered: Known
) -> Iterator[tuple[str, str, int]]:
    """Yield the next free codes of the blocks of ``body`` at this box: the block's part, the code, and the number after it.

    ``given`` tells, for each part, the number from which on none was handed out.
    """
    for block in known.blocks:
        scheme, _, rest = block.part.partition(":")
        service, dash, leading = rest.partition("-")
        digits = (known.lengths or {}).get(service, 0) - len(leading)
        if scheme != "isli" or not dash or block.box != site or block.body != body or not 0 < digits <= 18:
            continue
        for number in range(given.get(block.part, 0), 10**digits):
            payload = f"{service}{leading}{number:0{digits}d}"
            code = f"isli:{service}-{payload[6:]}-{check_digit(payload)}"
            if not registered(code):
                yield block.part, code, number + 1


def _maps(items: Sequence[Any]) -> Iterator[Mapping[str, Any]]:
    return (item for item in items if isinstance(item, Mapping))
