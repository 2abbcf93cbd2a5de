"""A box's chain of content on loopback: an origin, and fetch, exchange and delivery as the processes that systemd starts."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self

import pytest

from appliance.identity.keys import PrivateKey
from appliance.runtime.files import write_atomic
from appliance.telemetry.records import Record
from appliance.telemetry.spool import Spool
from gateway.release import folder as folders
from gateway.release import orders, paths, signed
from gateway.release import origin as origins
from gateway.release.manifest import Release, Rights
from gateway.release.orders import Order, What
from tests.guarding import guarding
from tests.server.ports import free_port

CODE = "999999-100000000000001-4"
ADDRESSES = {"bigscreen": "127.20.0.1", "smallscreen": "127.30.0.1", "institution": "127.50.0.1"}
ORIGIN = "127.10.0.20"
SCREENS = ("bigscreen", "smallscreen")
FILTERS = ("admission", "inspection")
DEADLINE = 60.0  # seconds; a machine that is busy with other work starts a daemon in twenty

POLICY = """
site: testbox
zones:
  management: {{port: "02:68:67:28:00:0b", addresses: [127.40.0.1/24]}}
  culture: {{port: "02:68:67:0a:00:0b", addresses: [127.10.0.1/24]}}
  bigscreen: {{port: "02:68:67:14:00:0b", addresses: [127.20.0.1/24]}}
  smallscreen: {{port: "02:68:67:1e:00:0b", addresses: [127.30.0.1/24]}}
bodies:
  library: {{name: 图书馆, keys: ["{key}"], identifiers: ["isli:999999-1"], acts: [share]}}
registry: {{keys: ["{key}"], origin: centre}}
origins:
  centre: {{address: 127.10.0.20, port: {origin}}}
services:
  delivery: {{zone: bigscreen, run: delivery, listen: tcp/{port}, from: [127.20.0.0/24]}}
  resolver: {{zone: bigscreen, run: resolver, listen: tcp/{resolver}, from: [127.20.0.0/24]}}
  phones: {{zone: smallscreen, run: delivery, listen: tcp/{port}, from: [127.30.0.0/24]}}
reach:
  origin: {{zone: culture, run: fetch, to: [127.10.0.20], port: tcp/{origin}}}
lanes:
  films: {{from: culture, to: bigscreen, kind: release, largest: 4 MiB}}
  phones: {{from: culture, to: smallscreen, kind: release, largest: 4 MiB}}
  identifiers: {{from: culture, to: bigscreen, kind: identifier}}
  usage: {{from: bigscreen, to: management, kind: record}}
  phone-usage: {{from: smallscreen, to: management, kind: record}}
never:
  - {{from: bigscreen, to: management}}
  - {{from: bigscreen, to: culture}}
"""


# Of a test that is the same with nginx in front of delivery and without.
BOTH_WAYS = pytest.mark.parametrize("chain", ["alone", "nginx"], indirect=True)


def until(condition: Callable[[], Any], what: str, seconds: float = DEADLINE) -> Any:
    """Wait until ``condition`` gives something true, and return that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


