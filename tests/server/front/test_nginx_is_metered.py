"""What nginx delivered is counted to the byte that left, as packets show it, whatever screens do and whatever is killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.delivery.front import opaque
from gateway.delivery.front.accounts import Accounts
from gateway.delivery.front.configuration import LUA, MODULES
from gateway.delivery.front.cutting import Guard
from gateway.delivery.front.lines import Began, Ended, Said, read_all
from gateway.delivery.front.opaque import Carried
from gateway.delivery.front.transfers import Transfers
from gateway.delivery.metering import window as windows
from gateway.delivery.metering.meter import Meter
from gateway.delivery.metering.window import Window
from tests import wire
from tests.guarding import guarding
from tests.server.content import media

pytestmark = [pytest.mark.server, pytest.mark.skipif(os.geteuid() != 0, reason="capturing packets needs root")]
ADDRESS = "127.20.0.1"
PATIENCE = 30.0  # seconds
FILES = {"small.mp4": media.sized(16 << 10), "middle.mp4": media.sized(200_000), "large.mp4": media.sized(3 << 20)}
# The lines are those of gateway/delivery/front/templates/nginx.conf.
CONFIGURATION = """\
{modules}
daemon off;
user root;
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 512; }}
http {{
    log_format began escape=json 'b $request_id $remote_addr $remote_port $meter  ';
    log_format ended escape=json 'e $id $msec $request_time $bytes_sent $body_bytes_sent $request_completion$then $status '
        '$connection $remote_addr $remote_port $counted   $sent_http_content_length $sent_http_content_range';
    map $request_uri $id {{ ~small "" ; default $request_id; }}  # of small ones nobody is told that they begin
    map $id $large {{ "" ""; default 1; }}
    map $request_uri $meter {{ default ""; {meters} }}
    map "$request_method $status" $counted {{ "~^GET 20[06]$" $meter; default ""; }}
    map $http_connection $then {{ default ""; close close; }}
    map "$request_method $status" $odd {{ "GET 200" ""; default 1; }}
    access_log off;
    sendfile on;
    tcp_nopush on;
    send_timeout 3s;
    keepalive_requests 100000;
    server {{
        listen {address}:{port};
        root {folder};
        types {{ }}
        default_type video/mp4;
        location /r/ {{
            auth_request /-/object;
            max_ranges 1;
            access_log {folder}/deliveries.log ended;
            access_log {folder}/all.log ended;
        }}
        {small}
        location = /-/object {{
            internal;
            log_subrequest on;
            access_log {folder}/deliveries.log began if=$large;
            access_log {folder}/all.log began if=$large;
            return 204;
        }}
    }}
}}
"""
# The same, with small ones in accounts as of gateway/delivery/front/templates/quick.lua.
SMALL = """\
        location = /r/1/small.mp4 {{
            max_ranges 1;
            access_log {folder}/deliveries.log ended if=$odd;
            access_log {folder}/all.log ended;
            log_by_lua_block {{
                if ngx.var.odd ~= "" then
                    return
                end
                local ffi, lua = require "ffi", "{lua}"
                if not account then
                    local make = dofile(lua .. "/account.lua")
                    account = make("{folder}", ffi.C.open("{folder}/deliveries.log", 0x401), dofile(lua .. "/values.lua"))
                end
                local meter, size, address = ngx.var.meter, ngx.var.sent_http_content_length, ngx.var.remote_addr
                account.over({{meter = meter, size = size, bytes = tonumber(size), text = meter .. " " .. size}},
                             {{address = address, session = " ", text = address .. "  "}})
            }}
        }}
