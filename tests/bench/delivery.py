"""Store hits of delivery and nginx's static files side by side: CPU of the server for the same bytes, and the rate of one client.

Ratios matter, not absolutes: both servers run on this machine, one after the other, driven by the same client over kept connections.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread

from rich.console import Console
from rich.table import Table

from tests.server.content import media
from tests.server.content.conftest import CODE, Chain, free_port, until

SECONDS = 4.0  # of each measurement
CLIENTS = 4  # connections
OBJECTS = {"2 MiB segments": ("segment.m4s", 2 << 20), "16 KiB objects": ("small.m4s", 16 << 10)}
TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Measured:
    """What one server did in one measurement."""

    requests: int
    size: int
    seconds: float
    cpu: float  # seconds of the server's processes

    @property
    def cpu_per_gigabyte(self) -> float:
        return self.cpu / (self.requests * self.size / 1e9)

    @property
    def cpu_per_request(self) -> float:
        return self.cpu / self.requests * 1e6  # microseconds

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def cpu_of(pids: list[int]) -> float:
    """Return the seconds of CPU that the processes took so far (proc(5), fields 14 and 15)."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICK


def drive(address: str, port: int, path: str, size: int) -> int:
    """Ask again and again over one connection for ``SECONDS``; return how often."""
    count, end, buffer = 0, time.monotonic() + SECONDS, bytearray(1 << 20)
    connection = HTTPConnection(address, port, timeout=10)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while time.monotonic() < end:
        connection.request("GET", path)
        response = connection.getresponse()
        received = 0
        while read := response.readinto(buffer):
            received += read
        if (response.status, received) != (200, size):
            raise RuntimeError(f"{response.status}, {received} bytes instead of {size}")
        count += 1
    connection.close()
    return count


def measure(address: str, port: int, path: str, size: int, pids: list[int]) -> Measured:
    """Drive one server with all clients."""
    counts = [0] * CLIENTS

    def client(index: int) -> None:
        counts[index] = drive(address, port, path, size)

    threads = [Thread(target=client, args=(index,)) for index in range(CLIENTS)]
    before, began = cpu_of(pids), time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Measured(sum(counts), size, time.monotonic() - began, cpu_of(pids) - before)


NGINX = """
daemon off; worker_processes 1; pid {base}/nginx.pid; error_log stderr; user root;
events {{ worker_connections 256; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; open_file_cache max=1000;
  client_body_temp_path {base}/t1; proxy_temp_path {base}/t2; fastcgi_temp_path {base}/t3; uwsgi_temp_path {base}/t4;
  scgi_temp_path {base}/t5;
  server {{ listen {address}:{port}; root {root}; }}
}}
"""


@contextmanager
def nginx(
    base: Path, root: Path, address: str = "127.20.0.1", port: int | None = None
) -> Iterator[tuple[int, list[int]]]:
    """Run nginx on ``root``; yield its port and processes."""
    port = port or free_port(address)
    base.mkdir()
    (base / "nginx.conf").write_text(NGINX.format(base=base, address=address, port=port, root=root))
    with (base / "log").open("wb") as log:
        process = subprocess.Popen(["nginx", "-p", str(base), "-c", str(base / "nginx.conf")], stderr=log)
    try:

        def listens() -> bool:
            with socket.socket() as connection:
                return connection.connect_ex((address, port)) == 0

        until(listens, f"nginx listens: {(base / 'log').read_text()}")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield port, [process.pid, *map(int, children)]
    finally:
        process.terminate()
        process.wait(10)


def main() -> None:
    """Measure, and print the table."""
    console = Console()
    if shutil.which("nginx") is None:
        console.print("delivery: nginx is not installed (Debian: nginx-light), nothing to compare with", style="yellow")
        return
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as folder, Chain(Path(folder)) as chain:
        files = {name: media.sized(size) for name, size in OBJECTS.values()}
        chain.publish(files)
        for name in files:
            chain.play(name)
        table = Table("", "delivery", "nginx static", "ratio", title="store hits, one process each")
        with nginx(chain.base / "nginx", chain.base / f"source-{CODE}-1") as (port, pids):
            ours = [chain.processes["delivery-bigscreen"].pid]
            for title, (name, size) in OBJECTS.items():
                with console.status(f"{title}: delivery, then nginx, {SECONDS:g} s each"):
                    mine = measure("127.20.0.1", chain.port, f"/r/{CODE}/{name}", size, ours)
                    theirs = measure("127.20.0.1", port, f"/{name}", size, pids)
                rows = [("requests/s", "rate", "{:,.0f}"), ("server CPU, us/request", "cpu_per_request", "{:,.0f}")]
                if size > 1 << 20:
                    rows.append(("server CPU, s/GB", "cpu_per_gigabyte", "{:.3f}"))
                for words, field, form in rows:
                    a, b = getattr(mine, field), getattr(theirs, field)
                    table.add_row(f"{title}: {words}", form.format(a), form.format(b), f"{a / b:.2f}" if b else "-")
        console.print(table)
        console.print(f"{len(chain.records('usage'))} records of use are durable; every delivery makes one.")
