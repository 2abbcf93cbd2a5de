"""``/api/orders``: give an order, follow its proofs."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from aiohttp import web

from appliance.runtime.errors import Refused
from gateway.release import orders
from provisioning.controller.hub import Hub
from provisioning.controller.orders import MOST

WAIT = 20.0  # seconds that a question waits at most for another proof


def routes(hub: Hub) -> list[web.RouteDef]:
    """Return the routes of orders."""

    async def some(request: web.Request) -> web.Response:
        limit = max(1, min(MOST, number(request, "limit", 100)))
        before = number(request, "before", 0) if "before" in request.query else None
        found = await hub.orders.some(before, limit + 1)
        more = found[limit - 1]["serial"] if len(found) > limit else None
        return web.json_response({"head": hub.orders.head, "orders": found[:limit], "next": more})

    async def following(request: web.Request) -> web.Response:
        await hub.orders.look()
        return web.json_response({"serial": hub.orders.head + 1})

    async def give(request: web.Request) -> web.Response:
        if request.content_length is not None and request.content_length > orders.LONGEST:
            raise Refused("too-large", f"an order's envelope has at most {orders.LONGEST} bytes", 413)
        return web.json_response({"serial": await hub.give_order(await request.read())}, status=201)

    async def one(request: web.Request) -> web.Response:
        serial = serial_of(request)
        told = await standing(hub, serial)
        if "known" in request.query:  # wait for more than so many proofs
            known = number(request, "known", 0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WAIT):
                    while len(told["proofs"]) <= known and told["missing"]:
                        await hub.next_version(hub.version)
                        told = await standing(hub, serial)
        return web.json_response(told)

    async def proof(request: web.Request) -> web.Response:
        serial, box = serial_of(request), request.match_info["box"]
        text = await hub.orders.proof(serial, box)
        if text is None:
            raise Refused("unknown-order", f"there is no proof of order {serial} by '{box[:64]}'", 404)
        return web.Response(text=text, content_type="text/plain", charset="utf-8")

    return [
        web.get("/api/orders", some),
        web.get("/api/orders/next", following),
        web.post("/api/orders", give),
        web.get("/api/orders/{serial}", one),
        web.get("/api/orders/{serial}/proofs/{box}", proof),
    ]


async def standing(hub: Hub, serial: int) -> dict[str, Any]:
    """Return an order with its proofs, the connected boxes that did not prove it yet, and those that are away.

    Raises:
        Refused: there is no such order (``unknown-order``).
    """
    told = await hub.orders.one(serial)
    if told is None:
        raise Refused("unknown-order", f"there is no order {serial}", 404)
    proved = {one["box"] for one in told["proofs"]}
    connected = [site for site in hub.connected() if site not in proved]
    away = sorted(site for site in hub.boxes if site not in proved and site not in connected)
    missing = [{"box": site, "fault": hub.orders.faults.get(site, "")} for site in connected]
    return {**told, "missing": missing, "away": away}


def serial_of(request: web.Request) -> int:
    """Return the serial that the path names.

    Raises:
        Refused: it is none (``unknown-order``).
    """
    text = request.match_info["serial"]
    if not text.isascii() or not text.isdigit() or len(text) > 16:
        raise Refused("unknown-order", "an order goes by its serial, a number", 404)
    return int(text)


def number(request: web.Request, name: str, default: int) -> int:
    """Return a number of the query.

    Raises:
        Refused: it is none (``bad-request``).
    """
    text = request.query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 16:
        raise Refused("bad-request", f"'{name}' is a number", 400)
    return int(text)
