"""Identifiers that bodies register at this box: judged by filter and replica, durable, sent to the centre, answered here at once."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field, StringConstraints

from appliance.runtime.errors import Corrupt, Refused
from appliance.telemetry.records import Record
from gateway.exchange import decide
from gateway.exchange.asks import Ask, Text, parse
from gateway.exchange.decide import Peer, Refuse
from gateway.exchange.journal import Journal
from gateway.exchange.judge import Judge
from gateway.exchange.listings_api import Handler
from gateway.isolation.policy import Policy
from gateway.replica.client import Replica
from gateway.resolver.records import LONGEST_RECORD
from gateway.resolver.statement import LONGEST_ENVELOPE

LARGEST = "hand in fewer records at once: what goes to the centre in one piece has at most 16 KiB"
SPACE = uuid.UUID("6f0d7a39-6d4c-5f8e-9c55-5a2f1b8f7f10")  # names the records of the spool by their statements


class AskRegister(Ask):
    """``POST /register``, of who brings in: a statement that a body signed, and its records."""

    statement: Annotated[str, Field(min_length=2, max_length=LONGEST_ENVELOPE)]
    records: Annotated[list[Annotated[str, Field(max_length=LONGEST_RECORD)]], Field(min_length=1, max_length=64)]


class AskNext(Ask):
    """``POST /next``: the next free codes of the body's blocks at this box."""

    body: Text
    count: Annotated[int, Field(ge=1, le=1000)]


class AskNotRegistered(Ask):
    """``POST /not-registered``, of telemetry: what the centre did not take of a statement; no places: all of it."""

    statement: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    places: Annotated[list[Annotated[int, Field(ge=0, lt=64)]], Field(default_factory=list, max_length=64)]


class Registering:
    """``policy`` gives the one in force."""

    def __init__(self, policy: Callable[[], Policy], judge: Judge, replica: Replica, journal: Journal) -> None:
        self._policy, self._judge, self._replica, self._journal = policy, judge, replica, journal

    def answers(self, peer: Peer) -> dict[str, Handler]:
        """Return what ``peer`` may ask, with who answers."""
        if peer == decide.ORDERS:
            return {"not-registered": self._not_registered}
        return {"register": self._register, "next": self._next} if peer.run in decide.BRINGS else {}

    async def _register(self, peer: Peer, data: bytes, _: web.Request) -> web.Response:
        ask, policy = parse(AskRegister, data), self._under(peer)
        try:
            found = await self._judge.register(policy, ask.statement, ask.records)
            await self._replica.check(policy.digest, found.body, ask.records)
        except Refused as error:
            if error.status < 500:
                await self._journal.refused(Refuse(error.reason, str(error)), peer, object="registration")
            raise
        await self._journal.append(_record(peer, found.digest, ask))
        await self._replica.keep(policy.digest, found.body, ask.records, found.digest)
        return web.json_response({"digest": found.digest, "codes": list(found.codes), "pending": True})

    async def _next(self, peer: Peer, data: bytes, _: web.Request) -> web.Response:
        ask, policy = parse(AskNext, data), self._under(peer)
        if ask.body not in policy.bodies:
            raise Refused("not-admitted", f"the policy of this box admits no body '{ask.body[:64]}'")
        return web.json_response({"codes": await self._replica.next_codes(policy.digest, ask.body, ask.count)})

    async def _not_registered(self, peer: Peer, data: bytes, _: web.Request) -> web.Response:
        ask = parse(AskNotRegistered, data)
        await self._replica.drop(ask.statement, ask.places)
        return web.Response(status=204)

    def _under(self, peer: Peer) -> Policy:
        policy = self._policy()
        if policy.registry is None:
            raise Refused("no-registry", "the policy of this box names no registry", 404)
        if not policy.lanes_of("identifier", source=peer.zone):
            raise Refused("no-lane", f"no lane of the policy lets identifiers out of '{peer.zone}'")
        return policy


def _record(peer: Peer, digest: str, ask: AskRegister) -> Record:
    """Return the record for the spool; the same statement makes the same record, however often it is handed in."""
    told: dict[str, Any] = {
        "id": str(uuid.uuid5(SPACE, digest)),
        "kind": "registration",
        "time": datetime.now(UTC).isoformat(),
        "source": peer.source,
        "body": {
            "zone": peer.zone,
            "statement": json.loads(ask.statement),
            "records": list(map(json.loads, ask.records)),
        },
    }
    try:
        return Record.of(told)
    except Corrupt as error:
        raise Refused("too-large", LARGEST, 413) from error
