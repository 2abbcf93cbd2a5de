"""What a person looks up in the registry: a code with all that belongs to it, or how the registry stands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from appliance.runtime.errors import Corrupt, Refused
from gateway.resolver import codes
from gateway.resolver.change import Change, parse_change
from gateway.resolver.proof import Proof, parse_key, verify_proof
from gateway.resolver.walk_formats import as_graph
from gateway.resolver.walks import Asked, Direction, Walk, walk
from provisioning.registry import rows
from provisioning.registry.asking import Asking
from provisioning.registry.backlinks import Backlinks, Links
from provisioning.registry.publication import Publication
from provisioning.registry.registry import Registry

BREADTH = 40  # links of one code and direction that are followed
DEEPEST = 3
LAST = 12  # changes that the overview tells
FIELDS = ("title", "status", "links", "locations", "metadata", "rights", "reason", "ttl", "superseded_by")


class Looking:
    """Looks into ``registry``."""

    def __init__(self, registry: Registry, publication: Publication, backlinks: Backlinks) -> None:
        self._registry, self._publication, self._backlinks = registry, publication, backlinks
        self._asking = Asking(registry, publication)

    async def overview(self) -> dict[str, Any]:
        """Return how the registry stands: how much of what, and what changed last.

        Raises:
            Unreachable: the database is away.
        """
        head, seen = self._publication.head, await self._backlinks.seen()
        size = head.size if head is not None else 0
        changes = await asyncio.to_thread(self._last, size)
        counted = sorted(seen.schemes.items(), key=lambda item: -item[1])
        return {
            "records": self._registry.standing.records,
            "size": size,
            "links": seen.links,
            "behind": size - seen.applied,
            "made": head.made.isoformat() if head is not None else None,
            "schemes": [{"scheme": scheme, "count": count} for scheme, count in counted],
            "changes": [_brief(number, change) for number, change in reversed(changes)],
        }

    async def one(self, text: str, depth: int, now: datetime) -> dict[str, Any]:
        """Return all that is known of the code written as ``text``, with its links ``depth`` steps far, or what is wrong with it.

        Raises:
            Unreachable: the database is away.
        """
        asked = text[: codes.LONGEST * 4]
        try:
            code = codes.parse(text)
        except codes.WrongCode as error:
            return _nothing(asked, depth) | {"fault": await self._fault(error)}
        told = _nothing(asked, depth) | {
            "code": code.canonical,
            "display": code.display,
            "scheme": code.scheme,
            "parts": code.parts,
            "uri": code.uri,
            "quoted": code.quoted,
        }
        known = (await self._known([code.canonical])).get(code.canonical)
        graph = await self._graph(code.canonical, depth)
        told["graph"] = graph if known is not None or graph["edges"] else None
        if known is not None:
            history = await self._asking.history(code, now)
            told["record"] = known
            told["history"] = _history(history)
            told["proof"] = await self._proof(code, now)
        return told

    def _last(self, size: int) -> list[tuple[int, Change]]:
        start = max(0, size - LAST)
        entries = self._registry.ledger.reading.entries(start, size)
        return [(number, parse_change(entry)) for number, entry in enumerate(entries, start + 1)]

    async def _known(self, some: Collection[str]) -> dict[str, dict[str, Any]]:
        async with self._registry.begin() as connection:
            found = await rows.known(connection, list(some))
        return {code: json.loads(one.dump) for code, one in found.items()}

    async def _fault(self, error: codes.WrongCode) -> dict[str, Any]:
        likely = list(error.likely)
        known = await self._known(likely)
        ordered = sorted(likely, key=lambda code: code not in known)[: codes.SHOWN]  # those that are registered first
        shown = [{"code": code, "title": known.get(code, {}).get("title", "")} for code in ordered]
        return {**error.told, "likely": shown}

    async def _graph(self, start: str, depth: int) -> dict[str, Any]:
        """Return the links around a code; each level is asked of the database at once, and walked by the rules that boxes walk by."""
        about: dict[str, dict[str, Any]] = {}
        ends: dict[tuple[str, Direction], Links] = {}
        found = Walk(start, (), (), whole=True)
        for level in range(1, depth + 1):
            reached = {start, *(node.code for node in found.nodes)}
            fresh = {code for code in reached if (code, "backward") not in ends}
            about |= await self._known(fresh - set(about))
            for code, named in (await self._backlinks.naming(fresh, BREADTH + 1)).items():
                ends[code, "backward"] = named
                forward = about.get(code, {}).get("links", [])
                ends[code, "forward"] = tuple((link["type"], link["target"]) for link in forward)
            found = walk(start, lambda code, way: ends.get((code, way), ()), Asked(level, BREADTH, "both"))
        about |= await self._known({node.code for node in found.nodes} - set(about))
        brief: dict[str, dict[str, Any]] = {}
        for code, one in about.items():
            brief[code] = {key: one[key] for key in ("title", "body", "status") if key in one}
        return as_graph(found, brief)

    async def _proof(self, code: codes.Code, now: datetime) -> dict[str, Any]:
        """Return what the log proves of a code, verified here as anybody may."""
        try:
            proof = await self._asking.prove(code, now, now)
            return await asyncio.to_thread(self._verified, proof)
        except (Corrupt, Refused) as error:
            return {"verified": False, "error": str(error)}

    def _verified(self, proof: Proof) -> dict[str, Any]:
        proven = verify_proof(proof, parse_key(self._registry.ledger.verifier))
        return {
            "verified": proven.record is not None,
            "error": "" if proven.record is not None else "the log does not hold it",
            "number": proven.number,
            "size": proven.size,
            "registry": proven.registry,
            "body": proven.record.body if proven.record else None,
            "signed": proven.signed.isoformat() if proven.signed else None,
        }


def _nothing(asked: str, depth: int) -> dict[str, Any]:
    empty = dict.fromkeys(("code", "display", "scheme", "uri", "quoted", "fault", "graph", "record", "proof"))
    return {**empty, "asked": asked, "depth": depth, "parts": {}, "history": []}


def _brief(number: int, change: Change) -> dict[str, Any]:
    record = change.record
    return {
        "number": number,
        "code": record.code,
        "title": record.title,
        "body": record.body,
        "status": record.status,
        "time": change.time.isoformat(),
    }


def _history(changes: Sequence[tuple[int, Change]]) -> list[dict[str, Any]]:
    """Return the changes, newest first, each with what became another than before."""
    told = []
    for at, (number, change) in enumerate(changes):
        before = changes[at + 1][1] if at + 1 < len(changes) else None
        differs = _differences(before, change) if before is not None else []
        told.append(
            {
                **_brief(number, change),
                "statement": change.statement,
                "first": change.previous is None,
                "changes": differs,
            }
        )
    return told


def _differences(before: Change, after: Change) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name in FIELDS:
        old, new = getattr(before.record, name), getattr(after.record, name)
        if old == new:
            continue
        if isinstance(new, list):
            found.append(
                {"field": name, "added": sum(x not in old for x in new), "removed": sum(x not in new for x in old)}
            )
        else:
            found.append({"field": name, "after": new if isinstance(new, str) else ""})
    return found
