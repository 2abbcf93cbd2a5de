"""``GET /id/CODE/links``: what a code is linked to (关联), forward and backward, some links away."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import urlencode

from aiohttp import web

from appliance.runtime.errors import Refused
from gateway.resolver.answer import caching
from gateway.resolver.answer.as_json import address
from gateway.resolver.answer.known import Known
from gateway.resolver.answer.outcome import Document, Gone, Hidden, NotFound, outcome
from gateway.resolver.codes import WrongCode, parse
from gateway.resolver.serving.identifier import asked
from gateway.resolver.serving.resolver import Resolver
from gateway.resolver.vocabulary import types_of
from gateway.resolver.walk_formats import JSON_LD, LINKSET, as_graph, as_json_ld, as_linkset
from gateway.resolver.walks import Asked, Direction, LinksOf, Node, Walk, walk

LONGEST_AFTER = 300  # bytes of what says where to go on: a type and a code


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
        try:
            code = parse(request.match_info["code"])
        except WrongCode as error:
            self._resolver.numbers.answered("none", error.reason)
            return web.json_response(self._resolver.told(error), status=400)
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
        self._resolver.numbers.answered(code.scheme, word)
        after = request.query.get("after")
        if after is None:
            reached, more = walk(found.known.code, self._links_of(found.known), walked, self._resolver.seen), ""
        else:
            reached, more = self._page(found.known.code, walked, after)
        kind, body = self._form(reached, found.known, what.form)
        tag = caching.etag(body)
        headers = {
            "Content-Type": kind,
            "ETag": tag,
            "Cache-Control": caching.cache_control(200, found.known.ttl),
            "Vary": caching.VARY,
        }
        if more:
            query = [(name, text) for name, text in request.query.items() if name != "after"]
            headers["Link"] = f'<?{urlencode([*query, ("after", more)])}>; rel="next"'
        if what.has(tag):
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, headers=headers)

    def _page(self, code: str, walked: Asked, after: str) -> tuple[Walk, str]:
        """Return the next links to ``code`` behind ``after``, and where to go on; a code of many links is told page by page."""
        if walked.direction != "backward" or walked.depth != 1:
            raise Refused("bad-request", "'after' goes with direction=backward and depth 1", 400)
        if len(after.encode(errors="replace")) > LONGEST_AFTER:
            raise Refused("bad-request", "'after' is none that an answer told", 400)
        page = self._resolver.finder.table.backward(code, after, walked.breadth, walked.types)
        seen = self._resolver.seen({edge.source for edge in page.edges})
        edges = tuple(edge for edge in page.edges if edge.source in seen)
        nodes = (Node(code, 0), *(Node(source, 1) for source in dict.fromkeys(edge.source for edge in edges)))
        return Walk(code, nodes, edges, whole=not page.after), page.after

    def _links_of(self, start: Known) -> LinksOf:
        """Return what tells links: those of the start by its record, which the table lacks where it waits or is outside of it."""

        def links_of(code: str, direction: Direction) -> Iterable[tuple[str, str]]:
            if code == start.code and direction == "forward":
                return [(link["type"], link["target"]) for link in start.links]
            return self._resolver.finder.table.links_of(code, direction)

        return links_of

    def _form(self, walk: Walk, start: Known, form: str) -> tuple[str, bytes]:
        codes = [node.code for node in walk.nodes]
        _, about = self._resolver.beside(codes)
        about[start.code] = {"title": start.title, "body": start.body, "status": start.status}
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
