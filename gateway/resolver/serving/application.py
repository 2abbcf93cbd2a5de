"""The routes of a resolver, and what every answer of it carries."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from appliance.runtime import http
from appliance.runtime.quick import QUICK
from gateway.resolver.answer.as_batch import LARGEST
from gateway.resolver.serving import openapi
from gateway.resolver.serving.batch import Batches
from gateway.resolver.serving.handle import Handles
from gateway.resolver.serving.identifier import OPEN, Identifier
from gateway.resolver.serving.links import Links
from gateway.resolver.serving.resolver import Resolver

PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Accept, Content-Type, If-None-Match",
    "Access-Control-Max-Age": "86400",
}


def application(resolver: Resolver) -> web.Application:
    """Return the HTTP application of ``resolver``."""
    app = http.application(longest_body=LARGEST)
    health, batches = Health(resolver), Batches(resolver)
    app.router.add_get("/", health.get)
    app.router.add_get("/openapi.json", _document)
    app.router.add_post("/batch", batches.post)
    app.router.add_options("/batch", _preflight)
    identifiers = Identifier(resolver)
    identifier = identifiers.get
    app[QUICK] = identifiers.at_once
    app.router.add_get("/id/{code:[^/]+}", identifier)  # nearly all
    # Line feeds too: whatever is asked, it is we who say that it is no code.
    app.router.add_get("/id/{code:[^/]+}/links", Links(resolver).get)
    app.router.add_get("/id/{code:(?s:.+)}", identifier)
    app.router.add_get("/api/handles/{prefix:[^/]+}/{suffix:(?s:.*)}", Handles(resolver).get)
    app.on_response_prepare.append(_open)
    return app


class Health:
    """Whether identifiers can be resolved here."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def get(self, _: web.Request) -> web.Response:
        """Answer ``GET /``: whether identifiers can be resolved here, and how old the table is."""
        finder = self._resolver.finder
        finder.renew()
        info, source = finder.info(), finder.source()
        told: dict[str, Any] = {
            "site": self._resolver.here.site,
            "zone": self._resolver.zone,
            "serves": "identifiers",
            "table": None,
        }
        if info is not None and source is not None:
            told["table"] = {
                "registry": info.registry,
                "serial": info.serial,
                "made": info.made.isoformat(),
                "count": info.count,
                "stale": source.stale(datetime.now(UTC)),
            }
        return web.json_response(told, status=200 if info else 503, headers={"Cache-Control": "no-store"})


async def _document(_: web.Request) -> web.Response:
    headers = {"Content-Type": "application/json", "Cache-Control": "public, max-age=3600"}
    return web.Response(body=openapi.DOCUMENT, headers=headers)


async def _preflight(_: web.Request) -> web.Response:
    return web.Response(status=204, headers=PREFLIGHT)


async def _open(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(OPEN)
