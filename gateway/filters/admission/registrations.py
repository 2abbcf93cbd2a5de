"""What bodies register at the box: whose statement it is, over which records, and whether these are the body's own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import Field

from appliance.runtime.errors import Corrupt, Refused
from gateway.filters.admission.questions import Ask, Sha256, needed
from gateway.isolation.policy import Body, Policy
from gateway.release.trust.admitting import Trusting
from gateway.release.trust.layout import Needed
from gateway.resolver import statement
from gateway.resolver.records import LONGEST_RECORD, Record, parse_record
from gateway.resolver.statement import Registration, Statement

MOST = 64  # records at once: they travel to the centre as one record of the spool
EARLY = timedelta(minutes=5)  # by which a body's clock may be ahead of the box's
Told = dict[str, Any]


class AskRegister(Ask):
    """``POST /register``: may the body that signed the statement register these records?"""

    policy: Sha256
    statement: Annotated[str, Field(min_length=2, max_length=statement.LONGEST_ENVELOPE)]
    records: Annotated[list[Annotated[str, Field(max_length=LONGEST_RECORD)]], Field(min_length=1, max_length=MOST)]


class Registrations:
    """Answers it; ``under`` gives the policy of a digest."""

    def __init__(self, under: Callable[[str], Awaitable[Policy]], trusting: Trusting) -> None:
        self._under, self._trusting = under, trusting

    async def register(self, ask: AskRegister) -> Told:
        """Return the statement's digest, its body and act, and the codes of its records."""
        policy, now = await self._under(ask.policy), datetime.now(UTC)
        try:
            given = Registration(
                statement.canonical(ask.statement.encode()), tuple(one.encode() for one in ask.records)
            )
            said = statement.claimed(given.envelope)
        except Corrupt as error:
            raise Refused("bad-request", str(error), 400) from error
        body = await asyncio.to_thread(self._trusting.body, policy, said.body, now)
        if isinstance(body, Needed):
            return needed(body)
        signed, records = await asyncio.to_thread(judge, said.body, body, given, now)
        return {
            "digest": given.digest,
            "body": signed.body,
            "act": signed.act,
            "codes": [record.code for record in records],
        }


def judge(name: str, body: Body | None, given: Registration, now: datetime) -> tuple[Statement, Sequence[Record]]:
    """Return the statement and the records of what ``name`` hands in, once it is the body's own.

    Raises:
        Refused: ``not-admitted``, ``not-signed``, ``wrong-root``, ``wrong-time``, ``bad-request``, ``other-body``, ``outside-identifiers``.
    """
    if body is None or not body.keys:
        raise Refused("not-admitted", f"the policy of this box admits no body '{name}' that signs")
    signed = statement.open_statement(given.envelope, body.keys)
    leaves = statement.leaves_of(given.dumps)
    if signed.count != len(given.dumps) or signed.root != statement.root_of(leaves):
        raise Refused("wrong-root", "the statement is of other records than these")
    if signed.time > now + EARLY:
        raise Refused("wrong-time", f"it is signed at {signed.time.isoformat()}, which is not yet")
    records = []
    for number, dump in enumerate(given.dumps, 1):
        try:
            record = parse_record(dump)
        except Corrupt as error:
            raise Refused("bad-request", f"record {number}: {error}", 422) from error
        if record.dump() != dump:
            raise Refused("bad-request", f"record {number} is not in its canonical form", 422)
        if record.body != name:
            raise Refused("other-body", f"record {number} is of '{record.body}', the statement of '{name}'", 422)
        if not record.code.startswith(body.identifiers):
            raise Refused("outside-identifiers", f"{record.code} is outside the identifiers of '{name}'")
        records.append(record)
    return signed, records