@dataclass
class Reply:
    """What a screen got."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Origin:
    """A web server with a folder; counts requests by path, and may hold them back for some seconds."""

    folder: Path
    port: int
    asked: Counter[str] = field(default_factory=Counter)
    unchanged: Counter[str] = field(default_factory=Counter)
    hold: float = 0.0
    server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Serve the folder."""
        origin = self

        class Handler(SimpleHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments, directory=str(origin.folder))

            def do_GET(self) -> None:
                origin.asked[self.path] += 1
                time.sleep(origin.hold)
                if self.headers.get("If-None-Match") == self.etag():
                    origin.unchanged[self.path] += 1
                    self.send_response(304)
                    self.end_headers()
                else:
                    super().do_GET()

            def etag(self) -> str:
                path = Path(self.translate_path(self.path))
                return f'"{hashlib.sha256(path.read_bytes()).hexdigest()}"' if path.is_file() else ""

            def end_headers(self) -> None:
                if etag := self.etag():
                    self.send_header("ETag", etag)
                super().end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass  # a fetch that was killed

        self.server = Server((ORIGIN, self.port), Handler)
        Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Go away."""
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None


class Chain:
    """The whole chain; ``with`` it is running."""

    def __init__(self, base: Path, *, front: Sequence[str] = ()) -> None:
        self.base, self.front = base, front
        self.guards = contextlib.ExitStack()  # the guard's part that deliveries ask where nginx is in front
        self.run, self.state, self.policy = base / "run", base / "state", base / "policy.yaml"
        self.origin = Origin(base / "origin", free_port(ORIGIN))
        self.port = free_port("127.20.0.1")
        self.key, self.stranger = PrivateKey.generate(), PrivateKey.generate()
        self.origin.folder.mkdir()
        self.write_policy()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def write_policy(self, change: Callable[[str], str] = lambda text: text) -> None:
        """Write the enforced policy, changed by ``change``."""
        text = POLICY.format(
            key=self.key.public,
            origin=self.origin.port,
            port=self.port,
            resolver=self.port + 1 if self.port < 65535 else 1,
        )
        for zone in self.front:
            text = text.replace(f"zone: {zone}, run: delivery,", f"zone: {zone}, run: delivery, front: nginx,")
        self.policy.write_text(change(text))

    def digest(self) -> str:
        """Return the digest of the enforced policy."""
        return hashlib.sha256(self.policy.read_bytes()).hexdigest()

    def start(self, daemon: str, zone: str | None = None, *, wait: bool = True) -> subprocess.Popen[bytes]:
        """Start a daemon as its unit would, and wait until it listens."""
        name = f"{daemon}-{zone}" if zone else daemon
        argv = [str(Path(sys.executable).with_name("headgate")), "run", daemon, "--config", str(self.policy)]
        environment = {
            **os.environ,
            "HEADGATE_RUN": str(self.run),
            "HEADGATE_STATE": str(self.state),
            "HEADGATE_ETC": str(self.base),
        }
        log = (self.base / f"{name}.log").open("ab")
        with log:
            process = subprocess.Popen(
                argv + (["--zone", zone] if zone else []), env=environment, stderr=log, stdout=log, cwd=self.base
            )
        self.processes[name] = process
        if wait:
            self.wait(daemon, zone)
        return process

    def wait(self, daemon: str, zone: str | None = None) -> None:
        """Wait until a daemon that was started listens."""
        name = f"{daemon}-{zone}" if zone else daemon
        process = self.processes[name]
        until(lambda: process.poll() is not None or self._listens(daemon, zone), f"{name} listens")
        assert process.poll() is None, self.log(name)

    def _listens(self, daemon: str, zone: str | None) -> bool:
        if daemon == "delivery" and not _heeds(self.processes[f"delivery-{zone}"].pid, signal.SIGTERM):
            return False  # it begins: whoever listens there is what survives the last one for a moment
        if zone in self.front and daemon == "delivery":
            return _connects(socket.AF_UNIX, str(self.run / "front" / str(zone) / "delivery.sock"))
        if (
            daemon == "front"
        ):  # who listens at its port may be somebody else, or the trial of its configuration, which answers nobody
            return _answers(self.run / "nginx" / str(zone) / "state.sock")
        if zone:
            return _connects(socket.AF_INET, (ADDRESSES[zone], self.port))
        if daemon in FILTERS:
            return _connects(socket.AF_UNIX, str(self.run / "filter" / daemon / "filter.sock"))
        if daemon == "replica":
            return _connects(socket.AF_UNIX, str(self.run / "replica" / "replica.sock"))
        folder = self.run / "fetch" if daemon == "fetch" else self.run / "exchange" / "delivery-smallscreen"
        return _connects(socket.AF_UNIX, str(folder / f"{daemon}.sock"))

    def reload(self, *names: str) -> None:
        """Tell daemons that the policy is another one, as the guard does; the admission filter always is among them."""
        fronts = [f"front-{zone}" for zone in self.front if f"delivery-{zone}" in names]
        before = {name: self._reloads(name) for name in fronts}
        for name in ("admission", *names, *fronts):
            self.processes[name].send_signal(signal.SIGHUP)
        for name in fronts:
            until(lambda name=name: self._reloads(name) > before[name], f"{name} is done with it")

    def _reloads(self, name: str) -> int:
        return len(re.findall("new configuration (?:taken in|not taken in|refused)", self.log(name)))

    def stop(self, name: str, number: int = signal.SIGTERM) -> int:
        """End a daemon by a signal and return its status."""
        process = self.processes.pop(name)
        process.send_signal(number)
        return process.wait(DEADLINE)

    def log(self, name: str) -> str:
        """Return what a daemon said."""
        return (self.base / f"{name}.log").read_text()

    def publish(self, files: Mapping[str, bytes], **told: Any) -> Release:
        """Make a release of ``files`` and publish it at the origin."""
        key = told.pop("key", self.key)
        code = told.pop("code", CODE)
        version = told.pop("version", 1)
        source = self.base / f"source-{code}-{version}"
        for name, data in files.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(data)
        fields: dict[str, Any] = {
            "identifier": f"isli:{code}",
            "version": version,
            "body": "library",
            "title": "刘三姐",
            "rights": Rights(zones=("bigscreen", "smallscreen")),
            "entry": next(iter(files)),
            "files": folders.gather(source, folders.survey(source)),
        }
        release = Release(**{**fields, **told})
        write_atomic(source / paths.MANIFEST, signed.seal(release, key))
        origins.publish(source, self.origin.folder)
        return release

    def ask(self, peer: str, what: str, told: Any) -> Reply:
        """Ask the exchange as ``peer`` (such as ``delivery-bigscreen``) does."""
        connection = HTTPConnection("exchange")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(DEADLINE)
        try:
            connection.sock.connect(str(self.run / "exchange" / peer / "exchange.sock"))
            connection.request("POST", f"/{what}", json.dumps(told))
            response = connection.getresponse()
            return Reply(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def get(
        self, path: str, headers: Mapping[str, str] | None = None, *, zone: str = "bigscreen", method: str = "GET"
    ) -> Reply:
        """Ask as a screen of ``zone`` does."""
        connection = HTTPConnection(ADDRESSES[zone], self.port, timeout=DEADLINE)
        try:
            connection.request(method, path, headers=dict(headers or {}))
            response = connection.getresponse()
            return Reply(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def play(self, path: str, **told: Any) -> Reply:
        """Ask for a file of the release."""
        return self.get(f"/r/{CODE}/{path}", **told)

    def records(self, kind: str) -> list[Record]:
        """Return the records of ``kind`` that the spool holds."""
        spool = Spool(self.state / "spool" / "spool.db")
        try:
            return [item.record for item in spool.pending(limit=10_000) if item.record.kind == kind]
        finally:
            spool.close()

    def used(self, requests: int = 0) -> list[dict[str, Any]]:
        """Return the bodies of the usage records in the spool, as soon as they tell of so many requests."""

        def told() -> list[dict[str, Any]] | None:
            found = [dict(record.body) for record in self.records("usage")]
            return found if sum(body["requests"] for body in found) >= requests else None

        return list(until(told, f"{requests} requests are recorded") or [])

    def stored(self) -> set[str]:
        """Return the digests in the store."""
        return {path.name for path in (self.state / "store" / "objects").glob("*/*")}

    def __enter__(self) -> Self:
        self.origin.start()
        try:
            daemons = [
                ("fetch", None),
                ("replica", None),
                *((name, None) for name in FILTERS),
                ("exchange", None),
                ("delivery", "bigscreen"),
                ("delivery", "smallscreen"),
            ]
            for zone in self.front if os.geteuid() == 0 else ():
                self.guards.enter_context(guarding(self.run / "cut", zone, ADDRESSES[zone], self.port))
            for daemon in daemons:
                self.start(*daemon, wait=False)
            for daemon in daemons:
                self.wait(*daemon)
            for zone in self.front:
                self.start("front", zone)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in reversed(list(self.processes)):
            self.stop(name, signal.SIGKILL)
        self.guards.close()
        self.origin.stop()


def give_order(box: Any, key: PrivateKey, serial: int, code: str = "") -> Any:
    """Have the exchange of a box withdraw ``code``, as telemetry does; without one, tell it that ``serial`` is the last order there is."""
    return hand_over(box, serial, [seal_order(key, serial, release=code)] if code else [])


def seal_order(key: PrivateKey, serial: int, act: str = "withdraw", until: str | None = None, **what: str) -> bytes:
    """Return an order as its giver signs it."""
    told = {"serial": serial, "act": act, "what": What(**what), "reason": "版权争议", "by": "regulator", "until": until}
    return orders.seal(Order.model_validate({**told, "time": "2026-11-28T00:00:00Z"}), key)


def hand_over(box: Any, serial: int, envelopes: Sequence[bytes]) -> Any:
    """Hand orders to the exchange of a box, as telemetry does; ``serial`` is the last order there is."""
    asked = {"envelopes": [envelope.decode() for envelope in envelopes], "head": serial, "online": True}
    return json.loads(Chain.ask(box, "telemetry-management", "order", asked).body)


def _heeds(process: int, number: int) -> bool:
    """Return whether a process handles the signal (proc(5))."""
    told = Path(f"/proc/{process}/status").read_text()
    return bool(int(told.partition("SigCgt:")[2].split()[0], 16) >> (number - 1) & 1)


def _connects(family: int, address: Any) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(address)
        except OSError:
            return False
        return True


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1)
        try:
            connection.connect(str(path))
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return bool(connection.recv(1))
        except OSError:
            return False


@contextmanager
def running(base: Path, *, front: Sequence[str] = ()) -> Iterator[Chain]:
    """Run a chain in the folder ``base``, with nginx in ``front`` of delivery in these zones."""
    with Chain(base, front=front) as chain:
        yield chain


@pytest.fixture
def fronted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A running chain with nginx in front of delivery, and nothing published."""
    with running(tmp_path_factory.mktemp("f"), front=SCREENS) as chain:
        yield chain


@pytest.fixture
def chain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A running chain with nothing published: with nginx in front where a test runs ``BOTH_WAYS``."""
    front = SCREENS if getattr(request, "param", "alone") == "nginx" else ()
    with running(tmp_path_factory.mktemp("c"), front=front) as chain:  # short: a socket's path has at most 107 bytes
        yield chain


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A running chain that tests share which change nothing."""
    with running(tmp_path_factory.mktemp("s")) as chain:
        yield chain


@pytest.fixture(name="until")
def _until() -> Callable[..., Any]:
    """``until(condition, what)``: waits with a deadline."""
    return until
