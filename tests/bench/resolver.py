"""The resolver at ``HEADGATE_BENCH_CODES`` codes, beside an aiohttp server that answers a constant and one on PostgreSQL.

A registry's snapshot and 100,000 changes are made and replicated, then single codes and batches are asked. The machine may be
shared, so rates are per second of the server's own processor time too; with ``HEADGATE_BENCH_AHEAD=1`` server and asker go before all
other processes while they are measured, by fractions of a second.
"""

import asyncio
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from appliance.identity.keys import PrivateKey
from gateway.resolver.published import Snapshot
from gateway.resolver.table import Table
from tests.bench._load import ahead, children, flat_out, hundredth, memory, paced, processor, waited
from tests.registries import Registry

CODES = int(os.environ.get("HEADGATE_BENCH_CODES", "200000"))
LINKS = 3  # of each
CHANGES = 100_000  # of a day
ASKED = 20_000  # different codes that are asked for
SECONDS = 5.0  # of load on each server
TURNS = 10
BATCH = 10_000
POSTGRESQL = sorted(Path("/usr/lib/postgresql").glob("*/bin"))

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
rows: list[tuple[str, str]] = []


def say(what: str, measured: str) -> None:
    """Note a figure, and print it at once: the whole takes minutes."""
    rows.append((what, measured))
    print(f"  {what:78} {measured}", flush=True)


def going(what: str) -> None:
    """Say what takes its time now."""
    print(f"  {datetime.now(UTC):%H:%M:%S} {what}", file=sys.stderr, flush=True)


def main() -> None:
    """Run the benchmark and print what was measured."""
    print(f"\n{CODES:,} codes, {CODES * LINKS:,} links; {os.cpu_count()} processors", flush=True)
    with tempfile.TemporaryDirectory(prefix="hgb-", dir=os.environ.get("HEADGATE_BENCH_FOLDER")) as name:
        folder = Path(name)
        registry = Registry(folder / "registry", PrivateKey.generate())
        registry.made = datetime.now(UTC)  # what is said long ago is stale, which is told by a longer way
        codes = Codes(CODES)
        begun = time.perf_counter()
        going("making a snapshot")
        publish(registry, codes)
        size = sum(path.stat().st_size for path in (folder / "registry/snapshot").iterdir())
        say("(made) a snapshot, compressed", f"{size / 1e6:,.0f} MB in {time.perf_counter() - begun:.0f} s")
        replicate(folder, registry, codes)
        asked = [codes.code(n) for n in random.Random(1).choices(range(CODES), k=ASKED)]
        going("asking")
        tables(folder, asked)
        served(folder, asked)
        if POSTGRESQL:
            going("loading PostgreSQL")
            database(folder, codes, asked)


class Codes:
    """The codes and the records of a bench, made fast."""

    def __init__(self, count: int) -> None:
        digits = np.arange(count)[:, None] // 10 ** np.arange(14, -1, -1)[None, :] % 10 if count < 1 << 20 else None
        total = np.zeros(count, dtype=np.int64)
        service = [9] * 6
        for index, digit in enumerate(service):
            product = digit * (1 + index % 2)
            total += product // 10 + product % 10
        number = np.arange(count)
        for place in range(15):
            digit = (digits[:, place] if digits is not None else number // 10 ** (14 - place) % 10) * (
                1 + (6 + place) % 2
            )
            total += digit // 10 + digit % 10
        self.check = ((10 - total % 10) % 10).astype(np.uint8)
        self.others = np.random.default_rng(1).integers(0, count, size=(count, LINKS), dtype=np.int32)

    def code(self, number: int) -> bytes:
        return b"isli:999999-%015d-%d" % (number, self.check[number])

    def record(self, number: int, title: str = "影片") -> bytes:
        code = self.code(number)
        links = b",".join(
            b'{"target":"%s","type":"multimedia"}' % self.code(other)
            for other in sorted(set(self.others[number].tolist()))
        )
        return (
            b'{"body":"library","code":"%s","links":[%s],"locations":[{"entry":"master.m3u8","release":"%s"}],'
            b'"status":"registered","title":"%s %d"}' % (code, links, code, title.encode(), number)
        )


