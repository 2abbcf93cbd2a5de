"""Accepted links -> records of their sources -> the registry, signed by the institution; what the record had before stays in it."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
from pydantic import ValidationError
from yarl import URL

from appliance.identity.keys import PrivateKey
from appliance.runtime import http
from appliance.runtime.errors import Corrupt, Refused, Unreachable
from gateway.linking.book import Book, Kept
from gateway.linking.choosing import Choice
from gateway.resolver import records, statement
from gateway.resolver.codes import parse
from gateway.resolver.records import Link, Record

BATCH = 500  # records of one registration
AT_ONCE = 8  # questions for what is registered already
MOST_LINKS = 256  # of one record
SECONDS = 60.0  # for one answer
LONGEST_ANSWER = 4 << 20  # bytes


@dataclass(frozen=True)
class Source:
    """A code, and the accepted links that begin at it."""

    code: str
    title: str
    links: tuple[Kept, ...]


@dataclass
class Done:
    """What a registration brought about."""

    records: int = 0
    links: int = 0
    there: int = 0  # links that the registry had already
    refused: list[tuple[str, str, str]] = field(default_factory=list)  # (code, reason, sentence)


def by_source(accepted: Iterable[Kept]) -> Iterator[Source]:
    """Yield the links by their sources."""
    ordered = sorted(accepted, key=lambda one: one.proposal.source)
    for code, group in itertools.groupby(ordered, key=lambda one: one.proposal.source):
        links = tuple(group)
        yield Source(code, links[0].proposal.source_title, links)


def amended(before: Record | None, source: Source, body: str) -> Record | None:
    """Return the record to register: the one there with the links added, or a new one; None where it has them all.

    Raises:
        Refused: ``other-body``, ``withdrawn``, ``too-many``, ``bad-request``: nothing can be added to it.
    """
    if before is not None and before.body != body:
        raise Refused("other-body", f"{source.code} belongs to '{before.body}'", 409)
    if before is not None and before.status in ("withdrawn", "superseded"):
        raise Refused("withdrawn", f"{source.code} is {before.status}", 409)
    there = list(before.links) if before is not None else []
    fresh = [Link(type=one.proposal.type, target=one.proposal.target) for one in source.links]
    fresh = [link for link in dict.fromkeys(fresh) if link not in there]
    if not fresh:
        return None
    if len(there) + len(fresh) > MOST_LINKS:
        raise Refused("too-many", f"{source.code} would have more than {MOST_LINKS} links", 409)
    try:
        if before is None:
            return Record(code=source.code, title=source.title, body=body, links=fresh)
        return before.model_copy(update={"links": [*there, *fresh]})
    except ValidationError as error:
        raise Refused("bad-request", f"{source.code}: {records.told(error)}", 400) from error


async def register(book: Book, key: PrivateKey, body: str, at: str, *, dry: bool = False) -> Done:
    """Register every accepted link at ``at``; each batch is noted as soon as the registry has it, so it can be broken off.

    Raises:
        Refused, Unreachable, Corrupt: as the registry told it, or it is away.
    """
    done = Done()
    sources = list(by_source(book.select(*Choice("accepted").condition(), 1_000_000)))
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for start in range(0, len(sources), BATCH):
                await _batch(session, book, key, body, at, sources[start : start + BATCH], done, dry=dry)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unreachable(f"the registry at {at} does not answer: {str(error) or 'no answer in time'}") from error
    return done


async def _batch(
    session: aiohttp.ClientSession,
    book: Book,
    key: PrivateKey,
    body: str,
    at: str,
    sources: Sequence[Source],
    done: Done,
    *,
    dry: bool,
) -> None:
    limit = asyncio.Semaphore(AT_ONCE)

    async def before(source: Source) -> Record | None:
        async with limit:
            return await _registered(session, at, source.code)

    known = await asyncio.gather(*(before(source) for source in sources))
    wanted: list[tuple[Source, Record]] = []
    for source, record in zip(sources, known, strict=True):
        try:
            fresh = amended(record, source, body)
        except Refused as error:
            done.refused.append((source.code, error.reason, str(error)))
            continue
        if fresh is None:
            done.there += len(source.links)
            if not dry:
                book.registered((one.id for one in source.links), _now())
        else:
            wanted.append((source, fresh))
    while wanted and not dry:
        faults = await _send(
            session, at, statement.sign("register", body, [r for _, r in wanted], key, datetime.now(UTC))
        )
        if not faults:
            break
        done.refused += [(wanted[index][0].code, reason, told) for index, (reason, told) in faults.items()]
        wanted = [one for index, one in enumerate(wanted) if index not in faults]
    if not dry:
        book.registered((one.id for source, _ in wanted for one in source.links), _now())
    done.records += len(wanted)
    done.links += sum(len(source.links) for source, _ in wanted)


async def _registered(session: aiohttp.ClientSession, at: str, code: str) -> Record | None:
    url = URL(f"{at}/api/registry/records/{parse(code).quoted}", encoded=True)
    async with session.get(url, allow_redirects=False) as response:
        if response.status == 404:
            return None
        told = await _json(await http.check(response))
    if not isinstance(told, dict):
        raise Corrupt(f"the registry at {at} did not answer with a record")
    inner = told.get("record", told)
    return records.parse_record(json.dumps({k: inner[k] for k in Record.model_fields if k in inner}).encode())


async def _send(
    session: aiohttp.ClientSession, at: str, registration: statement.Registration
) -> dict[int, tuple[str, str]]:
    """Send a registration; return the faults of single records by their place in it, none where it was taken."""
    headers = {"Content-Type": "application/json"}
    async with session.post(f"{at}/api/registry/registrations", data=registration.dump(), headers=headers) as response:
        if response.status == 422:
            told = await _json(response)
            listed = told.get("faults", []) if isinstance(told, dict) else []
            found: dict[int, tuple[str, str]] = {}
            for one in listed:
                if isinstance(one, dict) and isinstance(index := one.get("index"), int):
                    found.setdefault(index, (str(one.get("reason")), str(one.get("message"))))
            found = {index: fault for index, fault in found.items() if 0 <= index < len(registration.dumps)}
            if found:
                return found
        await http.check(response)
    return {}


async def _json(response: aiohttp.ClientResponse) -> Any:
    try:
        return json.loads(await response.content.read(LONGEST_ANSWER))
    except ValueError as error:
        raise Corrupt("the registry did not answer with JSON") from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
