"""HTTP for curators in an institution's network: the page, its forms, and the same as JSON for programs (a bearer token)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from appliance.runtime import http, languages
from appliance.runtime.errors import Refused
from appliance.runtime.languages import Language
from gateway.linking import asking, metrics, page
from gateway.linking.book import Book
from gateway.linking.choosing import Choice
from gateway.linking.desk import LASTS, Desk
from gateway.linking.proposals import State

LONGEST_BODY = 64 << 10  # bytes
ON_PAGE = 25  # links
MOST = 1000  # links of one answer
LAST_PAGE = 100_000
SHOWN = 8  # links of a preview
COOKIE = "headgate-curator"
Answer = TypeVar("Answer")
FILTERS = ("state", "type", "basis", "least", "q")


class Server:
    """What answers."""

    def __init__(self, site: str, book: Book, desk: Desk) -> None:
        self.site, self.desk, self._book = site, desk, book
        self._one = asyncio.Lock()  # one question to the book at a time

    def application(self) -> web.Application:
        """Return it."""
        app = http.application(LONGEST_BODY)
        app.middlewares.append(_counted)
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/", self._list)
        app.router.add_get("/links/{number}", self._show)
        app.router.add_get("/all", self._ask_all)
        app.router.add_post("/all", self._decide_all)
        app.router.add_post("/decide", self._decide)
        app.router.add_post("/enter", self._enter)
        app.router.add_post("/leave", self._leave)
        app.router.add_get("/api/links", self._api_list)
        app.router.add_post("/api/decide", self._api_decide)
        return app

    async def tell(self) -> None:
        """Count what is in the book."""
        for state, count in (await self._ask(self._book.states)).items():
            metrics.LINKS.labels(state).set(count)

    async def _ask(self, call: Callable[[], Answer]) -> Answer:
        async with self._one:
            return await asyncio.to_thread(call)

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"site": self.site, "serves": "links"})

    # -- pages

    async def _list(self, request: web.Request) -> web.Response:
        who = self._who(request)
        if who is None:
            return self._door(request)
        choice, number = asking.choice(request.query), asking.number(request.query.get("page", "1"), 1, LAST_PAGE)

        def look() -> dict[str, Any]:
            condition = choice.condition()
            return {
                "found": self._book.select(*condition, ON_PAGE, (number - 1) * ON_PAGE),
                "count": self._book.count_of(*condition),
                "states": self._book.states(),
                "types": self._book.types(),
                "catalogues": self._book.catalogues(),
            }

        return self._page(request, "list.html", who, choice=choice, page=number, size=ON_PAGE, **await self._ask(look))

    async def _show(self, request: web.Request) -> web.Response:
        who = self._who(request)
        if who is None:
            return self._door(request)
        number = asking.number(request.match_info["number"], 1, 2**53)

        def look() -> dict[str, Any]:
            one = asking.there(self._book.one(number))
            p = one.proposal
            return {"one": one, "source": self._book.entry(p.source), "target": self._book.entry(p.target)}

        return self._page(request, "one.html", who, **await self._ask(look))

    async def _ask_all(self, request: web.Request) -> web.Response:
        who = self._who(request)
        if who is None:
            return self._door(request)
        choice, act = asking.choice(request.query), asking.act(request.query.get("act", ""))

        def look() -> dict[str, Any]:
            condition = choice.condition()
            return {"found": self._book.select(*condition, SHOWN), "count": self._book.count_of(*condition)}

        fields = {name: request.query[name] for name in FILTERS if request.query.get(name)}
        return self._page(request, "all.html", who, act=act, fields=fields, **await self._ask(look))

    def _door(self, request: web.Request, fault: str = "", status: int = 200) -> web.Response:
        return self._page(request, "enter.html", None, status=status, fault=fault)

    def _page(
        self, request: web.Request, template: str, who: str | None, *, status: int = 200, **values: object
    ) -> web.Response:
        lang = _language(request)
        query = {name: value for name, value in request.query.items() if name in (*FILTERS, "page", "act")}
        html = page.render(
            template,
            lang,
            site=self.site,
            who=who,
            here=lambda other: f"{request.path}?{urlencode({**query, 'lang': other})}",
            link=partial(_link, query, lang),
            **values,
        )
        return web.Response(text=html, status=status, content_type="text/html", charset="utf-8", headers=page.HEADERS)

    # -- forms

    async def _enter(self, request: web.Request) -> web.Response:
        _same_origin(request)
        token = str((await request.post()).get("token", ""))
        try:
            cookie = self.desk.enter(token.strip(), time.monotonic())
        except Refused as error:
            metrics.REFUSALS.labels(error.reason).inc()
            return self._door(request, str(error), error.status)
        answer = web.Response(status=303, headers={"Location": f"/?lang={_language(request)}"})
        answer.set_cookie(COOKIE, cookie, max_age=int(LASTS), httponly=True, samesite="Strict", path="/")
        return answer

    async def _leave(self, request: web.Request) -> web.Response:
        _same_origin(request)
        self.desk.leave(request.cookies.get(COOKIE, ""))
        answer = web.Response(status=303, headers={"Location": "/"})
        answer.del_cookie(COOKIE, path="/")
        return answer

    async def _decide(self, request: web.Request) -> web.Response:
        who = self._must(request)
        form = await request.post()
        number = asking.number(str(form.get("number", "")), 1, 2**53)
        await self._change([number], asking.act(str(form.get("act", ""))), who, str(form.get("note", "")))
        if "application/json" in request.headers.get("Accept", ""):
            return web.json_response({"done": 1})
        return web.Response(status=303, headers={"Location": asking.local(str(form.get("back", "/")))})

    async def _decide_all(self, request: web.Request) -> web.Response:
        who = self._must(request)
        form = {name: str(value) for name, value in (await request.post()).items()}
        choice, act, note = asking.choice(form), asking.act(form.get("act", "")), asking.note(form.get("note", ""))
        expected = asking.number(form.get("expected", ""), 0, 2**53)

        def change() -> int:
            condition = choice.condition()
            if (count := self._book.count_of(*condition)) != expected:
                raise Refused("changed", f"these are {count} links by now, not {expected}: look again", 409)
            return self._book.decide(*condition, act, who, asking.now(), note)

        metrics.DECISIONS.labels(act).inc(await self._ask(change))
        return web.Response(
            status=303, headers={"Location": f"/?{urlencode({'state': act, 'lang': _language(request)})}"}
        )

    async def _change(self, numbers: list[int], act: State, who: str, note: str) -> int:
        note = asking.note(note)

        def change() -> int:
            for number in numbers:
                if asking.there(self._book.one(number)).state == "registered":
                    raise Refused("registered", f"link {number} is registered and cannot be decided again", 409)
            return sum(self._book.decide(*Choice(number=n).condition(), act, who, asking.now(), note) for n in numbers)

        done = await self._ask(change)
        metrics.DECISIONS.labels(act).inc(done)
        return done

    # -- programs

    async def _api_list(self, request: web.Request) -> web.Response:
        self._bearer(request)
        choice, query = asking.choice(request.query), request.query
        limit, skip = asking.number(query.get("limit", "100"), 1, MOST), asking.number(query.get("skip", "0"), 0, 2**31)

        def look() -> dict[str, Any]:
            condition = choice.condition()
            found = [asking.told(one) for one in self._book.select(*condition, limit, skip)]
            return {"links": found, "count": self._book.count_of(*condition), "states": self._book.states()}

        return web.json_response(await self._ask(look))

    async def _api_decide(self, request: web.Request) -> web.Response:
        who = self._bearer(request)
        try:
            told = await request.json()
            numbers, act, note = list(told["numbers"]), str(told["act"]), str(told.get("note", ""))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Refused(
                "bad-request", "the body is {'numbers': [...], 'act': 'accepted'|'rejected'|'proposed'}", 400
            ) from error
        if not all(isinstance(number, int) and 0 < number < 2**53 for number in numbers) or len(numbers) > MOST:
            raise Refused("bad-request", f"'numbers' are at most {MOST} numbers of links", 400)
        return web.json_response({"done": await self._change(numbers, asking.act(act), who, note)})

    # -- who

    def _who(self, request: web.Request) -> str | None:
        return self.desk.who(request.cookies.get(COOKIE, ""), time.monotonic())

    def _must(self, request: web.Request) -> str:
        _same_origin(request)
        who = self._who(request)
        if who is None:
            raise Refused("not-entered", "enter with your token first", 401)
        return who

    def _bearer(self, request: web.Request) -> str:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            raise Refused("not-entered", "send your token: Authorization: Bearer TOKEN", 401)
        return self.desk.identify(token.strip(), time.monotonic())


@web.middleware
async def _counted(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as error:
        metrics.REFUSALS.labels(error.reason).inc()
        raise


def _same_origin(request: web.Request) -> None:
    """Refuse a form that another site's page sent: SameSite keeps the cookie away too, in browsers that know it."""
    origin = request.headers.get("Origin", "")
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin" or (
        origin and urlsplit(origin).netloc != request.host
    ):
        raise Refused("other-origin", "this form was not sent by this page", 403)


def _link(query: dict[str, str], lang: Language, path: str = "/", **other: object) -> str:
    kept = {**query, **other, "lang": lang}
    if path == "/" and "act" not in other:
        kept.pop("act", None)
    return f"{path}?{urlencode({name: value for name, value in kept.items() if value})}"


def _language(request: web.Request) -> Language:
    return languages.language(request.query.get("lang"), request.headers.get("Accept-Language", ""))
