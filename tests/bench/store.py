"""The store with a million objects: time until a restarted exchange serves, memory, what room, uses and a pass over the files cost.

The objects are sparse files of 1 MiB (their bytes are never read here), each with its row in the index; the file system is that of the
temporary folder. Compared with what any store must do at least: making and removing the same files by themselves.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from appliance.identity.keys import PrivateKey
from gateway.isolation.content import Store
from gateway.store.index import NAME, Coming
from gateway.store.keeper import Keeper
from gateway.store.manifests import Manifests
from gateway.store.objects import Objects
from gateway.store.policies import KNOWN
from gateway.store.reconcile import Reconciling

OBJECTS = int(os.environ.get("HEADGATE_BENCH_OBJECTS", "1000000"))
SIZE = 1 << 20  # bytes of an object
GOING = min(10_000, OBJECTS // 10)  # objects that make room, by each policy
USES = 100_000
STARTS = 5
SIXTEENTH = 16  # of the objects are made without a row, so that reconciling finds something

OPEN = """
import json, sys, time
from pathlib import Path
from gateway.isolation.content import Store
from gateway.store.keeper import Keeper
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
before = resident()
began = time.perf_counter()
keeper = Keeper(Path(sys.argv[1]), Store(size=1 << 40, free=1))
with keeper.room_for(1, "library", "bigscreen"):
    ready = time.perf_counter() - began
print(json.dumps({"seconds": ready, "bytes": resident() - before, "objects": keeper.index.objects()}))
"""
POLICY = """
site: bench
zones:
  management: {{port: "02:68:67:28:00:0b", addresses: [127.40.0.1/24]}}
  culture: {{port: "02:68:67:0a:00:0b", addresses: [127.10.0.1/24]}}
  bigscreen: {{port: "02:68:67:14:00:0b", addresses: [127.20.0.1/24]}}
bodies:
  library: {{name: 图书馆, keys: ["{key}"], identifiers: ["isli:999999-1"], acts: [share]}}
services:
  delivery: {{zone: bigscreen, run: delivery, listen: tcp/18080, from: [127.20.0.0/24]}}
lanes:
  films: {{from: culture, to: bigscreen, kind: release, largest: 4 MiB}}
  usage: {{from: bigscreen, to: management, kind: record}}
store: {{size: 1024 GiB, free: 1 B}}
never:
  - {{from: bigscreen, to: management}}
"""


def main() -> None:
    """Run the benchmark and print what was measured."""
    rows: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory(prefix="hgb-") as name:
        folder = Path(name)
        root = folder / "state" / "store"
        Objects(root).prepare()
        Manifests(root).prepare()
        seconds = timed(lambda: [make(root, digest) for digest in digests()])
        rows.append((f"floor: making {OBJECTS:,} sparse files of 1 MiB", f"{seconds:.1f} s"))
        keeper = Keeper(root, settings())
        seconds = timed(lambda: fill(keeper))
        known = keeper.index.objects()
        rows.append(("a row for each, 1000 in a transaction", f"{seconds / known * 1e6:.0f} us each, {seconds:.1f} s"))
        seconds = timed(lambda: one_by_one(keeper, 2000))
        rows.append(("a row for one object that came (as a fill does)", f"{seconds / 2000 * 1e6:.0f} us"))
        keeper.close()
        size = sum(path.stat().st_size for path in root.glob(f"{NAME}*"))
        rows.append(("index on disk", f"{size / 1e6:.0f} MB, {size / keeper.index.objects():.0f} bytes each"))
        opened = [opening(root) for _ in range(STARTS)]
        rows.append(
            (
                f"open with {opened[0]['objects']:,} objects until room is given",
                f"{worst(opened, 'seconds') * 1000:.0f} ms",
            )
        )
        rows.append(("memory that this takes", f"{worst(opened, 'bytes') / 1e6:.1f} MB"))
        seconds, memory = daemon(folder / "empty")
        rows.append(
            (
                "restart of the whole exchange, empty, until its socket answers",
                f"{seconds:.2f} s, {memory / 1e6:.0f} MB",
            )
        )
        seconds, memory = daemon(folder)
        rows.append(("the same with these objects", f"{seconds:.2f} s, {memory / 1e6:.0f} MB"))
        rows += reconciling(root)
        rows += keeping(root)
    print(f"\n{OBJECTS:,} objects, {os.cpu_count()} processors; worst of {STARTS} where it is a start")
    for what, measured in rows:
        print(f"  {what:70} {measured:>26}")


def settings() -> Store:
    """Return settings by which nothing has to go."""
    return Store(size=1 << 40, free=1)


def digests() -> Iterator[str]:
    """Yield the objects' digests."""
    for number in range(OBJECTS):
        yield hashlib.sha256(number.to_bytes(4, "big")).hexdigest()