"""


class Box:
    """nginx in front of nothing, the guard, and a delivery that counts; small answers are ``accounted``, or lines of the log."""

    def __init__(self, folder: Path, *, accounted: bool = False) -> None:
        self.folder, self.ledger, self.log = folder, folder / "ledger", folder / "deliveries.log"
        with socket.create_server((ADDRESS, 0)) as free:
            self.port = int(free.getsockname()[1])
        (folder / "r" / "1").mkdir(parents=True)
        for name, data in FILES.items():
            (folder / "r" / "1" / name).write_bytes(data)
        meters = " ".join(f"/r/1/{name} {opaque.told(Carried('1', name, 'library', 'hit'))};" for name in FILES)
        small = SMALL.format(folder=folder, lua=LUA) if accounted else ""
        modules = "".join(f"load_module {module};\n" for module in MODULES) if accounted else ""
        text = CONFIGURATION.format(
            folder=folder, address=ADDRESS, port=self.port, meters=meters, small=small, modules=modules
        )
        (folder / "nginx.conf").write_text(text)
        self.socket = folder / "cut" / "delivery-bigscreen" / "cut.sock"
        self.delivery: subprocess.Popen[str] | None = None

    @contextlib.contextmanager
    def up(self) -> Iterator[None]:
        with guarding(self.folder / "cut", "bigscreen", ADDRESS, self.port), self.nginx():
            try:
                yield
            finally:
                if self.delivery is not None:
                    self.kill()

    @contextlib.contextmanager
    def nginx(self) -> Iterator[None]:
        nginx = subprocess.Popen(["nginx", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")])
        try:
            deadline = time.monotonic() + PATIENCE
            while True:
                with contextlib.suppress(ConnectionRefusedError), socket.create_connection((ADDRESS, self.port)):
                    break
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield
        finally:
            nginx.terminate()
            nginx.wait(PATIENCE)

    def start(self) -> None:
        words = [sys.executable, "-m", "tests.server.front.counting", self.ledger, self.log, self.socket]
        self.delivery = subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, text=True)
        assert self.delivery.stdout is not None
        assert self.delivery.stdout.readline() == "up\n"

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        assert self.delivery is not None
        assert self.delivery.stdout is not None
        self.delivery.send_signal(number)
        self.delivery.wait(PATIENCE)
        self.delivery.stdout.close()
        self.delivery = None

    def counted(self) -> tuple[Counter[str], Counter[str]]:
        """Return bytes and requests by path, of all windows."""
        sent: Counter[str] = Counter()
        requests: Counter[str] = Counter()
        for path in windows.windows(self.ledger):
            opened = Window(path, 1)
            for what, figures in opened.cells():
                sent[f"/r/{what.release}/{what.path}"] += figures.sent
                requests[f"/r/{what.release}/{what.path}"] += figures.requests
            opened.close()
        for path in self.ledger.glob("*.records"):
            for line in path.read_text().splitlines():
                for name, (asked, left) in json.loads(line)["body"]["files"].items():
                    sent[f"/r/1/{name}"] += left
                    requests[f"/r/1/{name}"] += asked
        return +sent, +requests

    def settle(self) -> None:
        """Wait until nothing is held any more: what was said last is counted."""
        deadline = time.monotonic() + 2 * PATIENCE
        while True:
            said = read_all((self.folder / "all.log").read_bytes().splitlines())
            over = sum(one.requests for one in said if isinstance(one, Ended) and one.meter)
            if self.counted()[1].total() >= over and not _busy(said):
                return
            assert time.monotonic() < deadline, (over, self.counted())
            time.sleep(0.1)


def _busy(said: list[Said]) -> bool:
    over = {one.id for one in said if isinstance(one, Ended)}
    return any(one.id not in over for one in said if isinstance(one, Began))


@pytest.fixture(params=["logged", "accounted"])
def box(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Box]:
    accounted = request.param == "accounted"
    if accounted and not all(module.exists() for module in MODULES):
        pytest.skip("libnginx-mod-http-lua is not installed")
    made = Box(tmp_path, accounted=accounted)
    with made.up():
        yield made


def request(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} /r/1/{path} HTTP/1.1", "Host: box", *headers, "", ""]).encode()


@contextlib.contextmanager
def screen(box: Box, *asked: bytes, room: int | None = None) -> Iterator[socket.socket]:
    """A screen that sent requests, with so little ``room`` for what comes, and that is gone with a reset at the end."""
    with socket.socket() as connection:
        if room:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        connection.settimeout(PATIENCE)
        connection.connect((ADDRESS, box.port))
        connection.sendall(b"".join(asked))
        yield connection
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))


def read(connection: socket.socket, most: int = 1 << 40) -> int:
    got = 0
    with contextlib.suppress(ConnectionError, TimeoutError):
        while got < most and (data := connection.recv(min(65536, most - got))):
            got += len(data)
    return got


def various(box: Box, pick: random.Random) -> None:
    """Behave as screens do: well, badly, and not at all."""
    behaviour = pick.randrange(8)
    with contextlib.suppress(ConnectionError, TimeoutError):
        if behaviour == 0:
            asked = [request(name) for name in ("small.mp4", "small.mp4", "middle.mp4", "large.mp4")]
            with screen(box, *asked, request("small.mp4", "Connection: close")) as connected:
                read(connected)
        elif behaviour == 1:
            asked = [
                request("middle.mp4", "Range: bytes=-100"),
                request("small.mp4", "Range: bytes=20000-"),
                request("large.mp4", method="HEAD"),
                request("large.mp4", "Range: bytes=1000-700000"),
                request("small.mp4", "Connection: close"),
            ]
            with screen(box, *asked) as connected:
                read(connected)
        elif behaviour == 2:  # leaves in the middle, with a reset
            with screen(box, request("large.mp4"), room=8192) as connected:
                read(connected, pick.randrange(1, 2 << 20))
        elif behaviour == 3:  # asks for much and reads nothing of it
            with screen(box, *[request("small.mp4")] * 200, room=4096) as connected:
                read(connected, 1)
                time.sleep(pick.random() / 5)
        elif behaviour == 4:  # reads late what its connection's end left behind
            with screen(box, request("middle.mp4"), request("large.mp4", "Connection: close"), room=4096) as connected:
                time.sleep(pick.random() / 2)
                read(connected)
        elif behaviour == 5:  # half-closes, and reads on
            with screen(box, request("middle.mp4")) as connected:
                connected.shutdown(socket.SHUT_WR)
                read(connected)
        elif behaviour == 6:  # reads nothing until nginx gives it up
            with screen(box, request("large.mp4"), room=4096) as connected:
                time.sleep(5)
                read(connected)
        else:  # leaves in the middle of the second
            with screen(box, request("large.mp4"), request("large.mp4"), room=8192) as connected:
                read(connected, pick.randrange(3 << 20, 6 << 20))


def test_records_are_what_left(box: Box):
    """Whole, partial, broken off, never read, given up: each path's bytes are as they were on the wire."""
    box.start()
    pick = random.Random(5)
    with wire.captured(box.port) as seen:
        with ThreadPoolExecutor(8) as screens:
            for done in [screens.submit(various, box, pick) for _ in range(80)]:
                done.result()
        box.settle()
    assert seen.bytes.keys() == {f"/r/1/{path}" for path in FILES}
    assert box.counted()[0] == seen.bytes


