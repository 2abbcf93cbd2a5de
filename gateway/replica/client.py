"""The exchange's side of the replica: asks, and takes nothing but plain answers for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway.filters.client import RESTART, Filter
from gateway.resolver import published


@dataclass(frozen=True)
class Wanted:
    """A file below ``/registry/`` that the replica wants, of at most ``largest`` bytes."""

    path: str
    largest: int


@dataclass(frozen=True)
class Verified:
    """The state of the registry's log that the replica found signed, and by which key."""

    registry: str
    size: int
    root: str
    signer: str


@dataclass(frozen=True)
class Step:
    """Where the replica stands: what it wants next, how far its table is, and whether that is what the registry says."""

    wants: tuple[Wanted, ...]
    size: int
    fresh: bool
    busy: bool
    head: Verified | None


@dataclass(frozen=True)
class Answer:
    """What the registry says of a code: its record as canonical JSON, None where there is none; and when it said so."""

    record: str | None
    made: str


class Replica(Filter):
    """The replica at its socket."""

    def __init__(self, socket: Path) -> None:
        super().__init__(socket, "replica")

    async def step(self, policy: str, files: Mapping[str, str | None], *, begin: bool = False) -> Step:
        """Tell which files came, by their names among what is coming in, and return where the replica stands.

        Raises:
            Refused: something of the registry was refused, or the replica is away.
        """
        came = [{"path": path, "incoming": name} for path, name in files.items()]
        told = {"policy": policy, "files": came, "begin": begin}
        return await self._ask("step", told, _step, wait=RESTART)

    async def look(self, policy: str, code: str, incoming: str) -> Answer:
        """Return what the registry's answer in an incoming file says of ``code``.

        Raises:
            Refused: it proves nothing, or the replica is away.
        """
        told = {"policy": policy, "code": code, "incoming": incoming}
        return await self._ask("lookup", told, _answer, wait=RESTART)

    async def check(self, policy: str, body: str, records: Sequence[str]) -> None:
        """Refuse records that ``body`` may not register at this box.

        Raises:
            Refused: it may not, or the replica is away.
        """
        await self._ask("pending", {"policy": policy, "body": body, "records": list(records)}, bool, wait=RESTART)

    async def keep(self, policy: str, body: str, records: Sequence[str], statement: str) -> None:
        """Let the resolvers answer from records that wait for the centre; ``statement`` is the digest of what covers them.

        Raises:
            Refused: too many wait, or the replica is away.
        """
        told = {"policy": policy, "body": body, "records": list(records), "keep": statement}
        await self._ask("pending", told, bool, wait=RESTART)

    async def drop(self, statement: str, places: Sequence[int]) -> None:
        """Let go of records of a statement that the centre did not take.

        Raises:
            Refused: the replica is away.
        """
        await self._ask("drop", {"statement": statement, "places": list(places)}, bool, wait=RESTART)

    async def next_codes(self, policy: str, body: str, count: int) -> list[str]:
        """Return the next free codes of the blocks of ``body`` at this box.

        Raises:
            Refused: fewer are left, or the replica is away.
        """
        told = {"policy": policy, "body": body, "count": count}
        return await self._ask("next", told, lambda answer: list(map(str, answer["codes"])), wait=RESTART)


def _answer(answer: dict[str, Any]) -> Answer:
    record = answer["record"]
    return Answer(None if record is None else str(record), datetime.fromisoformat(answer["made"]).isoformat())


def _step(answer: dict[str, Any]) -> Step:
    """Return what an answer says; the replica names what it wants, and nothing beyond what a registry publishes."""
    wants = tuple(Wanted(str(one["path"]), int(one["largest"])) for one in answer["wants"])
    if any(not published.is_path(one.path) or one.largest > published.longest(one.path) for one in wants):
        raise ValueError("the replica wants what no registry publishes")
    head = answer["head"] and Verified(**answer["head"])
    return Step(wants, int(answer["size"]), answer["fresh"] is True, answer["busy"] is True, head)
