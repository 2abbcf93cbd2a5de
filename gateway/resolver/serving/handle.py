"""``GET /api/handles/PREFIX/SUFFIX``: answers as a Handle proxy gives them."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from aiohttp import web

from appliance.runtime.errors import Corrupt, Unreachable
from gateway.resolver.answer import caching
from gateway.resolver.answer.as_handle import ERROR, INVALID, MOST_ASKED, Answer, as_handle, failure
from gateway.resolver.answer.outcome import Source, outcome
from gateway.resolver.codes import SCHEMES, Code, WrongCode, parse
from gateway.resolver.serving.resolver import Resolver


class Handles:
    """The Handle answers of one zone's resolver."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def get(self, request: web.Request) -> web.Response:
        """Answer ``GET /api/handles/PREFIX/SUFFIX``; a scheme's name is the prefix of codes that are no handles: ``isli/9999...``."""
        handle = f"{request.match_info['prefix']}/{request.match_info['suffix']}"
        types, given = request.query.getall("type", []), request.query.getall("index", [])
        try:
            code = parse_handle(handle)
        except WrongCode as error:
            self._resolver.numbers.answered("none", error.reason)
            return _response(failure(handle, INVALID, str(error)), 0, None)
        if len(types) + len(given) > MOST_ASKED or not all(
            one.isascii() and one.isdigit() and len(one) < 10 for one in given
        ):
            return _response(
                failure(handle, INVALID, f"'index' is a number; {MOST_ASKED} types and indices at most"), 0, None
            )
        try:
            known, source = await self._resolver.find(code)
        except (Corrupt, Unreachable) as error:
            self._resolver.numbers.answered(code.scheme, "corrupt" if isinstance(error, Corrupt) else "unreachable")
            return _response(failure(handle, ERROR, str(error)), 0, None)
        found = outcome(code, known, source, self._resolver.here, "json", datetime.now(UTC))
        hidden, _ = self._resolver.beside([link["target"] for link in known.links] if known else [])
        answer = as_handle(handle, code, found, source, self._resolver.here, hidden, types, [int(one) for one in given])
        self._resolver.numbers.answered(code.scheme, f"handle-{answer.body['responseCode']}")
        return _response(answer, known.ttl if known and answer.status == 200 else 0, source)


def parse_handle(handle: str) -> Code:
    """Return the code that ``handle`` is.

    Raises:
        WrongCode: it is none.
    """
    prefix, _, suffix = handle.partition("/")
    if prefix.lower() in SCHEMES:
        return parse(f"{prefix}:{suffix}")
    return parse(f"hdl:{handle}")


def _response(answer: Answer, ttl: int, source: Source | None) -> web.Response:
    body = json.dumps(answer.body, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    headers = {"Content-Type": "application/json", "Cache-Control": caching.cache_control(answer.status, ttl)}
    if answer.status == 200:
        headers["ETag"] = caching.etag(body)
    if source is not None:
        now = datetime.now(UTC)
        headers["Headgate-Table"] = source.label
        if source.stale(now):
            headers["Headgate-Stale"] = "true"
            headers["Age"] = str(int(source.age(now)))
    return web.Response(status=answer.status, body=body, headers=headers)
