"""``/identifiers`` as pages, and the same below ``/api`` as JSON: look a code up, see its links, its history and its proof."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web

from appliance.runtime import languages
from appliance.runtime.errors import Refused
from appliance.runtime.languages import Language
from gateway.resolver.codes import WrongCode, parse
from monitoring import identifier_pages, pages
from provisioning.controller.orders_web import number
from provisioning.registry.looking import DEEPEST, Looking

LONGEST = 1024  # characters of what is looked up


EMPTY: dict[str, Any] = {
    "asked": "", "records": 0, "size": 0, "links": 0, "behind": 0, "made": None, "schemes": [], "changes": [],
}  # fmt: skip


def without() -> list[web.RouteDef]:
    """Return the routes of a controller that keeps no registry: the place in the navigation is there, and empty."""

    async def some(request: web.Request) -> web.Response:
        return _page("identifiers", EMPTY, request)

    return [web.get("/identifiers", some)]


def routes(looking: Looking) -> list[web.RouteDef]:
    """Return the routes."""

    async def some(request: web.Request) -> web.Response:
        asked = request.query.get("q", "").replace("\0", "").strip()[:LONGEST]
        if asked:
            try:
                path = quote(parse(asked).canonical, safe=":/")
            except WrongCode:
                return _page("identifier", await looking.one(asked, 1, datetime.now(UTC)), request, 400)
            where = f"{identifier_pages.PLACE}/{path}?{urlencode({'lang': _language(request)})}"
            return web.Response(status=303, headers={"Location": where})
        return _page("identifiers", await looking.overview() | {"asked": ""}, request)

    async def one(request: web.Request) -> web.Response:
        told = await _one(request)
        return _page("identifier", told, request, _status(told))

    async def api_some(_: web.Request) -> web.Response:
        return web.json_response(await looking.overview())

    async def api_one(request: web.Request) -> web.Response:
        told = await _one(request)
        return web.json_response(told, status=_status(told))

    async def _one(request: web.Request) -> dict[str, Any]:
        depth = number(request, "depth", 1)
        if not 1 <= depth <= DEEPEST:
            raise Refused("bad-request", f"'depth' is 1 to {DEEPEST}", 400)
        return await looking.one(request.match_info["code"].replace("\0", "")[: LONGEST + 1], depth, datetime.now(UTC))

    return [
        web.get("/identifiers", some),
        web.get("/identifiers/{code:.+}", one),
        web.get("/api/identifiers", api_some),
        web.get("/api/identifiers/{code:.+}", api_one),
    ]


def _status(told: dict[str, Any]) -> int:
    if told["fault"]:
        return 400
    return 200 if told["record"] or told["graph"] else 404


def _language(request: web.Request) -> Language:
    return languages.language(request.query.get("lang"), request.headers.get("Accept-Language", ""))


def _page(name: str, told: dict[str, Any], request: web.Request, status: int = 200) -> web.Response:
    query = request.query
    html = identifier_pages.render(
        name, told, _language(request), path=request.path, query=query, live=query.get("part") == "live"
    )
    return web.Response(text=html, status=status, content_type="text/html", charset="utf-8", headers=pages.HEADERS)
