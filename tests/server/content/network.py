"""Several boxes on loopback, each with the processes that a policy of its own starts, and the origins that they ask."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self

from appliance.identity.keys import PrivateKey
from gateway.release.manifest import Release
from provisioning import run
from tests.server.content.conftest import DEADLINE, Chain, Origin, Reply, _connects, free_port, until

FILTERS = tuple(name for name in ("admission", "inspection") if name in run.DAEMONS)
DAEMONS = ("fetch", "replica", *FILTERS, "exchange")  # of every box; ``share`` besides where others ask it
POLICY = """
site: {name}
zones:
  management: {{port: "02:68:67:28:00:0b", addresses: [127.40.0.1/24]}}
  culture: {{port: "02:68:67:0a:00:0b", addresses: [{address}/24]}}
  bigscreen: {{port: "02:68:67:14:00:0b", addresses: [127.20.0.1/24]}}
bodies:
  library: {{name: 图书馆, keys: ["{key}"], identifiers: ["isli:999999-1"], acts: [share]}}
origins: {origins}
services:
  delivery: {{zone: bigscreen, run: delivery, listen: tcp/80, from: [127.20.0.0/24]}}
  share: {{zone: culture, run: share, listen: tcp/{port}, from: [127.10.0.0/24]}}
reach: {reach}
lanes:
  films: {{from: culture, to: bigscreen, kind: release, largest: 16 MiB}}
never: [{{from: bigscreen, to: management}}]
"""

REGISTRY = """registry: {{keys: ["{key}"], origin: {origin}}}
lanes:
  identifiers: {{from: culture, to: bigscreen, kind: identifier}}