def make(root: Path, digest: str) -> None:
    """Make one sparse object."""
    path = root / "objects" / digest[:2] / digest
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    except FileNotFoundError:
        path.parent.mkdir()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    os.ftruncate(descriptor, SIZE)
    os.close(descriptor)


def fill(keeper: Keeper) -> None:
    """Give a row to all but every sixteenth object."""
    batch: list[Coming] = []
    for number, digest in enumerate(digests()):
        if number % SIXTEENTH:
            batch.append(Coming(digest, SIZE, f"body{number % 50}", "bigscreen", f"release{number // 500}"))
        if len(batch) == 1000:
            keeper.index.add(batch)
            batch = []
    keeper.index.add(batch)


def one_by_one(keeper: Keeper, count: int) -> None:
    """Give rows to ``count`` of the others, one at a time."""
    for number, digest in enumerate(digests()):
        if number % SIXTEENTH == 0:
            keeper.added(digest, SIZE, "body0", "bigscreen", "release0")
            count -= 1
            if not count:
                return


def opening(root: Path) -> dict[str, float]:
    """Open the store in a process of its own."""
    done = subprocess.run([sys.executable, "-c", OPEN, str(root)], capture_output=True, check=True, text=True)
    told: dict[str, float] = json.loads(done.stdout)
    return told


def worst(told: list[dict[str, float]], name: str) -> float:
    """Return the largest figure of several runs."""
    return max(one[name] for one in told)


def daemon(folder: Path) -> tuple[float, float]:
    """Start the exchange as its unit does; return the worst seconds until it answers, and the memory that it has then."""
    folder.mkdir(exist_ok=True)
    policy = folder / "policy.yaml"
    policy.write_text(POLICY.format(key=PrivateKey.generate().public))
    environment = os.environ | {"HEADGATE_RUN": str(folder / "run"), "HEADGATE_STATE": str(folder / "state")}
    argv = [sys.executable, "-m", "provisioning", "run", "exchange", "--config", str(policy)]
    seconds, memory = 0.0, 0.0
    path = str(folder / "run" / "exchange" / "delivery-bigscreen" / "exchange.sock")
    for _ in range(STARTS):
        Path(path).unlink(missing_ok=True)
        began = time.perf_counter()
        with subprocess.Popen(argv, env=environment, stderr=subprocess.DEVNULL) as process:
            while not answers(path):
                time.sleep(0.005)
            seconds = max(seconds, time.perf_counter() - began)
            pages = Path(f"/proc/{process.pid}/statm").read_text().split()[1]
            memory = max(memory, int(pages) * os.sysconf("SC_PAGE_SIZE"))
            process.kill()
    return seconds, memory


def answers(path: str) -> bool:
    """Return whether somebody listens at the socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(path)
        except OSError:
            return False
        return True


def reconciling(root: Path) -> list[tuple[str, str]]:
    """Bring index and files in line: once with a sixteenth without rows, once with nothing to do."""
    keeper = Keeper(root, settings())
    rows = []
    for what in ("a pass over all files that finds the rest without rows", "a pass that finds nothing"):
        found: list[int] = []
        slowest = 0.0
        steps = Reconciling(keeper, Manifests(root)).steps()
        began = time.perf_counter()
        while True:
            step = time.perf_counter()
            if (differences := next(steps, None)) is None:
                break
            found.append(differences)
            slowest = max(slowest, time.perf_counter() - step)
        seconds = time.perf_counter() - began
        rows.append((f"{what} ({sum(found):,})", f"{seconds:.1f} s, {slowest * 1000:.0f} ms a folder at most"))
    keeper.close()
    return rows


def keeping(root: Path) -> list[tuple[str, str]]:
    """Let objects go by each policy, and note uses."""
    keeper = Keeper(root, settings())
    rng = random.Random(1)
    everything = list(digests())
    rows = []
    used = rng.choices(everything, k=USES)
    seconds = timed(lambda: [keeper.used(digest, SIZE, SIZE, "release1") for digest in used])
    rows.append((f"used, {USES:,} times, shadows included", f"{seconds / USES * 1e6:.1f} us each"))
    seconds = timed(keeper.flush)
    rows.append(("uses written down", f"{seconds / len(set(used)) * 1e6:.0f} us each"))
    floor = list((root / "objects" / "00").iterdir())[:GOING]
    seconds = timed(lambda: [path.unlink() for path in floor])
    rows.append(("floor: removing a file", f"{seconds / len(floor) * 1e6:.0f} us"))
    for name, keep in KNOWN.items():
        keeper.index.keep = keep
        before = keeper.index.objects()
        seconds = timed(lambda: keeper.squeeze(GOING * SIZE))
        went = before - keeper.index.objects()
        rows.append((f"making room, {name}, {went:,} objects with their files", f"{seconds / went * 1e6:.0f} us each"))
    keeper.close()
    return rows


def timed(work: object) -> float:
    """Return the seconds that ``work`` takes."""
    assert callable(work)
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
