"""Bytes through the whole crossing: rate, and processor seconds of each daemon for a gigabyte, beside sha256 and ``cp`` of the same bytes.

The origin is nginx with sendfile, so that it is not the limit; every screen asks for something that is not in the store yet. The
digest is the floor: every byte is digested twice before a screen sees it, whole and by chunk. ``HEADGATE_BENCH_BYTES`` sets the size of
the large object, such as 10000000000.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

from rich.console import Console
from rich.table import Table

from appliance.runtime.files import write_atomic
from gateway.release import folder as folders
from gateway.release import paths, signed
from gateway.release.manifest import Release, Rights
from tests.bench._caches import nginx_files
from tests.bench._load import processor
from tests.server.content import media
from tests.server.content.conftest import CODE, ORIGIN, Chain, until

SEGMENT, SEGMENTS = 2 << 20, 200  # bytes each
SCREENS = 4  # that ask for segments at once
LARGE = int(os.environ.get("HEADGATE_BENCH_BYTES", "2000000000"))
FRAGMENT = 64 << 20  # bytes of media in one fragment of the large object
READ = 1 << 20  # bytes
DAEMONS = {
    "fetch": "fetch",
    "exchange": "exchange",
    "admission": "admission",
    "inspection": "inspection",
    "delivery": "delivery-bigscreen",
}
GROUPS = (Path("/sys/fs/cgroup/cpuacct"), Path("/sys/fs/cgroup"))


@dataclass
class Measured:
    """What moved, and what it took."""

    size: int
    seconds: float
    cpu: dict[str, float] = field(default_factory=dict)  # daemon -> seconds
    first: float = 0.0  # seconds to the first byte


class Workers:
    """The processor seconds of inspection with its workers, which end before anybody could ask them: counted by a control group."""

    def __init__(self, pid: int) -> None:
        root = next((root for root in GROUPS if (root / "cgroup.procs").exists() and os.access(root, os.W_OK)), None)
        self.pid, self.group = pid, root and root / f"headgate-bench-{os.getpid()}"
        if self.group is not None:
            self.group.mkdir()
            for process in family(pid):
                (self.group / "cgroup.procs").write_text(str(process))

    def seconds(self) -> float:
        """Return the seconds so far; without control groups, of those that live."""
        if self.group is None:
            return processor(family(self.pid))
        usage = self.group / "cpuacct.usage"
        if usage.exists():
            return int(usage.read_text()) / 1e9
        return int((self.group / "cpu.stat").read_text().split()[1]) / 1e6  # "usage_usec N"

    def close(self) -> None:
        """Take the group away, once nobody is in it."""
        if self.group is not None:
            until(lambda: not self.group.joinpath("cgroup.procs").read_text(), "the workers ended")
            self.group.rmdir()


def family(pid: int) -> list[int]:
    """Return ``pid`` and all below it."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def film(path: Path, size: int) -> None:
    """Write a film (fMP4) of ``size`` bytes whose media is random."""
    head = media.box(b"ftyp", b"iso6\0\0\0\0iso6cmfc") + media.box(b"moov", media.box(b"mvhd", bytes(100)))
    random, number = os.urandom(FRAGMENT), 0
    with path.open("wb") as out:
        out.write(head)
        while (left := size - out.tell()) > 0:
            moof = media.box(b"moof", media.box(b"mfhd", bytes(4) + number.to_bytes(4, "big")))
            count = min(FRAGMENT, left - len(moof) - 8)
            if left - len(moof) - 8 - count < len(moof) + 8:  # no room for another fragment behind it
                count = left - len(moof) - 8
            out.write(moof + (8 + count).to_bytes(4, "big") + b"mdat")
            out.write(random[:count])
            out.write(bytes(max(0, count - FRAGMENT)))
            number += 1


def publish(chain: Chain) -> Path:
    """Make the release where the origin has it: nothing of it is copied. Return the large object's path."""
    place = chain.origin.folder / "releases" / CODE
    place.mkdir(parents=True)
    for number in range(SEGMENTS):
        (place / f"{number}.m4s").write_bytes(media.sized(SEGMENT))
    film(place / "film.mp4", LARGE)
    release = Release(
        identifier=f"isli:{CODE}",
        version=1,
        body="library",
        title="刘三姐",
        rights=Rights(zones=("bigscreen",)),
        entry="film.mp4",
        files=folders.gather(place, folders.survey(place)),
    )
    write_atomic(place / paths.MANIFEST, signed.seal(release, chain.key))
    return place / "film.mp4"


