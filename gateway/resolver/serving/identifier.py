"""``GET /id/CODE``: a redirect for a player, JSON, linkset or JSON-LD for a program, a page for a person."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import assert_never

from aiohttp import web
from aiohttp.http_parser import RawRequestMessage

from appliance.runtime import quick
from appliance.runtime.errors import HeadgateError, Refused, Unreachable
from gateway.resolver.answer import as_page, caching
from gateway.resolver.answer.as_json import about, address, as_json, spliced
from gateway.resolver.answer.as_linkset import as_linkset
from gateway.resolver.answer.form import NAMED, Form, wanted
from gateway.resolver.answer.outcome import Document, Gone, Hidden, Moved, NoTable, NotFound, Redirect, Source, outcome
from gateway.resolver.answer.raw import on_the_box, plain, targets_of, ttl_of
from gateway.resolver.codes import LONGEST, Code, WrongCode, parse
from gateway.resolver.serving.resolver import Resolver
from gateway.resolver.walk_formats import JSON_LD, LINKSET, as_json_ld
from gateway.resolver.walks import Edge

_ONE = re.compile(r"/id/([^?%/#\u0080-\U0010ffff]+)").fullmatch  # nothing in it is quoted, and it asks no more
# The answers are public in the zone: pages of any origin may ask.
OPEN = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "ETag, Link, Age, Headgate-Stale, Headgate-Table",
}
SCREENS = ("big", "small")
NOTHING: Mapping[str, str] = {}
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(?::\d{1,5})?|\[[0-9a-fA-F:]{2,45}\](?::\d{1,5})?")


@dataclass(frozen=True)
class Asked:
    """What a request says besides the code."""

    form: Form
    screen: str | None
    headers: Mapping[str, str]

    @property
    def host(self) -> str | None:
        """How the asker reached us, such as ``http://10.20.0.11:8080``."""
        host = self.headers.get("Host", "")
        return f"http://{host}" if _HOST.fullmatch(host) else None

    def has(self, tag: str) -> bool:
        """Return whether the asker has the representation ``tag`` already."""
        sent = self.headers.get("If-None-Match")
        return sent is not None and caching.matches(sent, tag)


def asked(request: web.Request) -> Asked:
    """Return what ``request`` asks for.

    Raises:
        Refused: ``bad-request``: its query is wrong.
    """
    form = screen = None
    if request.query_string:
        form, screen = request.query.get("format"), request.query.get("screen")
        if form is not None and form not in NAMED:
            raise Refused("bad-request", f"'format' is {', '.join(NAMED)}", 400)
        if screen is not None and screen not in SCREENS:
            raise Refused("bad-request", "'screen' is big or small", 400)
    headers = request.headers
    return Asked(wanted(headers.get("Accept", "*/*"), form), screen, headers)