def publish(registry: Registry, codes: Codes) -> None:
    """Publish the snapshot, of a log that has few changes: what came before a snapshot no box reads."""
    registry.change(codes.record(n) for n in range(min(CODES, 1000)))
    chunks = []
    for start in range(0, CODES, 50_000):
        numbers = range(start, min(CODES, start + 50_000))
        if start and not start % 1_000_000:
            going(f"{start:,} codes")
        chunks.append(registry.chunk([(codes.code(n), codes.record(n)) for n in numbers]))
    made: Snapshot = registry.snapshot(chunks=chunks)
    assert made.count == CODES
    # So many changes that a box begins from the snapshot rather than with the first change.
    step = max(1, CODES // 50_001)
    registry.change(codes.record(n, "今日") for n in range(0, min(CODES, step * 50_001), step))


def replicate(folder: Path, registry: Registry, codes: Codes) -> None:
    """Load the snapshot, then a day's changes."""
    going("laying it down")
    told = replica(folder, registry)
    say(
        f"snapshot: verified, laid down, in use; and {registry.size - 1000:,} changes",
        f"{told['seconds']:.1f} s ({told['processor']:.1f} s of processor), {told['memory'] / 1e6:,.0f} MB of memory",
    )
    say("the table on disk", f"{told['bytes'] / 1e6:,.0f} MB, {told['links']:,} links, {told['levels']} levels")
    opened = Table.open(folder / "box/identifiers")
    choose = random.Random(2)
    going("a day's changes")
    registry.change(codes.record(choose.randrange(CODES), "明日") for _ in range(CHANGES))
    told = replica(folder, registry)
    say(
        f"{CHANGES:,} changes of a day, from the head to the table in use",
        f"{told['seconds']:.1f} s ({told['processor']:.1f} s of processor), {told['levels']} levels",
    )
    begun = time.perf_counter()
    assert opened.refresh()
    say("swap: a reader changes to the new table", f"{(time.perf_counter() - begun) * 1e3:.2f} ms")
    opened.close()


def replica(folder: Path, registry: Registry) -> dict[str, float]:
    argv = [
        sys.executable,
        "-m",
        "tests.bench._replica",
        str(folder / "box"),
        str(registry.folder),
        str(registry.key.public),
    ]
    told = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
    assert told["fresh"]
    return told


def timed(work: Callable[[], object]) -> float:
    """Return the seconds of this process' processor that ``work`` takes."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def tables(folder: Path, asked: list[bytes]) -> None:
    """The table by itself."""
    begun = time.perf_counter()
    table = Table.open(folder / "box/identifiers")
    assert table.raw_of(asked[0])
    say("open the table and read a record", f"{(time.perf_counter() - begun) * 1e3:.2f} ms")
    some = [code.decode() for code in asked[:2000]]
    parts = [asked[n : n + BATCH] for n in range(0, len(asked), BATCH)]
    for what, number, work in (
        ("first read of each code", len(asked), lambda: [table.raw_of(code) for code in asked]),
        ("read again, one by one", len(asked), lambda: [table.raw_of(code) for code in asked]),
        (f"read again, {BATCH:,} at once", len(asked), lambda: [table.many(part) for part in parts]),
        ("links backward of a code", len(some), lambda: [table.backward(code) for code in some]),
    ):
        say(f"table: {what}", f"{number / timed(work):,.0f} per second of processor")
    table.close()


@contextmanager
def running(argv: list[str], **environment: str) -> Iterator[int]:
    """Run a server of ours."""
    with (Path(tempfile.gettempdir()) / "headgate-bench.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, *argv], env=os.environ | environment, stderr=log)
        try:
            yield process.pid
        finally:
            process.terminate()
            process.wait(10)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def gets(asked: list[bytes], accept: str) -> list[bytes]:
    return [b"GET /id/%s HTTP/1.1\r\nHost: box\r\nAccept: %s\r\n\r\n" % (code, accept.encode()) for code in asked]


@dataclass
class Server:
    """One that is asked for single codes: what it is, where, whose processor it uses, and how it is asked."""

    what: str
    port: int
    pids: Callable[[], list[int]]
    requests: list[bytes]
    answers: int = 0
    used: float = 0.0
    seconds: float = 0.0

    @property
    def per_core(self) -> float:
        """Answers per second of the server's processor."""
        return self.answers / self.used


def side_by_side(*servers: Server) -> None:
    """Measure servers flat out, turn by turn so that all have the same company on the machine, and then at half of that."""
    os.sync()  # what was loaded is on the disk: its writing takes the processor from those who are measured
    for turn in range(TURNS + 1):  # the first warms
        for server in servers:
            with ahead(server.pids()):
                before, begun = processor(server.pids()), time.perf_counter()
                times = asyncio.run(flat_out(server.port, server.requests, SECONDS / TURNS))
                used, seconds = processor(server.pids()) - before, time.perf_counter() - begun
            if turn:
                server.answers, server.used, server.seconds = (
                    server.answers + len(times),
                    server.used + used,
                    server.seconds + seconds,
                )
    for server in servers:
        rate = server.answers / server.seconds
        half, idle = list[float](), 0.0
        for _ in range(TURNS):
            some = [os.getpid(), *server.pids()]
            with ahead(server.pids()):
                before = waited(some)
                half += asyncio.run(paced(server.port, server.requests, rate / 2, SECONDS / TURNS))
                idle += (waited(some) - before) / len(some)
        median, slowest = hundredth(half, 0.5) * 1e3, hundredth(half) * 1e3
        say(
            server.what,
            f"{rate:,.0f} /s, {server.per_core:,.0f} per second of processor; "
            f"at half load p50 {median:.2f}, p99 {slowest:.2f} ms, {idle / SECONDS:.1%} of the time without a processor",
        )


def batches(what: str, port: int, pids: Callable[[], list[int]], asked: list[bytes]) -> None:
    bodies = [b"\n".join(asked[start : start + BATCH]) for start in range(0, len(asked), BATCH)]

    async def ask() -> None:
        import aiohttp

        async with aiohttp.ClientSession() as session:
            for body in bodies:
                async with session.post(
                    f"http://127.0.0.1:{port}/batch", data=body, headers={"Content-Type": "text/plain"}
                ) as answer:
                    assert answer.status == 200, await answer.text()
                    async for _ in answer.content.iter_any():
                        pass

    asyncio.run(ask())
    seconds, used, count = 0.0, 0.0, 0
    while seconds < SECONDS:
        with ahead(pids()):
            before, begun = processor(pids()), time.perf_counter()
            asyncio.run(ask())
            seconds, used = seconds + time.perf_counter() - begun, used + processor(pids()) - before
        count += len(asked)
    say(what, f"{count / seconds:,.0f} codes/s, {count / used:,.0f} per second of processor")


def served(folder: Path, asked: list[bytes]) -> None:
    """The resolver as its unit runs it, beside a constant."""
    port = free_port()
    policy = folder / "policy.yaml"
    policy.write_text(POLICY.format(port=port))
    places = {"HEADGATE_RUN": str(folder / "run"), "HEADGATE_STATE": str(folder / "box")}
    other = free_port()
    resolver = ["-m", "provisioning", "run", "resolver", "--zone", "bigscreen", "--config", str(policy)]
    with (
        running(resolver, **places) as pid,
        running(["-m", "tests.bench._peers", "constant", str(other), "600"]) as constant,
    ):
        program, player = gets(asked, "application/json"), gets(asked, "*/*")
        told = Server("resolver: JSON", port, lambda: [pid], program)
        sent = Server("resolver: redirect of a player", port, lambda: [pid], player)
        peer = Server("peer: aiohttp that answers a constant of 600 bytes", other, lambda: [constant], program)
        side_by_side(told, sent, peer)
        ratios = f"{told.per_core / peer.per_core:.2f}; {sent.per_core / peer.per_core:.2f}"
        say("beside the constant, per second of processor: JSON; redirect", ratios)
        batches(f"resolver: batches of {BATCH:,}", port, lambda: [pid], asked)
        own, mapped = memory(pid)
        what = "resolver: memory of its own; and of the table's file, which the kernel may take back"
        say(what, f"{own / 1e6:,.0f} MB; {mapped / 1e6:,.0f} MB")


def database(folder: Path, codes: Codes, asked: list[bytes]) -> None:
    """What an operator would build instead: the same records in PostgreSQL, asked by aiohttp."""
    import psycopg

    become = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    place = Path(tempfile.mkdtemp(prefix="hgpg-", dir=os.environ.get("HEADGATE_BENCH_FOLDER")))
    if become:
        shutil.chown(place, "postgres")
        folder.chmod(0o755)
    programs, data = POSTGRESQL[-1], place / "data"

    def call(*argv: str) -> None:
        subprocess.run([*become, *argv], check=True, cwd=place, capture_output=True, timeout=120)

    try:
        call(
            str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "headgate", "-N", "-E", "UTF8", "--locale=C"
        )
        options = f"-k {place} -c listen_addresses='' -c fsync=off -c shared_buffers=1GB -c max_wal_size=8GB"
        call(str(programs / "pg_ctl"), "-D", str(data), "-w", "-l", str(place / "log"), "-o", options, "start")
        try:
            begun = time.perf_counter()
            with psycopg.connect(f"host={place} dbname=postgres user=headgate", autocommit=True) as connection:
                connection.execute("CREATE UNLOGGED TABLE identifiers (code text NOT NULL, record text NOT NULL)")
                with connection.cursor() as cursor, cursor.copy("COPY identifiers FROM STDIN (FORMAT text)") as copy:
                    for start in range(0, CODES, 10_000):
                        numbers = range(start, min(CODES, start + 10_000))
                        copy.write(b"".join(b"%s\t%s\n" % (codes.code(n), codes.record(n)) for n in numbers))
                connection.execute("ALTER TABLE identifiers ADD PRIMARY KEY (code)")
                connection.execute("VACUUM ANALYZE identifiers")
                (size,) = connection.execute("SELECT pg_total_relation_size('identifiers')").fetchone()
            say(
                "PostgreSQL: load (without links), index; on disk",
                f"{time.perf_counter() - begun:.0f} s; {size / 1e6:,.0f} MB",
            )
            head = int((data / "postmaster.pid").read_text().split()[0])
            port = free_port()
            with running(["-m", "tests.bench._peers", "postgresql", str(port), str(place)]) as pid:
                pids = lambda: [pid, *children(head)]  # noqa: E731
                side_by_side(Server("PostgreSQL behind aiohttp: JSON", port, pids, gets(asked, "application/json")))
                batches(f"PostgreSQL behind aiohttp: batches of {BATCH:,}", port, pids, asked)
        finally:
            call(str(programs / "pg_ctl"), "-D", str(data), "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
