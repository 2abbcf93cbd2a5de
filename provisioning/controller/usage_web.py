"""``/api/usage`` and ``/api/statements/BODY``: what was delivered, as JSON."""

from __future__ import annotations

import datetime as dt

from aiohttp import web

from appliance.runtime.errors import Refused
from provisioning.controller import usage_views
from provisioning.controller.store import Store
from provisioning.controller.usage_views import SORTED_BY, Period

LONGEST = 256  # characters of a word that is asked for


def routes(store: Store) -> list[web.RouteDef]:
    """Return the routes."""

    async def usage(request: web.Request) -> web.Response:
        by = [name for name in request.query.get("by", "body").split(",") if name]
        if not by or len(set(by)) < len(by) or not set(by) <= set(SORTED_BY):
            raise Refused("bad-request", f"'by' is some of {', '.join(SORTED_BY)}", 400)
        only = {name: _word(request.query.get(name, "")) for name in SORTED_BY}
        return web.json_response(await usage_views.show(store, by, _period(request), **only))

    async def statement(request: web.Request) -> web.Response:
        return web.json_response(
            await usage_views.statement(store, _word(request.match_info["body"]), _period(request))
        )

    return [web.get("/api/usage", usage), web.get("/api/statements/{body}", statement)]


def _word(text: str) -> str:
    return text.replace("\0", "")[:LONGEST]


def _period(request: web.Request) -> Period:
    days = [request.query.get(name, "") for name in ("since", "until")]
    for day in days:
        try:
            good = not day or dt.date.fromisoformat(day).isoformat() == day
        except ValueError:
            good = False
        if not good:
            raise Refused("bad-request", "a day is written as in 2026-11-29", 400)
    if all(days) and days[0] > days[1]:
        raise Refused("bad-request", "the period ends before it begins", 400)
    return Period(*days)
