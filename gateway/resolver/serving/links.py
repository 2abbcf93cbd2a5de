"""``GET /id/CODE/links``: what a code is linked to (关联), forward and backward, some links away."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from aiohttp import web

from appliance.runtime.errors import Refused
from gateway.resolver.answer import caching
from gateway.resolver.answer.as_json import address
from gateway.resolver.answer.outcome import Document, Gone, Hidden, NotFound, outcome
from gateway.resolver.codes import parse
from gateway.resolver.serving.identifier import asked
from gateway.resolver.serving.resolver import Resolver
from gateway.resolver.vocabulary import types_of
from gateway.resolver.walk_formats import JSON_LD, LINKSET, as_graph, as_json_ld, as_linkset
from gateway.resolver.walks import Asked, Walk


class Links:
    """Walks over the links of one zone's table."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def get(self, request: web.Request) -> web.Response:
        """Answer ``GET /id/CODE/links``.

        Raises:
            Refused: the question is wrong, or the code may not be told of here.
        """
        what, walked = asked(request), bounds(request)
        code = parse(request.match_info["code"])
        known, source = await self._resolver.find(code)
        found = outcome(code, known, source, self._resolver.here, "json", datetime.now(UTC))
        match found:
            case Document():
                word = "links"
            case Gone(sentence, _):
                raise Refused("withdrawn", sentence, 410)
            case Hidden(reason, sentence):
                raise Refused(reason, sentence, 403)
            case NotFound(reason, sentence):
                raise Refused(reason, sentence, 404)
            case _:
                raise Refused("no-table", "this box has received no table of identifiers yet", 503)
        walk = self._resolver.finder.table.walk(found.known.code, walked, self._resolver.seen)
        self._resolver.numbers.answered(code.scheme, word)
        kind, body = self._form(walk, what.form)
        tag = caching.etag(body)
        headers = {
            "Content-Type": kind,
            "ETag": tag,
            "Cache-Control": caching.cache_control(200, found.known.ttl),
            "Vary": caching.VARY,
        }
        if what.has(tag):
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, headers=headers)

    def _form(self, walk: Walk, form: str) -> tuple[str, bytes]:
        codes = [node.code for node in walk.nodes]
        _, about = self._resolver.beside(codes)
        match form:
            case "linkset":
                kind, told = LINKSET, as_linkset(walk.edges, address, about)
            case "ld":
                kind, told = JSON_LD, as_json_ld(walk.edges, codes, address, about)
            case _:
                kind, told = "application/json", as_graph(walk, about)
        return kind, json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def bounds(request: web.Request) -> Asked:
    """Return what the query of ``request`` asks of a walk.

    Raises:
        Refused: ``bad-request`` or ``unknown-link-type``.
    """
    query = request.query
    unasked = Asked()
    return Asked(
        depth=_number(query.get("depth"), "depth", unasked.depth),
        breadth=_number(query.get("breadth"), "breadth", unasked.breadth),
        direction=query.get("direction", unasked.direction),  # type: ignore[arg-type]
        types=types_of(query.getall("type", [])),
    )


def _number(text: str | None, name: str, unasked: int) -> int:
    if text is None:
        return unasked
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise Refused("bad-request", f"'{name}' is a number", 400)
    return int(text)