class Identifier:
    """The answers of one zone's resolver about single codes."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._source: Source | None = None  # the one that was last told of, and how
        self._table = b""
        self._renewed = False  # since the loop looked at its sockets

    async def get(self, request: web.Request) -> web.Response:
        """Answer ``GET /id/CODE``."""
        text = request.match_info["code"]
        if "?" not in request.raw_path:
            form = wanted(request.headers.get("Accept", "*/*"), None)
            if form in ("player", "json") and (answer := self._quick(text, form, request.headers)) is not None:
                status, headers, body = answer
                return web.Response(status=status, headers=headers, body=body)
        what = asked(request)
        try:
            code = parse(text)
        except WrongCode as error:
            self._resolver.numbers.answered("none", error.reason)
            return _finished(self._wrong(error, what), 0, None, None)
        try:
            known, source = await self._resolver.find(code)
        except Unreachable as error:
            self._resolver.numbers.answered(code.scheme, "unreachable")
            return _finished(_told(504, "unreachable", str(error), what, "", code), 0, None, None)
        now = datetime.now(UTC)
        found = outcome(code, known, source, self._resolver.here, what.form, now, what.screen)
        response, word, ttl = self._tell(code, found, source, what, now)
        self._resolver.numbers.answered(code.scheme, word)
        return _finished(response, ttl, source, now)

    def at_once(self, message: RawRequestMessage, transport: asyncio.Transport) -> bool:
        """Answer a plain question about one code the moment it is read (``appliance/runtime/quick.py``)."""
        asked = _ONE(message.path)
        if asked is None:
            return False
        headers = message.headers
        form = wanted(headers.get("Accept", "*/*"), None)
        if form not in ("player", "json") or "If-None-Match" in headers or "Expect" in headers:
            return False
        try:
            answer = self._quick(asked[1], form, headers)
        except HeadgateError:
            return False  # the long way tells what is wrong
        if answer is None:
            return False
        status, told, body = answer
        transport.write(quick.written(status, HTTPStatus(status).phrase, told, body or b""))
        return True

    def _quick(
        self, text: str, form: Form, asked: Mapping[str, str]
    ) -> tuple[int, dict[str, str], bytes | None] | None:
        """Return the answer to a player or a program about a canonical code whose record names one copy, on the box; None for others.

        Nearly all that is asked for, without reading code or record: a key of the table is a canonical code.
        """
        finder, delivery = self._resolver.finder, self._resolver.here.delivery
        if delivery is None or not 0 < len(text) <= LONGEST or not text.isascii():
            return None
        if (
            not self._renewed
        ):  # once for all requests that are there already: what changes the table later, none of them knows of
            self._renewed = True
            finder.renew()
            asyncio.get_running_loop().call_soon(self._looked)
        raw, source = finder.settled(text), finder.source()
        if raw is None or source is None or time.time() > source.until or not plain(raw):
            return None
        path = on_the_box(raw)
        if path is None:
            return None
        headers = {
            **OPEN,
            "Cache-Control": caching.cache_control(200, ttl_of(raw)),
            "Vary": caching.VARY,
            "Headgate-Table": source.label,
        }
        if form == "player":
            headers["Location"] = f"{delivery}/r/{path.decode()}"
            self._resolver.numbers.answered(text[: text.index(":")], "redirect")
            return 302, headers, None
        targets = targets_of(raw)
        if targets is None or not finder.plain(targets):
            return None
        self._resolver.numbers.answered(text[: text.index(":")], "document")
        headers["ETag"] = tag = caching.etag(raw, delivery)
        headers["Link"] = _linkset(text)
        sent = asked.get("If-None-Match")
        if sent is not None and caching.matches(sent, tag):
            return 304, headers, None
        headers["Content-Type"] = "application/json"
        return 200, headers, spliced(text, raw, path, delivery, self._told_of(source))

    def _looked(self) -> None:
        self._renewed = False

    def _told_of(self, source: Source) -> bytes:
        """Return what answers say of a source that is not stale."""
        if self._source is not source:
            self._source = source
            self._table = json.dumps(about(source, source.made), separators=(",", ":")).encode()
        return self._table

    def _tell(
        self, code: Code, found: object, source: Source | None, what: Asked, now: datetime
    ) -> tuple[web.Response, str, int]:
        """Return the answer, the word for the metric and the seconds for which the record lives."""
        match found:
            case Redirect(location, known):
                return web.Response(status=302, headers={"Location": location}), "redirect", known.ttl
            case Moved(successor, known):
                headers = {"Location": address(successor), "Link": _links(code, successor)}
                return web.Response(status=301, headers=headers), "superseded", known.ttl
            case Document():
                return self._document(code, found, source, what, now), "document", found.known.ttl
            case Gone(sentence, known):
                return _told(410, "withdrawn", sentence, what, known.title, code), "withdrawn", known.ttl
            case Hidden(reason, sentence):
                return _told(403, reason, sentence, what, "", code), reason, 0
            case NotFound(reason, sentence):
                return _told(404, reason, sentence, what, "", code), reason, 0
            case NoTable(sentence):
                return _told(503, "no-table", sentence, what, "", code), "no-table", 0
            case _:
                assert_never(found)  # type: ignore[arg-type]

    def _document(self, code: Code, found: Document, source: Source | None, what: Asked, now: datetime) -> web.Response:
        if source is None:
            raise TypeError("a document has a source")
        known, here = found.known, self._resolver.here
        targets = [link["target"] for link in known.links]
        titles = what.form != "json"
        hidden, beside = self._resolver.beside(targets, titles=titles) if targets else (set[str](), {})
        host = what.host if what.form == "html" else None
        made_of = (
            what.form,
            code.canonical,
            here.delivery,
            what.screen,
            sorted(hidden),
            about,
            source.stale(now),
            host,
        )
        tag = caching.etag(known.raw, made_of)
        headers = {"ETag": tag, "Link": _links(code, known.successor)}
        if what.has(tag):
            return web.Response(status=304, headers=headers)
        match what.form:
            case "html":
                page = as_page.of_document(code, found, source, now, hidden, beside, host)
                return _page(200, page, headers)
            case "linkset":
                return _json(as_linkset(code, found, hidden, beside), headers, LINKSET)
            case "ld":
                edges = [
                    Edge(code.canonical, link["type"], link["target"])
                    for link in known.links
                    if link["target"] not in hidden
                ]
                told = {code.canonical: {"title": known.title, "body": known.body}, **beside}
                return _json(as_json_ld(edges, told, address, told), headers, JSON_LD)
            case _:
                return _json(as_json(code, found, source, now, hidden), headers)

    def _wrong(self, error: WrongCode, what: Asked) -> web.Response:
        if what.form == "html":
            return _page(400, as_page.of_failure(error.reason, str(error), likely=self._resolver.likely(error)))
        return _json(self._resolver.told(error), {}, status=400)


def _links(code: Code, successor: str | None) -> str:
    here = _linkset(code.canonical)
    return f'{here}, <{address(successor)}>; rel="successor-version"' if successor else here


def _linkset(code: str) -> str:
    return f'<{address(code)}?format=linkset>; rel="linkset"; type="{LINKSET}"'


def _told(status: int, reason: str, sentence: str, what: Asked, title: str, code: Code) -> web.Response:
    if what.form == "html":
        return _page(status, as_page.of_failure(reason, sentence, title, code=code))
    return _json({"reason": reason, "error": sentence}, {}, status=status)


def _json(told: object, headers: Mapping[str, str], kind: str = "application/json", status: int = 200) -> web.Response:
    body = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    return web.Response(status=status, body=body, headers={**headers, "Content-Type": kind})


def _page(status: int, page: as_page.Page, headers: Mapping[str, str] = NOTHING) -> web.Response:
    told = {**headers, "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": as_page.POLICY}
    return web.Response(status=status, body=str(page).encode(errors="replace"), headers=told)


def _finished(response: web.Response, ttl: int, source: Source | None, now: datetime | None) -> web.Response:
    headers = response.headers
    headers["Cache-Control"] = caching.cache_control(response.status, ttl)
    headers["Vary"] = caching.VARY
    if source is not None and now is not None:
        headers["Headgate-Table"] = source.label
        if source.stale(now):
            _stale(response, source, now)
    return response


def _stale(response: web.Response, source: Source, now: datetime) -> None:
    response.headers["Headgate-Stale"] = "true"
    response.headers["Age"] = str(int(source.age(now)))
