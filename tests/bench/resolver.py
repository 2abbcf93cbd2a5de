"""The resolver beside its peers: its table beside a plain dict, its HTTP rate beside nginx that only says ``return 302``."""

import asyncio
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from gateway.resolver import writing
from gateway.resolver.codes import check_digit, parse
from gateway.resolver.records import Location, Record, Snapshot
from gateway.resolver.table import Table

RECORDS = 50_000
LOOKUPS = 100_000
SECONDS = 3.0  # of load on each server
CONNECTIONS = 8  # kept alive, one request at a time each

POLICY = """\
site: bench
zones:
  bigscreen:  {{port: "02:68:67:14:00:0b", addresses: [127.0.0.1/8]}}
  management: {{port: "02:68:67:28:00:0b", addresses: [10.40.0.11/24]}}
services:
  delivery: {{zone: bigscreen, run: delivery, listen: tcp/80, from: [127.0.0.0/8]}}
  resolver: {{zone: bigscreen, run: resolver, listen: tcp/{port}, from: [127.0.0.0/8]}}
never:
  - {{from: bigscreen, to: management}}
"""
NGINX = """\
worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log; daemon off;
events {{ worker_connections 256; }}
http {{ access_log off; keepalive_requests 1000000;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4;
  scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}; location / {{ return 302 http://127.0.0.1/r$uri/master.m3u8; }} }} }}
"""


def main() -> None:
    """Run the benchmark and print what was measured."""
    rows: list[tuple[str, str]] = []
    payloads = [f"999999{n:015}" for n in range(RECORDS)]
    codes = [f"isli:{p[:6]}-{p[6:]}-{check_digit(p)}" for p in payloads]
    records = [
        Record(code=c, title=f"影片 {n}", body="library", locations=[Location(release=c, entry="master.m3u8")])
        for n, c in enumerate(codes)
    ]
    payload = Snapshot(registry="centre", serial=1, made=datetime.now(UTC), records=records).dump()
    chosen = [parse(c) for c in random.Random(1).choices(codes, k=LOOKUPS)]
    with tempfile.TemporaryDirectory(prefix="hgb-") as name:
        folder = Path(name)
        identifiers = folder / "state/identifiers"
        seconds = timed(lambda: writing.install(identifiers, payload))
        rows.append(
            (f"install a table of {RECORDS:,} ({len(payload) / 1e6:.1f} MB): verify, build, fsync", f"{seconds:.2f} s")
        )
        plain = {record.code: record for record in records}
        opened = Table.open(identifiers)
        rate = LOOKUPS / timed(lambda: [plain.get(code.canonical) for code in chosen])
        rows.append(("peer: get from a dict that holds parsed records", f"{rate:,.0f} /s"))
        rate = LOOKUPS / timed(lambda: [opened.get(code) for code in chosen])
        rows.append(("get from the table (LMDB, record parsed each time)", f"{rate:,.0f} /s"))
        rate = LOOKUPS / timed(lambda: [parse(code.canonical) for code in chosen])
        rows.append(("parse a code and verify its check digit", f"{rate:,.0f} /s"))
        opened.close()
        paths = [f"/id/{code.quoted}" for code in chosen[:1000]]
        if shutil.which("nginx"):
            rows.append(("peer: HTTP, nginx with 'return 302', one worker", served(nginx, folder, paths)))
        rows.append(("HTTP, the resolver (one process), 302 from the table", served(resolver, folder, paths)))
    print(
        f"\n{CONNECTIONS} connections, {os.cpu_count()} processors; the client is Python and shares them: it bounds nginx's figure"
    )
    for what, measured in rows:
        print(f"  {what:75} {measured:>22}")


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that ``work`` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def resolver(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Start a resolver as its unit does."""
    policy = folder / "policy.yaml"
    policy.write_text(POLICY.format(port=port))
    environment = os.environ | {"HEADGATE_RUN": str(folder / "run"), "HEADGATE_STATE": str(folder / "state")}
    argv = ["-m", "provisioning", "run", "resolver", "--zone", "bigscreen", "--config", str(policy)]
    return subprocess.Popen([sys.executable, *argv], env=environment, stderr=subprocess.DEVNULL)


def nginx(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Start an nginx that redirects everything."""
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
    return subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf")], stderr=subprocess.DEVNULL)


def served(start: Callable[[Path, int], subprocess.Popen[bytes]], folder: Path, paths: list[str]) -> str:
    """Start a server, load it, and return its rate and its slowest hundredth."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = start(folder, port)
    try:
        times = sorted(asyncio.run(load(port, paths)))
        return f"{len(times) / SECONDS:,.0f} /s, p99 {times[len(times) * 99 // 100] * 1000:.1f} ms"
    finally:
        process.terminate()
        process.wait(10)


async def load(port: int, paths: list[str]) -> list[float]:
    """Ask for ``SECONDS`` and return the seconds of each answer; any answer but a redirect is an error."""
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                break
    times: list[float] = []
    end = time.perf_counter() + SECONDS

    async def one(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        index = number * 97
        while (begin := time.perf_counter()) < end:
            index += 1
            writer.write(f"GET {paths[index % len(paths)]} HTTP/1.1\r\nHost: box\r\nAccept: */*\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 302 " in head[:20], head
            length = next((int(ln[15:]) for ln in head.lower().split(b"\r\n") if ln.startswith(b"content-length:")), 0)
            await reader.readexactly(length)
            times.append(time.perf_counter() - begin)
        writer.close()

    async with asyncio.TaskGroup() as tasks:
        for number in range(CONNECTIONS):
            tasks.create_task(one(number))
    return times


if __name__ == "__main__":
    main()
