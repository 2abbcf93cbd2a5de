"""May these records be registered? Pure: what is known and what is asked go in, faults come out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from appliance.identity.keys import PublicKey
from appliance.runtime.errors import Refused
from gateway.resolver.statement import Act

Status = str
Mode = Literal["all", "good"]  # all or nothing, or all good ones
AFTER: Mapping[Status, frozenset[Status]] = {  # what may follow a status; withdrawing is another act
    "reserved": frozenset({"reserved", "registered", "superseded"}),
    "registered": frozenset({"registered", "superseded"}),
    "superseded": frozenset({"superseded"}),
    "withdrawn": frozenset(),
}


@dataclass(frozen=True)
class Wrong:
    """One fault of a registration: which record of the request (from 0), where in it, which word, and the sentence."""

    index: int
    path: str
    reason: str
    message: str


class RegistrationRefused(Refused):
    """Records may not be registered; ``faults`` holds every one of them, and none was registered."""

    def __init__(self, faults: Sequence[Wrong], status: int = 422) -> None:
        self.faults = tuple(faults)
        first = faults[0]
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(first.reason, first.message + more, status)


@dataclass(frozen=True)
class Admitted:
    """What a body may register, and the keys that sign for it."""

    keys: tuple[PublicKey, ...]
    identifiers: tuple[str, ...]  # leading parts of canonical codes


@dataclass(frozen=True)
class Service:
    """A service code of ISLI: how many digits its link codes have, and who administers it."""

    link: int
    body: str
    name: str = ""


@dataclass(frozen=True)
class Block:
    """Codes that only one box of a body gives out: all that begin with ``part``."""

    part: str
    body: str
    box: str


@dataclass(frozen=True)
class Rules:
    """Who may register what, now."""

    bodies: Mapping[str, Admitted] = field(default_factory=dict)
    operators: tuple[PublicKey, ...] = ()  # who may withdraw what is not theirs
    services: Mapping[str, Service] = field(default_factory=dict)
    blocks: tuple[Block, ...] = ()


class Asked(NamedTuple):  # ten thousand of them come from another process at once
    """A record that is asked for: its dump, and what of it decides."""

    dump: bytes
    code: str
    status: Status
    body: str
    reason: str = ""


@dataclass(frozen=True)
class Known:
    """How a code stands in the registry."""

    status: Status
    body: str
    number: int
    signed: datetime
    dump: bytes


@dataclass(frozen=True)
class Batch:
    """What a statement asks, who handed it in (a box's name, empty at the centre), and when it was signed."""

    act: Act
    body: str
    signed: datetime
    records: Sequence[Asked]
    box: str = ""


@dataclass(frozen=True)
class Judged:
    """The places of the records that change something, how many are there already, and every fault."""

    changed: tuple[int, ...]
    unchanged: int
    faults: tuple[Wrong, ...]


def judge(batch: Batch, known: Mapping[str, Known], rules: Rules) -> Judged:
    """Return what of ``batch`` may be and changes something."""
    admitted = rules.bodies.get(batch.body)
    ours = admitted.identifiers if admitted else ()
    blocks = [block for block in rules.blocks if any(_meet(block.part, part) for part in ours)]
    seen: set[str] = set()
    changed, faults, unchanged = [], [], 0
    for index, asked in enumerate(batch.records):
        before = known.get(asked.code)
        fault = _same(batch, asked, seen) or _place(batch, asked, ours, blocks, rules.services)
        if fault is None and before is not None and before.dump == asked.dump:
            unchanged += 1
        elif fault is None and (fault := _change(batch, asked, before)) is None:
            changed.append(index)
        if fault is not None:
            faults.append(Wrong(index, *fault))
        seen.add(asked.code)
    return Judged(tuple(changed), unchanged, tuple(faults))


Told = tuple[str, str, str]  # path, reason, sentence


def _same(batch: Batch, asked: Asked, seen: set[str]) -> Told | None:
    if asked.body != batch.body:
        return "body", "other-body", f"the statement is of '{batch.body}', this record of '{asked.body}'"
    if asked.code in seen:
        return "code", "twice", f"{asked.code} is in the request twice"
    return None


def _place(
    batch: Batch, asked: Asked, ours: Iterable[str], blocks: Iterable[Block], services: Mapping[str, Service]
) -> Told | None:
    """Tell where the code is none that this body, at this place, gives out; withdrawing is bound to no place."""
    if batch.act == "withdraw":
        return None
    code = asked.code
    if not code.startswith(tuple(ours)):
        return "code", "outside-identifiers", f"{code} is outside the identifiers of '{batch.body}'"
    if code.startswith("isli:") and (service := services.get(code[5:11])):
        digits = len(code) - 14  # isli:SSSSSS- and -C
        if digits != service.link:
            told = f"link codes of service {code[5:11]} have {service.link} digits, this one has {digits}"
            return "code", "wrong-link-length", told
    for block in blocks:
        if code.startswith(block.part) and batch.box != block.box:
            told = f"{code} is in the block {block.part} of '{block.box}': it is registered there"
            return "code", "allotted", told
    return None


def _change(batch: Batch, asked: Asked, before: Known | None) -> Told | None:
    """Tell why the record may not follow the one before."""
    withdraws = batch.act == "withdraw"
    if before is None:
        if withdraws:
            return "code", "unknown-code", f"{asked.code} is not registered"
        if asked.status == "withdrawn":
            return "status", "wrong-status", f"{asked.code} is not registered, so it cannot be withdrawn"
        return None
    if before.body != asked.body:
        return "body", "other-body", f"{asked.code} belongs to '{before.body}'"
    if before.status == "withdrawn":
        return "status", "withdrawn", f"{asked.code} was withdrawn and stays so"
    if batch.signed < before.signed:
        told = f"{asked.code} was changed by a statement of {before.signed.isoformat()}, this one is older"
        return "", "older-statement", told
    if withdraws != (asked.status == "withdrawn"):
        told = "a statement that withdraws has records with this status, any other has none"
        return "status", "wrong-status", told
    if withdraws and not asked.reason:
        return "reason", "no-reason", "say why it is withdrawn"
    if withdraws and _rest(before.dump) != _rest(asked.dump):
        return "", "changed-too", f"withdrawing {asked.code} changes its status and says why, and nothing else"
    if not withdraws and asked.status not in AFTER[before.status]:
        return "status", "wrong-status", f"{asked.code} is {before.status} and cannot become {asked.status}"
    return None


def _rest(dump: bytes) -> object:
    return {
        name: value for name, value in json.loads(dump).items() if name not in ("status", "reason", "superseded_by")
    }


def allot(block: Block, rules: Rules) -> None:
    """Judge a block that a body asks for.

    Raises:
        Refused: it is outside of the body's codes (``outside-identifiers``), or meets another one (``allotted``).
    """
    admitted = rules.bodies.get(block.body)
    if admitted is None or not block.part.startswith(admitted.identifiers):
        raise Refused("outside-identifiers", f"{block.part} is outside the identifiers of '{block.body}'", 422)
    for other in rules.blocks:
        if other != block and _meet(other.part, block.part):
            raise Refused("allotted", f"{block.part} meets the block {other.part} of '{other.box}'", 409)


def _meet(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)
