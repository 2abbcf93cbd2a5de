"""A request and its answer are told between daemons as they were: lines, then bytes, and a broken body is never a whole one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from appliance.runtime import http
from appliance.runtime.errors import Corrupt, HeadgateError, Refused, Unreachable
from gateway.serving.web import Fields, Web, WebAnswer, WebRequest
from gateway.web.wire import Telling, parse_head, read_request


async def pieces(*parts: bytes, then: HeadgateError | None = None) -> AsyncIterator[bytes]:
    """Yield parts, and end or break off."""
    for part in parts:
        yield part
    if then is not None:
        raise then


async def ask(
    folder: Path, request: WebRequest, answer: object
) -> tuple[WebRequest, bytes, WebAnswer, bytes, list[int]]:
    """Ask a daemon that answers with ``answer``; return what it was asked, and what came back."""
    seen: list[tuple[WebRequest, bytes]] = []
    told: list[int] = []

    async def handler(asked: web.Request) -> web.StreamResponse:
        found = await read_request(asked)
        body = found.body if isinstance(found.body, bytes) else b"".join([chunk async for chunk in found.body])
        seen.append((found, body))
        telling = Telling(asked)
        if isinstance(answer, HeadgateError):
            await telling.interim(103, [("Link", "</a.css>; rel=preload")])
            return await telling.failed(answer)
        assert isinstance(answer, WebAnswer)
        for status, headers in answer.interim:
            await telling.interim(status, headers)
        return await telling.answer(answer)

    async def note(status: int, _: Fields) -> None:
        told.append(status)

    app = http.application()
    app.router.add_post("/web", handler)
    socket = folder / "s"
    async with http.serving(app, unix=[(socket, 0o600)]), Web(socket) as way, way.ask(request, note) as came:
        body = b"".join([chunk async for chunk in came.body])
    return *seen[0], came, body, told


def test_told_as_it_was(tmp_path: Path) -> None:
    """Method, target, double and non-ASCII fields, a body in pieces, interim answers and the answer come as they were sent."""
    request = WebRequest("epg.example", "POST", "/a%2f?x=1", [("X-A", "1"), ("x-a", "é")], pieces(b"one", b"two"), 6)
    answer = WebAnswer(404, "Nö", [("Age", "1"), ("Age", "2")], [(103, [("Link", "<a>")])], pieces(b"x" * 200_000))

    asked, sent, came, body, told = asyncio.run(ask(tmp_path, request, answer))

    assert (asked.host, asked.method, asked.target, asked.length) == ("epg.example", "POST", "/a%2f?x=1", 6)
    assert asked.headers == request.headers
    assert sent == b"onetwo"
    assert (came.status, came.reason, came.headers, came.interim) == (404, "Nö", answer.headers, answer.interim)
    assert told == [103]
    assert body == b"x" * 200_000


def test_broken_body_is_unreachable(tmp_path: Path) -> None:
    """A body that breaks off raises at its end."""
    answer = WebAnswer(200, "OK", [], [], pieces(b"some", then=Unreachable("away")))

    with pytest.raises(Unreachable, match="truncated"):
        asyncio.run(ask(tmp_path, WebRequest("a", "GET", "/"), answer))


def test_refusal_after_interim(tmp_path: Path) -> None:
    """A refusal that comes after an interim answer keeps its reason and status."""
    with pytest.raises(Refused, match="no") as caught:
        asyncio.run(ask(tmp_path, WebRequest("a", "GET", "/"), Refused("active-content", "no", 403)))

    assert (caught.value.reason, caught.value.status) == ("active-content", 403)


@pytest.mark.parametrize(
    "change",
    [
        {"target": "http://other/"},
        {"target": "/a b"},
        {"target": "/a#b"},
        {"method": "GET /x"},
        {"host": "a\r\nb"},
        {"headers": [("A", "1\r\nB: 2")]},
        {"headers": [("A B", "1")]},
        {"headers": [("A", "x")] * 129},
    ],
)
def test_no_request(tmp_path: Path, change: dict[str, object]) -> None:
    """What could be read as another request is none."""
    request = WebRequest(**{"host": "a", "method": "GET", "target": "/", **change})  # type: ignore[arg-type]

    with pytest.raises(Refused) as caught:
        asyncio.run(ask(tmp_path, request, WebAnswer(200, "OK", [], [], pieces())))

    assert caught.value.reason == "bad-request"


def test_no_head() -> None:
    """A line with a field that is none is no head."""
    with pytest.raises(Corrupt):
        parse_head(b'{"status": 200, "headers": [["A", "1\\r\\nB: 2"]]}')
