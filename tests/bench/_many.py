"""An evening: ten thousand screens on one box, two hundred of which stream segments while others ask for something small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench import _box, _caches
from tests.bench._caches import CLIENT, Cache
from tests.bench._load import memory
from tests.server.content import media
from tests.server.content.conftest import CODE

SCREENS = int(os.environ.get("HEADGATE_BENCH_SCREENS", "10000"))
FILES = {"small.m4s": 16 << 10, "segment.m4s": 2 << 20}


def own(cache: Cache) -> int:
    """Return the bytes of memory that are the server's own."""
    return sum(memory(pid)[0] for pid in cache.pids)


def evening(cache: Cache, prefix: str, *headers: str) -> list[str]:
    """Return the columns of one server."""
    argv = ["taskset", "-c", str(CLIENT), sys.executable, "-m", "tests.bench._many_screens", "evening", cache.address]
    argv += [str(cache.port), str(SCREENS), *map(str, FILES.values()), *(prefix + name for name in FILES), *headers]
    before = own(cache)
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as screens:
        assert screens.stdin
        assert screens.stdout
        if screens.stdout.readline() != "connected\n":
            raise RuntimeError(f"{cache.name}: not all screens were served")
        each = (own(cache) - before) / SCREENS
        screens.stdin.write("go on\n")
        screens.stdin.flush()
        told = json.loads(screens.stdout.readline())
    late = f"{told['late']} of {told['segments']}"
    return [f"{each / 1024:.1f}", f"{told['p50'] * 1e3:.2f}", f"{told['p99'] * 1e3:.2f}", late]


def main(console: Console) -> None:
    """Measure, and print the table."""
    table = Table("", "KiB of memory for each", "p50 of a 16 KiB hit ms", "p99 ms", "segments not taken within 2 s")
    table.title = f"{SCREENS:,} screens connected, 200 of them streaming segments of 2 MiB at 8 Mbit/s"
    with _box.chain_with_a_door() as (chain, token), ExitStack() as stack:
        chain.publish({name: media.sized(size) for name, size in FILES.items()})
        for name in FILES:
            chain.play(name, headers=_box.as_dictionary(token))
        table.add_row("delivery", *evening(_box.delivery(chain), f"/r/{CODE}/", token))
        source: Path = chain.base / f"source-{CODE}-1"
        files = stack.enter_context(_caches.nginx_files(chain.base / "files", source))
        for run in _caches.peers():
            with run(chain.base / run.__name__, f"{files.address}:{files.port}") as cache:
                table.add_row(cache.name, *evening(cache, "/"))
    console.print(table)


if __name__ == "__main__":
    main(Console(width=140))
