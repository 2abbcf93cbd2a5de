"""A plain HTTP request crosses the gap to an admitted origin and back by real daemons, as the policy says and no further."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from appliance.runtime.errors import HeadgateError, Refused, Unreachable
from gateway.release import orders
from gateway.release.orders import Order, What
from gateway.serving.web import Web, WebAnswer, WebRequest
from provisioning.controller.orders import proof_entry
from tests.server.content.conftest import ORIGIN, Chain
from tests.server.ports import free_port

pytestmark = pytest.mark.server

WEB = """
web:
  portal: {{hosts: [portal.test, epg.test], address: {origin}, port: {port}, methods: [GET, HEAD, POST], request: 1 KiB, fields: [x-app]}}
  open: {{hosts: [open.test], address: {origin}, port: {port}, fields: ["*"], credentials: true, zones: [smallscreen]}}
  away: {{hosts: [away.test], address: {origin}, port: {away}}}
lanes:
  web: {{from: culture, to: bigscreen, kind: web, largest: 64 KiB}}
  web-phones: {{from: culture, to: smallscreen, kind: web, active: true}}
"""


HOP = (
    b"Content-Type: text/plain\r\nConnection: x-mine\r\nX-Mine: 1\r\nKeep-Alive: max=1\r\nSet-Cookie: a=b\r\n"
    b"Cache-Tag: one, two\r\nX-Byte: \xe9\r\nAge: 1\r\nAge: 2"
)


NUMBERS = itertools.count(1)


class Handler(BaseHTTPRequestHandler):
    """A portal that says what it was asked, and misbehaves where it is told to."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        answer = {
            "/html": (b"HTTP/1.1 200 OK", b"Content-Type: text/html", b"<script>"),
            "/untyped": (b"HTTP/1.1 200 OK", b"X: y", b"<script>"),
            "/hop": (
                b"HTTP/1.1 207 Many",
                HOP,
                b"here",
            ),
        }.get(self.path)
        if self.path.startswith("/fresh/"):
            tag = self.path.removeprefix("/fresh/").encode()
            headers = b"Content-Type: text/plain\r\nCache-Control: max-age=600\r\nCache-Tag: all, channel-" + tag
            answer = (b"HTTP/1.1 200 OK", headers, b"%d" % next(NUMBERS))
        if self.path == "/early":
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
            answer = (b"HTTP/1.1 200 OK", b"Content-Type: text/plain", b"late")
        if self.path == "/truncated":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n0123456789")
            self.close_connection = True
            return
        if self.path == "/long":  # longer than the lane lets pass, and does not say so
            self.wfile.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" + b"x" * 100_000
            )
            self.close_connection = True
            return
        if self.path == "/flood":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(500)) + b"\r\n")
            self.close_connection = True
            return
        if answer is None:
            told = {"method": self.command, "path": self.path, "headers": list(self.headers.items())}
            length = int(self.headers.get("Content-Length", "0"))
            if self.headers.get("Transfer-Encoding") == "chunked":
                told["body"] = self._chunked()
            else:
                told["body"] = self.rfile.read(length).decode()
            answer = (b"HTTP/1.1 200 OK", b"Content-Type: application/json", json.dumps(told).encode())
        first, headers, body = answer
        length_field = b"\r\nContent-Length: %d\r\n\r\n" % len(body)
        self.wfile.write(first + b"\r\n" + headers + length_field + (b"" if self.command == "HEAD" else body))

    do_POST = do_HEAD = do_GET  # noqa: N815 (as http.server calls them)

    def _chunked(self) -> str:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body.decode()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A running chain whose policy admits a portal."""
    server = ThreadingHTTPServer((ORIGIN, 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    chain = Chain(tmp_path_factory.mktemp("w"))
    port, away = server.server_address[1], free_port(ORIGIN)
    web, lanes = WEB.format(origin=ORIGIN, port=port, away=away).split("lanes:\n")

    def admit(text: str) -> str:
        text = text.replace("services:\n", web.lstrip() + "services:\n").replace("never:\n", lanes + "never:\n")
        more = "".join(
            f"  web{number}: {{zone: culture, run: fetch, to: [{ORIGIN}], port: tcp/{number}}}\n"
            for number in (port, away)
        )
        return text.replace("lanes:\n", f'{more}orders: {{keys: {{regulator: "{chain.key.public}"}}}}\nlanes:\n')

    chain.write_policy(admit)
    with chain:
        yield chain
    server.shutdown()
    server.server_close()
    thread.join()


def ask(box: Chain, request: WebRequest, zone: str = "bigscreen") -> tuple[WebAnswer, bytes]:
    """Ask the exchange as the zone's delivery does."""

    async def asked() -> tuple[WebAnswer, bytes]:
        socket = box.run / "exchange" / f"delivery-{zone}" / "exchange.sock"
        async with Web(socket) as way, way.ask(request) as answer:
            return answer, b"".join([chunk async for chunk in answer.body])

    return asyncio.run(asked())


