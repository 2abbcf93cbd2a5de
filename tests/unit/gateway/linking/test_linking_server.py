"""The curators' page: who gets in, what is shown, what is decided."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from appliance.runtime import http, languages
from gateway.linking import asking, curators
from gateway.linking.book import Book
from gateway.linking.desk import LASTS, MOST, TRIES, Desk
from gateway.linking.proposals import Proposal, Why
from gateway.linking.server import COOKIE, Server
from gateway.linking.words import WORDS

TOKEN = "t" * 32
KNOWN = curators.Curators({"li-wei": curators.digest(TOKEN)})
LINKS = [
    Proposal("isli:1", "same-as", "isli:2", 0.95, "identifier", (Why("title-equal"),), "刘三姐", "<b>劉三姐", "museum"),
    Proposal("isli:1", "source", "isli:3", 0.7, "stated", (Why("stated", ("source",)),), "刘三姐", ""),
]


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[aiohttp.ClientSession, Book]]:
    """Serve the page over a book with two proposals."""
    book = Book(folder / "linking.db")
    book.propose(LINKS)
    server = Server("library", book, Desk(KNOWN))
    try:
        async with (
            http.serving(server.application(), tcp=[("127.0.0.1", 0)]) as [(host, port)],
            aiohttp.ClientSession(f"http://{host}:{port}", cookie_jar=aiohttp.CookieJar(unsafe=True)) as client,
        ):
            yield client, book
    finally:
        book.close()


async def test_nobody_sees_or_decides_without_a_token(tmp_path: Path):
    """Every page is the door, every form and question of a program is refused, and a wrong token lets nobody in."""
    async with served(tmp_path) as (client, book):
        for path in ("/", "/links/1", "/all?act=accepted"):
            text = await (await client.get(path)).text()
            assert 'name="token"' in text
            assert "刘三姐" not in text
        assert (await client.post("/decide", data={"number": "1", "act": "accepted"})).status == 401
        assert (await client.post("/all", data={"act": "accepted", "expected": "2"})).status == 401
        assert (await client.get("/api/links")).status == 401
        wrong = {"Authorization": "Bearer x"}
        assert (await client.post("/api/decide", json={"numbers": [1], "act": "accepted"}, headers=wrong)).status == 401
        assert (await client.post("/enter", data={"token": "x"})).status == 401
        assert book.states()["proposed"] == 2


async def test_a_curator_decides(tmp_path: Path):
    """A token opens the page; what is decided carries the curator's name, and what a catalogue wrote is never markup."""
    async with served(tmp_path) as (client, book):
        entered = await client.post("/enter", data={"token": TOKEN}, allow_redirects=False)
        assert entered.status == 303
        assert all(word in entered.headers["Set-Cookie"] for word in ("HttpOnly", "SameSite=Strict"))
        listed = await client.get("/?lang=zh")
        text = await listed.text()
        assert "&lt;b&gt;劉三姐" in text
        assert "<b>劉三姐" not in text
        assert text.index("题名相同") < text.index("“来源”")
        assert "script-src 'sha256-" in listed.headers["Content-Security-Policy"]
        done = await client.post(
            "/decide", data={"number": "1", "act": "rejected", "note": "另一部"}, allow_redirects=False
        )
        assert done.headers["Location"] == "/"
        one = book.one(1)
        assert one is not None
        assert (one.state, one.by, one.note) == ("rejected", "li-wei", "另一部")
        assert "li-wei" in await (await client.get("/?state=rejected&lang=en")).text()
        assert "Take back" in await (await client.get("/links/1?lang=en")).text()
        assert (await client.get("/links/99")).status == 404
        await client.post("/leave")
        assert 'name="token"' in await (await client.get("/")).text()


async def test_a_lot_is_decided_as_it_was_shown(tmp_path: Path):
    """A whole lot is shown first; if it changed since, nothing is decided."""
    async with served(tmp_path) as (client, book):
        await client.post("/enter", data={"token": TOKEN})
        text = await (await client.get("/all?act=accepted&least=90&lang=en")).text()
        assert "accept the 1 links" in text
        fields = {"least": "90", "act": "accepted"}
        assert (await client.post("/all", data={**fields, "expected": "2"})).status == 409
        await client.post("/all", data={**fields, "expected": "1"})
        assert book.states() == {"proposed": 1, "accepted": 1, "rejected": 0, "registered": 0}


async def test_programs_decide_too(tmp_path: Path):
    """The same as JSON, with the token on each request; what is registered is not decided again."""
    async with served(tmp_path) as (client, book):
        mine = {"Authorization": f"Bearer {TOKEN}"}
        told = await (await client.get("/api/links?least=90", headers=mine)).json()
        assert [(one["number"], one["why"]["zh"]) for one in told["links"]] == [(1, "题名相同")]
        assert told["count"] == 1
        done = await client.post("/api/decide", json={"numbers": [1, 2], "act": "accepted"}, headers=mine)
        assert await done.json() == {"done": 2}
        book.registered([1], "now")
        again = await client.post("/api/decide", json={"numbers": [2, 1], "act": "rejected"}, headers=mine)
        assert ((await again.json())["reason"], book.states()["accepted"]) == ("registered", 1)
        for body in ("[]", "{", '{"numbers": ["1"], "act": "accepted"}', '{"numbers": [1], "act": "registered"}'):
            assert (await client.post("/api/decide", data=body, headers=mine)).status == 400


async def test_another_page_decides_nothing(tmp_path: Path):
    """A form that another site sends, with the curator's cookie, is refused."""
    async with served(tmp_path) as (client, book):
        await client.post("/enter", data={"token": TOKEN})
        for header in ({"Origin": "http://elsewhere"}, {"Sec-Fetch-Site": "cross-site"}):
            answer = await client.post("/decide", data={"number": "1", "act": "accepted"}, headers=header)
            assert (answer.status, (await answer.json())["reason"]) == (403, "other-origin")
        assert book.states()["accepted"] == 0


def test_tokens_are_slow_to_guess_and_sessions_end():
    """After some wrong tokens nobody enters for a minute; sessions end with time, by number, and with the curator."""
    desk = Desk(KNOWN)
    first = desk.enter(TOKEN, 0)
    assert desk.who(first, LASTS) == "li-wei"
    assert desk.who(first, LASTS + 1) is None
    for _ in range(TRIES):
        with pytest.raises(asking.Refused, match="nobody"):
            desk.enter("x", 0)
    with pytest.raises(asking.Refused, match="minute"):
        desk.enter(TOKEN, 59)
    cookies = [desk.enter(TOKEN, 61) for _ in range(MOST + 1)]
    assert [desk.who(cookies[0], 61), desk.who(cookies[-1], 61)] == [None, "li-wei"]
    desk.curators = curators.Curators({})
    assert desk.who(cookies[-1], 61) is None


def test_where_to_go_back_to_is_this_page():
    """An address of elsewhere is not followed."""
    assert asking.local("/?state=accepted") == "/?state=accepted"
    assert {asking.local(path) for path in ("//elsewhere", "/\\elsewhere", "http://elsewhere", "", "/\r\nx")} == {"/"}


def test_the_page_speaks_two_languages():
    """Each word has both; the browser's first of the two counts, and Chinese where it asks for neither."""
    assert all(len(both) == 2 and all(both) for both in WORDS.values())
    chosen = [
        languages.language(*asked) for asked in ((None, "fr,en;q=0.8"), (None, "zh-CN"), (None, ""), ("en", "zh"))
    ]
    assert chosen == ["en", "zh", "zh", "en"]
    assert COOKIE
