"""A flash crowd: a thousand screens on one cold object, whose origin gives 1 MiB a second."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench import _box, _caches
from tests.bench._caches import Cache, family
from tests.bench._load import ahead
from tests.bench._screens import client, threads
from tests.server.content import media
from tests.server.content.conftest import CODE, ORIGIN, Chain, Origin
from tests.server.ports import free_port

SCREENS, SIZE = 1000, 2 << 20  # screens, and bytes of the object
RATE, STEP = 1 << 20, 32 << 10  # bytes a second of the origin, in such steps
COLD = "cold.m4s"


class Slow(Origin):
    """An origin that gives one object slowly."""

    def start(self) -> None:
        """Serve the folder."""
        origin = self

        class Handler(SimpleHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments, directory=str(origin.folder))

            def do_GET(self) -> None:
                origin.asked[self.path] += 1
                super().do_GET()

            def copyfile(self, source: Any, outputfile: Any) -> None:
                slow, begun, sent = self.path.endswith(COLD), time.monotonic(), 0
                while part := source.read(STEP):
                    outputfile.write(part)
                    sent += len(part)
                    if slow:
                        time.sleep(max(0.0, begun + sent / RATE - time.monotonic()))

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer((ORIGIN, self.port), Handler)
        self.server.daemon_threads = True
        Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@contextmanager
def slow_origin(folder: Path) -> Iterator[Slow]:
    """Run an origin for the peers, with a folder of its own."""
    folder.mkdir()
    (folder / COLD).write_bytes(media.sized(SIZE))
    origin = Slow(folder, free_port(ORIGIN))
    origin.start()
    try:
        yield origin
    finally:
        origin.stop()


def asked(cache: Cache, target: str, *headers: str) -> dict[str, float]:
    """Let the crowd ask for ``target``."""
    argv = [sys.executable, "-m", "tests.bench._many_screens", "crowd", cache.address, str(cache.port), str(SCREENS)]
    origin = [int(task.name) for task in Path("/proc/self/task").iterdir()]
    with ahead([*threads(cache), *origin]):
        told = client([*argv, str(SIZE), target, *headers])
    return dict(json.loads(told))


def whole(chain: Chain) -> Cache:
    """Return delivery with all daemons that bring it what it has not: a crowd waits for all of them."""
    return replace(_box.delivery(chain), pids=[pid for one in chain.processes.values() for pid in family(one.pid)])


def main(console: Console) -> None:
    """Measure, and print the table."""
    table = Table(
        "", "origin fetches", "leader's first byte s", "median follower's s", "last follower's s", "all had it s"
    )
    table.title = f"flash crowd: {SCREENS:,} screens on one cold object of 2 MiB, origin at 1 MiB/s"

    def row(name: str, fetches: int, told: dict[str, float]) -> None:
        table.add_row(name, str(fetches), *(f"{told[key]:.3f}" for key in ("leader", "median", "last", "whole")))

    with _box.chain_with_a_door(
        lambda chain: setattr(chain, "origin", Slow(chain.origin.folder, chain.origin.port))
    ) as box:
        chain, token = box
        chain.publish({"known.m4s": media.sized(1000), COLD: media.sized(SIZE)})
        chain.play("known.m4s", headers=_box.as_dictionary(token))  # the release is known; the object is cold
        told = asked(whole(chain), f"/r/{CODE}/{COLD}", token)
        row("delivery", chain.origin.asked[f"/releases/{CODE}/{COLD}"], told)
        for run in _caches.peers():
            with (
                slow_origin(chain.base / f"slow-{run.__name__}") as origin,
                run(chain.base / run.__name__, f"{ORIGIN}:{origin.port}") as cache,
            ):
                told = asked(cache, f"/{COLD}")
                row(cache.name, origin.asked[f"/{COLD}"], told)
    console.print(table)


if __name__ == "__main__":
    main(Console(width=140))