def get(path: str, *headers: tuple[str, str], host: str = "portal.test") -> WebRequest:
    """Return a plain request."""
    return WebRequest(host, "GET", path, list(headers))


def refused(box: Chain, request: WebRequest, zone: str = "bigscreen") -> Refused:
    """Return why the request is refused."""
    with pytest.raises(Refused) as caught:
        ask(box, request, zone)
    return caught.value


def test_only_what_may_cross(box: Chain) -> None:
    """The origin hears the host that the screen said, and no field of the connection, of the client, or of its credentials."""
    gone = [
        ("Connection", "x-hidden"),
        ("X-Hidden", "1"),
        ("X-Forwarded-For", "10.20.0.50"),
        ("Forwarded", "for=10.20.0.50"),
        ("Cookie", "a=b"),
        ("Authorization", "Basic eA=="),
        ("X-Other", "1"),
        ("Host", "other.test"),
        ("Transfer-Encoding", "chunked"),
        ("Upgrade", "h2c"),
    ]

    _, body = ask(box, get("/echo%2f?x=%20", *gone, ("Accept", "a/b"), ("X-App", "1"), host="EPG.test"))

    told = json.loads(body)
    assert told["path"] == "/echo%2f?x=%20"
    assert sorted(told["headers"]) == [["Accept", "a/b"], ["Host", "EPG.test"], ["Via", "1.1 headgate"], ["X-App", "1"]]


def test_credentials_where_the_policy_says_so(box: Chain) -> None:
    """An origin with 'credentials: true' hears cookies; one with every field hears them all, but never the client's address."""
    sent = [("Cookie", "a=b"), ("X-Other", "1"), ("X-Forwarded-For", "10.30.0.50")]

    answer, body = ask(box, get("/echo", *sent, host="open.test"), "smallscreen")
    hop, _ = ask(box, get("/hop", host="open.test"), "smallscreen")

    names = {name for name, _ in json.loads(body)["headers"]}
    assert {"Cookie", "X-Other"} <= names
    assert "X-Forwarded-For" not in names
    assert answer.status == 200
    assert ("Set-Cookie", "a=b") in hop.headers


def test_answer_as_it_was(box: Chain) -> None:
    """Status, reason, double fields and bytes come as they were; fields of the connection and cookies do not."""
    answer, body = ask(box, get("/hop"))

    names = [name for name, _ in answer.headers]
    assert (answer.status, answer.reason, body) == (207, "Many", b"here")
    assert {("Cache-Tag", "one, two"), ("X-Byte", "\xe9"), ("Age", "1"), ("Age", "2")} <= set(answer.headers)
    assert ("X-Content-Type-Options", "nosniff") in answer.headers
    assert not {"Connection", "X-Mine", "Keep-Alive", "Set-Cookie"} & set(names)


def test_early_hints(box: Chain) -> None:
    """An interim answer is passed on."""
    answer, body = ask(box, get("/early"))

    assert [(status, headers[0]) for status, headers in answer.interim] == [(103, ("Link", "</a.css>; rel=preload"))]
    assert body == b"late"


