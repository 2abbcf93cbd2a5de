"""The registry's HTTP side, for the controller to mount."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from appliance.runtime.errors import Refused
from gateway.resolver.codes import parse
from gateway.resolver.records import Record, faults
from provisioning.registry.registry import RegistrationRefused, Registry, Wrong

MOST = 1000  # records of one request
LONGEST_REASON = 400  # characters


def routes(registry: Registry) -> list[web.RouteDef]:
    """Return ``/api/identifiers``: POST registers (one record or a list), GET tells, DELETE withdraws; each change is published at once."""

    async def register(request: web.Request) -> web.Response:
        now = datetime.now(UTC)
        try:
            done = await registry.register(parse_records(await request.read()), now)
        except RegistrationRefused as error:
            return _refused(error)
        table = await registry.publish(now)
        return web.json_response({"changed": done.changed, "unchanged": done.unchanged, "serial": table.serial})

    async def some(request: web.Request) -> web.Response:
        try:
            most = max(1, min(MOST, int(request.query.get("limit", "100"))))
        except ValueError as error:
            raise Refused("bad-request", "'limit' is a number", 400) from error
        records = await registry.some(request.query.get("after", "")[:600], most)
        return web.json_response([_told(record) for record in records])

    async def one(request: web.Request) -> web.Response:
        code = parse(request.match_info["code"])
        record = await registry.get(code)
        if record is None:
            raise Refused("unknown-code", f"{code} is not registered", 404)
        return web.json_response(_told(record))

    async def withdraw(request: web.Request) -> web.Response:
        code, reason = parse(request.match_info["code"]), request.query.get("reason", "")
        if not reason or len(reason) > LONGEST_REASON or not reason.isprintable():
            raise Refused("bad-request", f"say why, in at most {LONGEST_REASON} characters: ?reason=...", 400)
        now = datetime.now(UTC)
        record = await registry.withdraw(code, reason, now)
        table = await registry.publish(now)
        return web.json_response(_told(record) | {"serial": table.serial})

    return [
        web.post("/api/identifiers", register),
        web.get("/api/identifiers", some),
        web.get("/api/identifiers/{code:.+}", one),
        web.delete("/api/identifiers/{code:.+}", withdraw),
    ]


def parse_records(body: bytes) -> list[Record]:
    """Return the records of a request's ``body``: one, or a list.

    Raises:
        RegistrationRefused: with every fault of every record (``bad-request``).
    """
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RegistrationRefused([Wrong(0, "", "bad-request", "the body is not JSON")]) from error
    items = told if isinstance(told, list) else [told]
    if not 1 <= len(items) <= MOST:
        raise RegistrationRefused([Wrong(0, "", "bad-request", f"1 to {MOST} records at once, here are {len(items)}")])
    records, found = [], []
    for index, item in enumerate(items):
        try:
            records.append(Record.model_validate_json(json.dumps(item)))
        except ValidationError as error:
            for path, message in faults(error):
                sentence = f"{path}: {message}" if path else message
                found.append(Wrong(index, path, "bad-request", sentence))
    if found:
        raise RegistrationRefused(found)
    return records


def _refused(error: RegistrationRefused) -> web.Response:
    wrong = [{"index": w.index, "path": w.path, "reason": w.reason, "message": w.message} for w in error.faults[:MOST]]
    return web.json_response({"reason": error.reason, "error": str(error), "faults": wrong}, status=error.status)


def _told(record: Record) -> dict[str, Any]:
    return record.model_dump(mode="json", exclude_none=True)
