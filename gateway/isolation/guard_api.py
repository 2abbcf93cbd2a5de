"""The guard's API for ``headgate box``, over a Unix socket that root alone may open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiohttp import web

from appliance.runtime import http
from appliance.runtime.errors import Refused
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


def application(guard: Guards, alone: Alone) -> web.Application:
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

    app = http.application(LONGEST_BODY)
    app.add_routes(
        [web.post("/plan", plan), web.post("/apply", apply), web.post("/confirm", confirm), web.get("/status", status)]
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
