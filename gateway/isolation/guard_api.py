"""The guard's API for ``headgate box``, over a Unix socket that root alone may open."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from aiohttp import web

from appliance.runtime import http
from appliance.runtime.errors import Refused
from gateway.isolation.errands import Errands
from gateway.isolation.reconcile import Action

Alone = Callable[[Callable[[], Any]], Awaitable[Any]]  # runs blocking work, one at a time
LONGEST_BODY = 4 << 10  # bytes


class Guards(Protocol):
    """What the API asks of the guard."""

    def plan(self) -> list[Action]:
        """Return what applying would do."""

    def apply(self, within: float | None = None) -> dict[str, Any]:
        """Apply the policy asked for."""

    def confirm(self) -> dict[str, Any]:
        """Confirm the policy that waits."""

    def status(self) -> dict[str, Any]:
        """Return how things stand."""

    def standing(self) -> dict[str, Any]:
        """Return how the journal stands, and what was denied."""

    def audited(self, result: Mapping[str, Any]) -> None:
        """Write down what an audit found."""


def application(guard: Guards, alone: Alone, errands: Errands) -> web.Application:
    """Return the application."""

    async def plan(_: web.Request) -> web.Response:
        return web.json_response({"actions": [str(action) for action in await alone(guard.plan)]})

    async def apply(request: web.Request) -> web.Response:
        within = await _within(request)
        return web.json_response(await alone(lambda: guard.apply(within)))

    async def confirm(_: web.Request) -> web.Response:
        return web.json_response(await alone(guard.confirm))

    async def status(_: web.Request) -> web.Response:
        return web.json_response(await alone(guard.status))

    async def standing(_: web.Request) -> web.Response:
        return web.json_response(await alone(guard.standing))

    async def errand(request: web.Request) -> web.StreamResponse:
        asked = await _errand(request)
        if asked["kind"] == "audit" and asked["report"] is not None:
            asked["standing"] = await alone(guard.standing)
        async with contextlib.aclosing(errands.run(asked)) as lines:
            first = await anext(lines)  # a refusal comes before the answer has begun
            answer = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
            await answer.prepare(request)
            await answer.write(first)
            async for line in lines:
                if asked["kind"] == "audit" and (result := json.loads(line).get("result")):
                    await alone(functools.partial(guard.audited, result))  # before anybody hears of it
                await answer.write(line)
        return answer

    app = http.application(LONGEST_BODY)
    app.add_routes(
        [
            web.post("/plan", plan),
            web.post("/apply", apply),
            web.post("/confirm", confirm),
            web.get("/status", status),
            web.get("/standing", standing),
            web.post("/errand", errand),
        ]
    )
    return app


async def _within(request: web.Request) -> float | None:
    if not request.can_read_body:
        return None
    try:
        told = await request.json()
        within = told.get("confirm_within")
        return None if within is None else float(within)
    except (ValueError, TypeError, AttributeError) as error:
        raise Refused("bad-request", 'the body is {"confirm_within": seconds} or nothing', 400) from error


async def _errand(request: web.Request) -> dict[str, Any]:
    try:
        told = await request.json()
        policy = str(told["policy"])
        if told["kind"] == "explain":
            ends = {key: str(told[key]) for key in ("from", "to")}
            port = None if told["port"] is None else int(told["port"])
            return {
                "kind": "explain",
                "policy": policy,
                **ends,
                "proto": told["proto"],
                "port": port,
                "allowed": bool(told["allowed"]),
            }
        report = None if told["report"] is None else str(told["report"])
        return {"kind": "audit", "policy": policy, "report": report, "probe": bool(told["probe"])}
    except (ValueError, TypeError, KeyError) as error:
        raise Refused("bad-request", "the body is what gateway/isolation/errand.py takes", 400) from error