def test_the_end_of_a_connection_is_no_byte_that_never_left(box: Box):
    """nginx is done and has closed; its last bytes wait, with a FIN behind them, when the screen leaves."""
    box.start()
    with wire.captured(box.port) as seen:
        for number in range(1, 4):
            with screen(box, request("middle.mp4", "Connection: close"), room=4096) as connected:
                assert read(connected, 1000) == 1000
                deadline = time.monotonic() + PATIENCE
                while (box.folder / "all.log").read_text().count(" OKclose ") < number:
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
        box.settle()
    assert box.counted()[0] == seen.bytes
    assert 0 < seen.bytes.total() < 3 * len(FILES["middle.mp4"])


def test_records_are_what_left_though_delivery_is_killed_again_and_again(box: Box):
    """nginx serves on meanwhile; what it says waits in its log, and what the kernel says at the guard."""
    box.start()
    pick = random.Random(6)
    with wire.captured(box.port) as seen:
        with ThreadPoolExecutor(8) as screens:
            asked = [screens.submit(various, box, pick) for _ in range(80)]
            while not all(done.done() for done in asked):
                time.sleep(pick.random())
                box.kill()
                time.sleep(pick.random() / 2)
                box.start()
        box.settle()
    box.kill(signal.SIGTERM)
    assert box.counted()[0] == seen.bytes


async def test_what_is_withdrawn_stops_in_the_middle_and_counts_what_left(box: Box):
    """Downloads of the release end with a reset, as soon as delivery says so; the sum is what was on the wire."""
    meter = Meter(box.ledger, "bigscreen", "big", None, None, survive=False)  # type: ignore[arg-type]
    guard = Guard(box.socket)
    transfers = Transfers(box.log, Accounts(box.folder, 2), meter, guard)
    with wire.captured(box.port) as seen, contextlib.ExitStack() as open_:
        readers = [open_.enter_context(screen(box, request("large.mp4"), room=8192)) for _ in range(5)]
        for reader in readers:
            assert await asyncio.to_thread(read, reader, 100_000) == 100_000

        assert await transfers.withdraw(["other"]) == 0
        assert await transfers.withdraw(["1"]) == 5

        for reader in readers:
            assert await asyncio.to_thread(read, reader) < len(FILES["large.mp4"]) - 100_000
        deadline = time.monotonic() + PATIENCE
        while box.counted()[1].total() < 5:
            assert time.monotonic() < deadline
            await transfers.look()
            await asyncio.sleep(0.05)
    assert box.counted()[0] == seen.bytes
    await transfers.drain()
    guard.close()