def get(chain: Chain, name: str, size: int) -> float:
    """Read a file as a screen does; return the seconds to its first byte."""
    began, first, received, buffer = time.monotonic(), 0.0, 0, bytearray(READ)
    connection = HTTPConnection("127.20.0.1", chain.port, timeout=120)
    try:
        connection.request("GET", f"/r/{CODE}/{name}")
        response = connection.getresponse()
        if response.status != 200:
            raise RuntimeError(f"{name}: {response.status} {response.read(500)!r}")
        while read := response.readinto(buffer):
            first = first or time.monotonic() - began
            received += read
    finally:
        connection.close()
    if received != size:
        raise RuntimeError(f"{name}: {received} bytes instead of {size}")
    return first


def segments(chain: Chain) -> float:
    """Read all segments, by some screens at once."""
    with ThreadPoolExecutor(SCREENS) as screens:
        list(screens.map(lambda number: get(chain, f"{number}.m4s", SEGMENT), range(SEGMENTS)))
    return 0.0


class Roomy(Chain):
    """A chain whose lane takes large objects."""

    def write_policy(self, change: Callable[[str], str] = lambda text: text) -> None:
        super().write_policy(lambda text: change(text.replace("largest: 4 MiB", "largest: 64 GiB")))


@contextlib.contextmanager
def running() -> Iterator[tuple[Chain, Path]]:
    """Run a chain with a fast origin; yield it and the large object's path."""
    with tempfile.TemporaryDirectory(prefix="hb") as folder, Roomy(Path(folder)) as chain:
        large = publish(chain)
        chain.origin.stop()
        with nginx_files(chain.base / "nginx", chain.origin.folder, ORIGIN, chain.origin.port):
            yield chain, large


def through(chain: Chain, workers: Workers, size: int, move: Callable[[], float]) -> Measured:
    """Measure ``move``, which brings ``size`` bytes through."""

    def spent() -> dict[str, float]:
        return {
            name: workers.seconds() if name == "inspection" else processor([chain.processes[daemon].pid])
            for name, daemon in DAEMONS.items()
        }

    before, began = spent(), time.monotonic()
    first = move()
    seconds = time.monotonic() - began
    return Measured(size, seconds, {name: now - before[name] for name, now in spent().items()}, first)


def digested(path: Path) -> Measured:
    """Measure plain SHA-256."""
    began, cpu, buffer, digest = time.monotonic(), time.process_time(), bytearray(READ), hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while read := file.readinto(buffer):
            digest.update(memoryview(buffer)[:read])
    return Measured(path.stat().st_size, time.monotonic() - began, {"all": time.process_time() - cpu})


def copied(path: Path, to: Path) -> Measured:
    """Measure ``cp``, made durable as the store makes its objects."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["cp", "--reflink=never", str(path), str(to)], check=True)
    descriptor = os.open(to, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    to.unlink()
    return Measured(
        path.stat().st_size,
        seconds,
        {"all": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime},
    )


def told(measured: dict[str, Measured]) -> Table:
    """Return the table: a column for each measurement."""
    table = Table("", *measured, title=f"{os.cpu_count()} cores for everything")

    def add(title: str, cell: Callable[[Measured], float | None], form: str) -> None:
        values = [cell(one) for one in measured.values()]
        table.add_row(title, *("" if value is None else form.format(value) for value in values))

    def seconds(name: str) -> Callable[[Measured], float | None]:
        return lambda one: one.cpu[name] / (one.size / 1e9) if name in one.cpu else None

    add("MB/s", lambda one: one.size / 1e6 / one.seconds, "{:,.0f}")
    add("first byte, ms", lambda one: one.first * 1000 or None, "{:,.0f}")
    add("processor, s/GB: all", lambda one: sum(one.cpu.values()) / (one.size / 1e9), "{:.2f}")
    for name in DAEMONS:
        add(f"  {name}", seconds(name), "{:.2f}")
    return table


def main() -> None:
    """Measure, and print the table."""
    console = Console()
    if shutil.which("nginx") is None:
        console.print(
            "crossing: nginx is not installed (Debian: nginx-light), no origin is fast enough", style="yellow"
        )
        return
    large, measured = f"{LARGE / 1e9:g} GB", {}
    with running() as (chain, path):
        workers = Workers(chain.processes["inspection"].pid)
        try:
            with console.status(f"{SEGMENTS} segments, {SCREENS} screens"):
                measured["2 MiB each"] = through(chain, workers, SEGMENTS * SEGMENT, lambda: segments(chain))
            with console.status(f"{large} through the crossing"):
                measured[large] = through(chain, workers, LARGE, lambda: get(chain, "film.mp4", LARGE))
            with console.status("the same bytes, plain"):
                measured["sha256"] = digested(path)
                measured["cp, fsync"] = copied(path, chain.base / "copy")
        finally:
            chain.stop("inspection")
            workers.close()
    console.print(told(measured))
