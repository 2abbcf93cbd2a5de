"""Use of plain HTTP origins: the sum of its records is what left, counted on the wire, in whatever form it came from the origin."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from tests import wire
from tests.server.content.conftest import ADDRESSES, ORIGIN, Chain
from tests.server.content.test_bytes_are_metered import read, screen

pytestmark = [pytest.mark.server, pytest.mark.skipif(os.geteuid() != 0, reason="capturing packets needs root")]
BODY = random.Random(7).randbytes(700_000)
FORMS = ("whole", "chunked", "crumbs", "endless", "through")


class Portal(BaseHTTPRequestHandler):
    """Gives the same bytes whole, in chunks, in crumbs, until it closes, or so that they are not kept."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer in the form that the path names."""
        form = self.path.strip("/").partition("?")[0]
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("ETag", f'"{form}"')
        self.send_header("Cache-Control", "no-store" if form == "through" else "max-age=600")
        if form in ("whole", "through"):
            self.send_header("Content-Length", str(len(BODY)))
        elif form in ("chunked", "crumbs"):
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command == "HEAD":
            return
        if form == "chunked":
            for part in (BODY[:1], BODY[1:300_000], BODY[300_000:]):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")
        elif form == "crumbs":
            for at in range(300):
                self.wfile.write(b"3\r\n%s\r\n" % BODY[at * 3 : at * 3 + 3])
            self.wfile.write(b"0\r\n\r\n")
        else:
            with contextlib.suppress(ConnectionError):
                self.wfile.write(BODY)

    do_HEAD = do_GET  # noqa: N815 (as http.server calls it)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def box(chain: Chain) -> Iterator[Chain]:
    """The chain, with a portal of the library."""
    server = ThreadingHTTPServer((ORIGIN, 0), Portal)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    port = server.server_address[1]
    web = f"web:\n  portal: {{hosts: [portal.test], address: {ORIGIN}, port: {port}, body: library}}\nservices:\n"
    lanes = "lanes:\n  web: {from: culture, to: bigscreen, kind: web, largest: 4 MiB, active: true}\n"
    reach = f"reach:\n  web: {{zone: culture, run: fetch, to: [{ORIGIN}], port: tcp/{port}}}\n"
    chain.write_policy(
        lambda text: text.replace("services:\n", web).replace("lanes:\n", lanes).replace("reach:\n", reach)
    )
    for name in chain.processes:
        chain.processes[name].send_signal(signal.SIGHUP)
    try:
        yield chain
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def request(path: str, *headers: str) -> bytes:
    """Return a question to the portal."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: portal.test", *headers, "", ""]).encode()


def various(chain: Chain, pick: random.Random) -> None:
    """Ask as screens do: whole, in parts, again, and leaving in the middle."""
    path = f"/{pick.choice(FORMS)}"
    with contextlib.suppress(ConnectionError, TimeoutError):
        match pick.randrange(5):
            case 0:
                with screen(chain, request(path), request(path), request(path, "Connection: close")) as connected:
                    read(connected)
            case 1:
                asked = request(path, "Range: bytes=0-9,1000-300000,699999-", "Connection: close")
                with screen(chain, asked) as connected:
                    read(connected)
            case 2:
                asked = (
                    request(path, f'If-None-Match: "{path[1:]}"'),
                    request(path, "Range: bytes=-10", "Connection: close"),
                )
                with screen(chain, *asked) as connected:
                    read(connected)
            case 3:
                with screen(chain, request(path), room=8192) as connected:
                    read(connected, pick.randrange(1, 500_000))
            case _:
                with screen(
                    chain, *[request("/crumbs")] * 20, request(path, "Connection: close"), room=4096
                ) as connected:
                    read(connected)


def test_records_are_what_left(box: Chain, until: Any) -> None:
    """Known and unknown lengths, several ranges, crumbs to a slow screen, broken off: the origin's account is what was on the wire."""
    until(lambda: _asks(box), "the portal is admitted")
    pick = random.Random(3)
    with wire.captured(box.port) as seen:
        with ThreadPoolExecutor(6) as screens:
            for done in [screens.submit(various, box, pick) for _ in range(60)]:
                done.result()
        assert box.stop("delivery-bigscreen") == 0
    told: Counter[str] = Counter()
    for body in box.used():
        assert body["release"] == "web:portal"
        assert body["body"] == "library"
        told["bytes"] += body["bytes"]
        told["broken"] += body["broken"]
    assert seen.bytes.keys() == {f"/{form}" for form in FORMS}
    assert told["bytes"] == sum(seen.bytes.values())
    assert told["broken"]


def _asks(box: Chain) -> bool:
    """Return whether the portal answers a screen by now; of its answer nothing is counted."""
    connection = HTTPConnection(ADDRESSES["bigscreen"], box.port, timeout=30)
    try:
        connection.request("HEAD", "/whole", headers={"Host": "portal.test"})
        return connection.getresponse().status == 200
    finally:
        connection.close()