def test_bodies_inward(box: Chain) -> None:
    """A body reaches the origin, whole or in pieces; one that is too long is refused, also where it does not say so."""

    async def pieces(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b"x" * 100

    whole, streamed = (WebRequest("portal.test", "POST", "/echo", [], body) for body in (b"hello", pieces(3)))

    assert json.loads(ask(box, whole)[1])["body"] == "hello"
    assert json.loads(ask(box, streamed)[1])["body"] == "x" * 300
    assert refused(box, WebRequest("portal.test", "POST", "/echo", [], b"x" * 2000)).reason == "too-large"
    with pytest.raises(HeadgateError):
        ask(box, WebRequest("portal.test", "POST", "/echo", [], pieces(40)))


def test_head(box: Chain) -> None:
    """HEAD has the length and no body."""
    answer, body = ask(box, WebRequest("portal.test", "HEAD", "/hop"))

    assert ("Content-Length", "4") in answer.headers
    assert body == b""


@pytest.mark.parametrize(
    ("request_", "reason", "status"),
    [
        (get("/", host="stranger.test"), "unknown-host", 404),
        (get("/", host="open.test"), "no-lane", 403),
        (WebRequest("portal.test", "DELETE", "/"), "method-not-allowed", 405),
        (WebRequest("portal.test", "CONNECT", "/"), "method-not-allowed", 405),
        (get("/html"), "active-content", 403),
        (get("/untyped"), "active-content", 403),
    ],
)
def test_refused_and_recorded(box: Chain, request_: WebRequest, reason: str, status: int) -> None:
    """What may not cross is refused with a reason, which the audit has too."""
    error = refused(box, request_)

    assert (error.reason, error.status) == (reason, status)
    told = [dict(record.body) for record in box.records("audit")]
    assert [
        one for one in told if one.get("object") == "web" and one["reason"] == reason and one["host"] == request_.host
    ]


def test_active_lane(box: Chain) -> None:
    """A lane that is active lets pages pass."""
    assert ask(box, get("/html"), "smallscreen")[1] == b"<script>"


@pytest.mark.parametrize("path", ["/truncated", "/long"])
def test_never_whole_when_it_is_not(box: Chain, path: str) -> None:
    """An answer that ends too early, or is cut off as too long, is told as broken off."""
    with pytest.raises(Unreachable, match="truncated"):
        ask(box, get(path))


def test_bad_origins(box: Chain) -> None:
    """A flood of fields is no answer, and an origin that is away is unreachable; the next request is answered."""
    with pytest.raises(HeadgateError):
        ask(box, get("/flood"))
    with pytest.raises(Unreachable):
        ask(box, get("/", host="away.test"))

    assert ask(box, get("/early"))[1] == b"late"


@pytest.mark.parametrize(
    ("what", "soft"),
    [
        (["--tag", "channel-{}"], False),
        (["--url", "http://portal.test/fresh/{}"], False),
        (["--prefix", "http://portal.test/fresh/{}"], True),
    ],
)
def test_purge_takes_effect(box: Chain, until: Any, what: list[str], *, soft: bool) -> None:
    """A screen is shown what is kept until ``headgate box purge`` confirms; the journal has the purge, and other tags stay."""
    name = f"{what[0].strip('-')}7"
    path, other = f"/fresh/{name}", f"/fresh/other-{name}"
    shown = {each: until(lambda each=each: kept(box, each), f"{each} is shown from the box") for each in (path, other)}

    code, out, err = purge(box, what[0], what[1].format(name), *(["--soft"] if soft else []))

    assert code == 0, err
    *each, last = map(json.loads, out.splitlines())
    assert sorted((one["peer"], one["count"]) for one in each) == [
        ("delivery-bigscreen", 1),
        ("delivery-smallscreen", 0),
    ]
    assert (last["count"], last["unconfirmed"]) == (1, [])
    assert box.get(path, {"Host": "portal.test"}).body != shown[path]
    assert box.get(other, {"Host": "portal.test"}).body == shown[other]
    told = [dict(record.body) for record in box.records("audit") if record.body.get("decision") == "purge"]
    assert [one["soft"] for one in told if name in one.get("purge", "")] == [soft]


def test_purge_without_delivery(box: Chain) -> None:
    """A delivery that is away does not confirm, and the command says so; what a purge must name is told."""
    number = box.processes["delivery-smallscreen"].pid
    os.kill(number, signal.SIGSTOP)
    try:
        code, out, err = purge(box, "--tag", "nothing")
    finally:
        os.kill(number, signal.SIGCONT)

    assert code != 0
    assert json.loads(out.splitlines()[-1])["unconfirmed"] == ["delivery-smallscreen"]
    assert "delivery-smallscreen" in err
    assert "names one of" in purge(box, "--soft")[2]


def test_purge_by_order(box: Chain, until: Any) -> None:
    """A signed order from the centre purges every delivery of the box, and is proved with what went; a stranger's is not taken."""
    path = "/fresh/order"
    shown = until(lambda: kept(box, path), "it is shown from the box")
    told = {"serial": 1, "act": "purge", "what": What(tag="channel-order"), "reason": "节目变更", "by": "regulator"}
    order = Order.model_validate({**told, "time": "2026-11-28T00:00:00Z"})

    forged = give(box, orders.seal(order, box.stranger))
    assert forged["refused"]["reason"] == "order-forged"
    assert kept(box, path) == shown
    answer = give(box, orders.seal(order, box.key))

    assert answer["refused"] is None
    (proof,) = answer["proofs"]
    entry = json.loads(proof_entry(proof["proof"]))
    assert (entry["decision"], entry["tag"], entry["objects"]) == ("purge", "channel-order", 1)
    assert (entry["confirmed"], entry["unconfirmed"]) == (["delivery-bigscreen", "delivery-smallscreen"], [])
    assert box.get(path, {"Host": "portal.test"}).body != shown


def give(box: Chain, envelope: bytes) -> Any:
    """Bring an order, as telemetry does, and return what became of it."""
    asked = {"envelopes": [envelope.decode()], "head": 1, "online": True}
    return json.loads(box.ask("telemetry-management", "order", asked).body)


def test_stranger_is_not_asked(box: Chain) -> None:
    """A screen that names another host is not answered by any origin."""
    assert box.get("/fresh/x", {"Host": "stranger.test"}).status == 404


def kept(box: Chain, path: str) -> bytes:
    """Return what the box shows of ``path`` without asking the origin; nothing where it asks."""
    reply = box.get(path, {"Host": "portal.test"})
    assert reply.status == 200, reply
    return reply.body if "hit" in reply.headers["Cache-Status"] else b""


def purge(box: Chain, *words: str) -> tuple[int, str, str]:
    """Purge as root does at the box; return status, output and errors."""
    environment = {**os.environ, "HEADGATE_RUN": str(box.run)}
    argv = [str(Path(sys.executable).with_name("headgate")), "box", "purge", *words, "--json"]
    ended = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode, ended.stdout, ended.stderr