"""


class Box:
    """One box; its culture address ends in ``number``."""

    def __init__(self, base: Path, name: str, number: int, key: PrivateKey) -> None:
        self.base, self.name, self.key = base / name, name, key
        self.address = f"127.10.0.{number}"
        self.port = free_port(self.address)
        self.run, self.state, self.policy = self.base / "run", self.base / "state", self.base / "policy.yaml"
        self.base.mkdir()
        (self.base / "origins").mkdir()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def ask_these(self, origins: Mapping[str, Mapping[str, Any]], registry: str | None = None) -> None:
        """Write the policy: ``origins`` by name, of which ``registry`` has the table of identifiers."""
        reach = {
            f"way-{number}": {"zone": "culture", "run": "fetch", "to": [o["address"]], "port": f"tcp/{o['port']}"}
            for number, o in enumerate(origins.values())
        }
        text = POLICY.format(
            name=self.name, address=self.address, key=self.key.public, port=self.port,
            origins=json.dumps(origins), reach=json.dumps(reach),
        )  # fmt: skip
        if registry:
            text = text.replace("\nlanes:\n", f"\n{REGISTRY.format(key=self.key.public, origin=registry)}")
        self.policy.write_text(text)

    def as_parent(self) -> dict[str, Any]:
        """Return this box as a parent in the policy of another one."""
        return {"address": self.address, "port": self.port, "role": "parent"}

    def start(self, *daemons: str) -> None:
        """Start daemons as their units would, and wait until they listen."""
        for daemon in daemons:
            argv = [str(Path(sys.executable).with_name("headgate")), "run", daemon, "--config", str(self.policy)]
            places = {"HEADGATE_RUN": str(self.run), "HEADGATE_STATE": str(self.state), "HEADGATE_ETC": str(self.base)}
            with (self.base / f"{daemon}.log").open("ab") as log:
                self.processes[daemon] = subprocess.Popen(
                    argv + (["--zone", "culture"] if daemon == "share" else []),
                    env={**os.environ, **places}, stderr=log, stdout=log, cwd=self.base,
                )  # fmt: skip
        for daemon in daemons:
            process = self.processes[daemon]
            until(
                lambda process=process, daemon=daemon: process.poll() is not None or self._listens(daemon), f"{daemon}"
            )
            assert process.poll() is None, (self.base / f"{daemon}.log").read_text()

    def _listens(self, daemon: str) -> bool:
        match daemon:
            case "share":
                return _connects(socket.AF_INET, (self.address, self.port))
            case "admission" | "inspection":
                return _connects(socket.AF_UNIX, str(self.run / "filter" / daemon / "filter.sock"))
            case "replica":
                return _connects(socket.AF_UNIX, str(self.run / "replica" / "replica.sock"))
            case "exchange":
                return _connects(socket.AF_UNIX, str(self.run / "exchange" / "delivery-bigscreen" / "exchange.sock"))
            case _:
                return _connects(socket.AF_UNIX, str(self.run / "fetch" / "fetch.sock"))

    def kill(self, daemon: str) -> None:
        """End a daemon at once."""
        process = self.processes.pop(daemon)
        process.send_signal(signal.SIGKILL)
        process.wait(DEADLINE)

    def want(self, release: Release, path: str) -> Reply:
        """Let the box's delivery ask its exchange for a file."""
        return self.ask("object", {"release": release.code, "path": path})

    def ask(self, what: str, told: Mapping[str, str]) -> Reply:
        """Ask the box's exchange as its delivery does."""
        return Chain.ask(self, "delivery-bigscreen", what, told)  # type: ignore[arg-type]

    def object(self, release: Release, path: str) -> Path:
        """Return where the object stands in the box's store."""
        digest = release.files[path].sha256
        return self.state / "store" / "objects" / digest[:2] / digest

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        """Ask the box's share as another box does."""
        connection = http.client.HTTPConnection(self.address, self.port, timeout=DEADLINE)
        try:
            connection.request("GET", path, headers=dict(headers or {}))
            response = connection.getresponse()
            return Reply(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def refusals(self) -> list[tuple[str, str]]:
        """Return (reason, origin) of what the exchange refused, as its records say."""
        records = Chain.records(self, "audit")  # type: ignore[arg-type]
        return [(r.body["reason"], r.body.get("origin", "")) for r in records if r.body["decision"] == "refuse"]


class Network:
    """Boxes, one body, and the origin at the end of all ways; ``with`` it ends what it started."""

    def __init__(self, base: Path) -> None:
        self.base, self.key = base, PrivateKey.generate()
        self.origin = Origin(base / "origin", free_port("127.10.0.20"))
        self.origin.folder.mkdir()
        self._stack = ExitStack()
        self.centre = {"address": "127.10.0.20", "port": self.origin.port}

    def __enter__(self) -> Self:
        self.origin.start()
        self._stack.callback(self.origin.stop)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def box(self, name: str, number: int) -> Box:
        """Return a box that is not started yet."""
        box = Box(self.base, name, number, self.key)
        self._stack.callback(lambda: [box.kill(daemon) for daemon in tuple(box.processes)])
        return box

    def publish(self, files: Mapping[str, bytes], **told: Any) -> Release:
        """Publish a release at the origin."""
        return Chain.publish(self, files, **told)  # type: ignore[arg-type]

    def server(self, handler: Callable[[BaseHTTPRequestHandler], None], address: str, wrap: Any = None) -> Counted:
        """Start a web server whose every GET is answered by ``handler``."""
        server = Counted(handler, address, wrap)
        self._stack.callback(server.stop)
        return server


class Counted:
    """A web server that counts what it is asked."""

    def __init__(self, handler: Callable[[BaseHTTPRequestHandler], None], address: str, wrap: Any) -> None:
        self.asked: Counter[str] = Counter()
        told = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                told.asked[self.path] += 1
                handler(self)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass  # a fetch that trusts us not, or left

        self._server = Server((address, 0), Handler)
        if wrap is not None:
            self._server.socket = wrap(self._server.socket)
        self.address, self.port = address, int(self._server.server_address[1])
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Go away."""
        self._server.shutdown()
        self._server.server_close()
