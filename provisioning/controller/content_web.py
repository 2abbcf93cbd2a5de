"""``/releases``, ``/bodies``, ``/orders``, ``/quarantine`` as pages, and the same below ``/api`` as JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from appliance.runtime import languages
from appliance.runtime.errors import Refused
from monitoring import content_pages, pages
from provisioning.controller import content_views, usage_web
from provisioning.controller.hub import Hub
from provisioning.controller.orders_web import number, serial_of, standing

LONGEST_QUERY = 200  # characters
MOST = 1000  # entries of one answer
ON_PAGE = 50  # entries of a page

Look = Callable[[web.Request], Awaitable[dict[str, Any]]]


def routes(hub: Hub) -> list[web.RouteDef]:
    """Return the routes."""
    store = hub.store

    async def releases(request: web.Request) -> dict[str, Any]:
        wanted = content_views.Wanted(
            *(request.query.get(name, "").replace("\0", "")[:LONGEST_QUERY] for name in ("q", "state", "body", "label"))
        )
        if wanted.state and wanted.state not in content_views.STATES:
            raise Refused("bad-request", f"'state' is one of {', '.join(content_views.STATES)}", 400)
        limit = max(1, min(MOST, number(request, "limit", content_views.PAGE)))
        page, fleet = number(request, "page", 1), len(hub.boxes)
        return await content_views.some(store, wanted, page=page, limit=limit, fleet=fleet)

    async def release(request: web.Request) -> dict[str, Any]:
        told = await content_views.one(store, request.match_info["code"].removeprefix("isli:").replace("\0", "")[:256])
        if told is None:
            raise Refused("unknown-release", "neither the origin nor a box ever told of this release", 404)
        return told

    async def body(request: web.Request) -> dict[str, Any]:
        told = await content_views.body(store, request.match_info["body"].replace("\0", "")[:64])
        if told is None:
            raise Refused("unknown-body", "no release of this body is known", 404)
        return told

    async def quarantine(request: web.Request) -> dict[str, Any]:
        before = number(request, "before", 0) if "before" in request.query else None
        limit = max(1, min(MOST, number(request, "limit", ON_PAGE)))
        return await content_views.quarantine(store, request.query.get("box"), before, limit)

    async def orders(request: web.Request) -> dict[str, Any]:
        before = number(request, "before", 0) if "before" in request.query else None
        found = await hub.orders.some(before, ON_PAGE + 1)
        more = found[ON_PAGE - 1]["serial"] if len(found) > ON_PAGE else None
        return {"orders": found[:ON_PAGE], "next": more, "boxes": len(hub.boxes)}

    async def order(request: web.Request) -> dict[str, Any]:
        return await standing(hub, serial_of(request))

    def api(look: Look) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            return web.json_response(await look(request))

        return answer

    def page(name: str, look: Look) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            query = request.query
            language = languages.language(query.get("lang"), request.headers.get("Accept-Language", ""))
            html = content_pages.render(
                name, await look(request), language, path=request.path, query=query, live=query.get("part") == "live"
            )
            return web.Response(text=html, content_type="text/html", charset="utf-8", headers=pages.HEADERS)

        return answer

    looks = {"/releases": releases, "/releases/{code}": release, "/bodies/{body}": body, "/quarantine": quarantine}
    names = ("releases", "release", "body", "quarantine")
    return [
        *usage_web.routes(store),
        *(web.get(f"/api{path}", api(look)) for path, look in looks.items()),
        *(web.get(path, page(name, look)) for name, (path, look) in zip(names, looks.items(), strict=True)),
        web.get("/orders", page("orders", orders)),
        web.get("/orders/{serial}", page("order", order)),
    ]
