"""``/boxes/SITE``: what the screens of a box have, as a page and below ``/api`` as JSON; and the dashboard for Grafana."""

from __future__ import annotations

import time
from importlib import resources
from typing import Any

from aiohttp import web

from appliance.runtime import languages
from appliance.runtime.errors import Refused
from monitoring import box_pages, pages
from monitoring.delivery import PERIODS
from monitoring.fleet import Box
from provisioning.controller.hub import Hub
from provisioning.controller.orders_web import number

DASHBOARD = "delivery.json"


def routes(hub: Hub) -> list[web.RouteDef]:
    """Return the routes."""

    async def look(request: web.Request) -> dict[str, Any]:
        site, hours = request.match_info["site"], number(request, "hours", 1)
        if hours not in PERIODS:
            raise Refused("bad-request", f"'hours' is one of {', '.join(map(str, PERIODS))}", 400)
        if site not in hub.boxes and site not in hub.asked:
            raise Refused("unknown-box", "no box of this name ever reported, and no policy is asked of one", 404)
        return await hub.figures.look(hub.boxes.get(site, Box(site)), hours, time.time())

    async def api(request: web.Request) -> web.Response:
        return web.json_response(await look(request))

    async def page(request: web.Request) -> web.Response:
        query = request.query
        language = languages.language(query.get("lang"), request.headers.get("Accept-Language", ""))
        told = await look(request)
        html = box_pages.render(told, language, query=query, now=time.time(), live=query.get("part") == "live")
        return web.Response(text=html, content_type="text/html", charset="utf-8", headers=pages.HEADERS)

    async def dashboard(_: web.Request) -> web.Response:
        text = resources.files("monitoring").joinpath("dashboards", DASHBOARD).read_text()
        return web.Response(text=text, content_type="application/json", charset="utf-8")

    return [
        web.get("/boxes/{site}", page),
        web.get("/api/boxes/{site}/delivery", api),
        web.get(f"/dashboards/{DASHBOARD}", dashboard),
    ]
