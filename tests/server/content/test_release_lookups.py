"""``headgate release list`` and ``show`` over HTTP: an origin's web server, the controller's list, and what is neither."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Corrupt, Refused, Unreachable
from gateway.release import signed
from gateway.release.cli import commands
from gateway.release.manifest import File, Release, Rights

pytestmark = pytest.mark.server
CODE = "999999-100000000000001-4"
LIST = "/api/releases?limit=1000&page=1"
LISTED = {
    "release": CODE,
    "version": 3,
    "body": "library",
    "title": "刘三姐",
    "state": "withdrawn",
    "boxes": {"admitted": 2, "stored": 1},
}


@pytest.fixture
def serve() -> Iterator[Callable[[dict[str, bytes]], str]]:
    """A web server on loopback with what it is given, by path; returns its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(answers: dict[str, bytes]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if self.path in answers else 404)
                self.end_headers()
                self.wfile.write(answers.get(self.path, b""))

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def call(*argv: str) -> Any:
    """Run a command for a program; failures of ours come out as they are."""
    result = CliRunner().invoke(commands, [*argv, "--json"])
    if result.exception is not None:
        raise result.exception
    return json.loads(result.stdout)


def test_the_controllers_list(serve: Callable[[dict[str, bytes]], str]) -> None:
    """What the controller tells is listed, its state and its boxes with it; what is no list is told so."""
    told = json.dumps({"releases": [{**LISTED, "later": "unknown here"}]}).encode()
    (line,) = call("list", "--at", serve({LIST: told}))["releases"]
    assert line == LISTED
    for wrong in (b"", b"[]", b'{"releases": [{}]}'):
        with pytest.raises(Corrupt):
            call("list", "--at", serve({LIST: wrong}))


def test_a_release_at_an_origin(serve: Callable[[dict[str, bytes]], str]) -> None:
    """A release is shown from the origin's web server; another code is unknown there, and nobody may be there at all."""
    release = Release(
        identifier=f"isli:{CODE}", version=1, body="library", title="刘三姐", rights=Rights(zones=("bigscreen",)),
        entry="a", files={"a": File(sha256="0" * 64, size=1, type="a/b")},
    )  # fmt: skip
    address = serve({f"/releases/{CODE}/release.json": signed.seal(release, PrivateKey.generate())})
    assert call("show", CODE, "--at", address)["title"] == "刘三姐"
    assert call("show", f"{address}/releases/{CODE}/release.json")["title"] == "刘三姐"
    with pytest.raises(Refused) as error:
        call("show", "999999-123456789012345-8", "--at", address)
    assert error.value.reason == "unknown-release"
    with pytest.raises(Unreachable):
        call("list", "--at", "http://127.0.0.1:1")
