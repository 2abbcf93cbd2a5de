"""The registry over HTTP: registering, asking, proving; for the controller to mount, and look-ups alone for the origin."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import resources
from typing import Any

from aiohttp import web

from appliance.runtime import http
from appliance.runtime.errors import Corrupt, Refused
from gateway.resolver.codes import parse
from gateway.resolver.published import looked_up
from gateway.resolver.statement import LARGEST
from provisioning.registry import rows
from provisioning.registry.asking import Asking
from provisioning.registry.delegating import Delegating
from provisioning.registry.judging import RegistrationRefused, Wrong
from provisioning.registry.publication import Publication
from provisioning.registry.registry import Registered, Registry
from provisioning.registry.validating import parse_registration

MOST = 1000  # records or faults of one answer
LONGEST_ORDER = 16 << 10  # bytes of what says who has a service or a block
LONGEST_AFTER = 600  # characters of the code behind which a page begins
OPENAPI = "openapi.json"
REGISTRATIONS = "/api/registry/registrations"
_DIGEST = re.compile(r"[0-9a-f]{64}")
CODE = r"code:[\s\S]+"  # in a path: slashes and whatever people type


class Api:
    """The handlers over one registry."""

    def __init__(self, registry: Registry, publication: Publication) -> None:
        self._registry, self._publication = registry, publication
        self._asking = Asking(registry, publication)
        self._delegating = Delegating(registry)

    def routes(self) -> list[web.RouteDef]:
        """Return everything below ``/api/registry``."""
        base = "/api/registry"
        return [
            web.get(base, self._standing),
            web.get(f"{base}/{OPENAPI}", self._openapi),
            web.post(REGISTRATIONS, self._register),
            web.get(f"{REGISTRATIONS}/{{digest}}", self._became),
            web.get(f"{base}/handed-in", self._handed_in),
            web.get(f"{base}/records", self._some),
            web.get(f"{base}/records/{{{CODE}}}", self._one),
            web.get(f"{base}/history/{{{CODE}}}", self._history),
            web.get(f"{base}/proof/{{{CODE}}}", self._prove),
            web.get(f"{base}/statements/{{digest}}", self._statement),
            web.get(f"{base}/services", self._services),
            web.post(f"{base}/services", self._give_service),
            web.get(f"{base}/blocks", self._blocks),
            web.post(f"{base}/blocks", self._allot),
        ]

    def lookups(self) -> list[web.RouteDef]:
        """Return what boxes may ask through the origin, and nothing else."""
        return [web.get(f"/registry/lookup/{{{CODE}}}", self._lookup)]

    async def _standing(self, request: web.Request) -> web.Response:
        registry, head = self._registry, self._publication.head
        snapshot = self._publication.snapshot
        told = {
            "registry": registry.name,
            "key": registry.ledger.verifier,
            "size": registry.ledger.size,
            "records": registry.standing.records,
            "published": head.size if head else 0,
            "made": head.made.isoformat() if head else None,
            "snapshot": snapshot.size if snapshot else None,
        }
        return web.json_response(told)

    async def _openapi(self, request: web.Request) -> web.Response:
        text = (resources.files("provisioning.registry") / OPENAPI).read_text()
        return web.Response(text=text, content_type="application/json", charset="utf-8")

    async def _register(self, request: web.Request) -> web.Response:
        now = datetime.now(UTC)
        mode, dry = _word(request.query, "mode", ("all", "good")), _word(request.query, "dry", ("0", "1")) == "1"
        try:
            data = await _body(request, LARGEST)
            with _from_outside():
                registration = await asyncio.to_thread(parse_registration, data)
            done = await self._registry.register(registration, now, mode="good" if mode == "good" else "all", dry=dry)
        except RegistrationRefused as error:
            return _refused(error)
        if not dry:
            await self._publication.publish(now)
        return web.json_response(_done(done))

    async def _became(self, request: web.Request) -> web.Response:
        found = await self._registry.became(_digest(request))
        if found is None:
            raise Refused("unknown-statement", "nothing of this statement is in the log", 404)
        return web.json_response(_done(found))

    async def _handed_in(self, request: web.Request) -> web.Response:
        most = max(1, min(MOST, _number(request.query.get("limit"), 100)))
        async with self._registry.begin() as connection:
            return web.json_response(await rows.handed_in(connection, request.query.get("box"), most))

    async def _some(self, request: web.Request) -> web.Response:
        most = _number(request.query.get("limit"), 100)
        records = await self._registry.some(request.query.get("after", "")[:LONGEST_AFTER], max(1, min(MOST, most)))
        return web.json_response([_told(record.dump()) for record in records])

    async def _one(self, request: web.Request) -> web.Response:
        code = parse(request.match_info["code"])
        known = await self._registry.get(code)
        if known is None:
            raise Refused("unknown-code", f"{code} is not registered", 404)
        return web.json_response(_told(known.dump) | {"number": known.number})

    async def _history(self, request: web.Request) -> web.Response:
        code = parse(request.match_info["code"])
        changes = await self._asking.history(code, datetime.now(UTC))
        if not changes:
            raise Refused("unknown-code", f"{code} is not registered", 404)
        told = [{"number": number} | _told(change.dump()) for number, change in changes]
        return web.json_response({"code": code.canonical, "changes": told})

    async def _prove(self, request: web.Request) -> web.Response:
        now = datetime.now(UTC)
        code, on = parse(request.match_info["code"]), _moment(request.query.get("on"), now)
        if on > now:
            raise Refused("bad-request", f"{on.isoformat()} is not yet", 400)
        proof = await self._asking.prove(code, on, now)
        return web.Response(body=proof.dump(), content_type="application/json", charset="utf-8")

    async def _statement(self, request: web.Request) -> web.Response:
        try:
            data = await asyncio.to_thread(self._registry.ledger.statement, _digest(request))
        except Corrupt as error:
            raise Refused("unknown-statement", "nothing of this statement is in the log", 404) from error
        return web.Response(body=data, content_type="application/json", charset="utf-8")

    async def _services(self, request: web.Request) -> web.Response:
        services = self._registry.services
        return web.json_response({code: vars(service) for code, service in services.items()})

    async def _give_service(self, request: web.Request) -> web.Response:
        now = datetime.now(UTC)
        data = await _body(request, LONGEST_ORDER)
        with _from_outside():
            code, service = await self._delegating.service(data, now)
        await self._publication.publish(now)
        return web.json_response({"service": code} | vars(service))

    async def _blocks(self, request: web.Request) -> web.Response:
        box = request.query.get("box")
        return web.json_response([vars(block) for block in self._registry.blocks if box in (None, block.box)])

    async def _allot(self, request: web.Request) -> web.Response:
        now = datetime.now(UTC)
        data = await _body(request, LONGEST_ORDER)
        with _from_outside():
            block = await self._delegating.block(data, now)
        await self._publication.publish(now)
        return web.json_response(vars(block))

    async def _lookup(self, request: web.Request) -> web.Response:
        code = parse(looked_up(request.match_info["code"]))
        found = await self._asking.lookup(code, datetime.now(UTC))
        return web.json_response(found.model_dump(mode="json"), headers={"Cache-Control": "no-cache"})


def lookup_application(api: Api) -> web.Application:
    """Return what the origin's nginx may ask over the registry's own socket."""
    app = http.application()
    app.add_routes(api.lookups())
    return app


@contextlib.contextmanager
def _from_outside() -> Iterator[None]:
    """Answer 400 where what was sent is not what it should be: it is none of our own data that is damaged."""
    try:
        yield
    except Corrupt as error:
        raise Refused("bad-request", str(error), 400) from error


def _digest(request: web.Request) -> str:
    digest = request.match_info["digest"]
    if not _DIGEST.fullmatch(digest):
        raise Refused("unknown-statement", "a statement is named by the SHA-256 of its envelope, in hex", 404)
    return digest


async def _body(request: web.Request, largest: int) -> bytes:
    """Return the request's body, which may be longer than those of the controller's other requests."""
    data = bytearray()
    async for chunk in request.content.iter_any():
        data += chunk
        if len(data) > largest:
            raise Refused("too-large", f"this request has at most {largest} bytes", 413)
    return bytes(data)


def _word(query: Mapping[str, str], name: str, words: tuple[str, ...]) -> str:
    found = query.get(name, words[0])
    if found not in words:
        raise Refused("bad-request", f"'{name}' is one of {', '.join(words)}", 400)
    return found


def _number(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise Refused("bad-request", "'limit' is a number", 400)
    return int(text)


def _moment(text: str | None, now: datetime) -> datetime:
    """Return the moment written as a time with its zone, or as a day, of which the end (UTC) is meant."""
    if text is None:
        return now
    try:
        if len(text) == 10:  # 2026-10-01
            return min(now, datetime.fromisoformat(f"{text}T23:59:59.999999+00:00"))
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused("bad-request", "'on' is a day or a time with its zone (RFC 3339)", 400) from error
    if found.tzinfo is None:
        raise Refused("bad-request", "'on' lacks its zone, such as +08:00 or Z", 400)
    return found


def _done(done: Registered) -> dict[str, Any]:
    return {
        "statement": done.statement,
        "changed": done.changed,
        "unchanged": done.unchanged,
        "first": done.first,
        "again": done.again,
        "faults": _faults(done.faults),
    }


def _faults(faults: tuple[Wrong, ...]) -> list[dict[str, Any]]:
    return [{"index": w.index, "path": w.path, "reason": w.reason, "message": w.message} for w in faults]


def _refused(error: RegistrationRefused) -> web.Response:
    told = {"reason": error.reason, "error": str(error), "faults": _faults(error.faults)}
    return web.json_response(told, status=error.status)


def _told(dump: bytes) -> dict[str, Any]:
    return dict(json.loads(dump))
