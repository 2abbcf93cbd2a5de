"""Delay that the whole crossing adds to a live segment: fetch, exchange, both filters, delivery, against the origin asked directly.

Each segment is new, signed, and lies at the origin; a screen asks for it at once, and so does a client of the origin. The difference is
what the box adds. Ahead: the screen read the playlist first, so that the box fetches the segment by itself while the screen reads.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from rich.console import Console
from rich.table import Table

from appliance.identity.keys import PrivateKey
from gateway.release.live.follow import Stamp
from gateway.release.live.outlet import Outlet
from gateway.release.manifest import Live
from tests.server.content import media
from tests.server.content.conftest import CODE, ORIGIN, Chain

SEGMENT = 2 << 20  # bytes
SEGMENTS = 40
LIMIT = 150.0  # milliseconds that the crossing may add


class Channel:
    """A channel at the origin of a running chain."""

    def __init__(self, chain: Chain) -> None:
        self.chain, key = chain, PrivateKey.generate()
        live = Live(key=str(key.public), segment=2.0, window=6)
        chain.publish({"poster.json": b"{}"}, entry="live/index.m3u8", live=live)
        self.outlet = Outlet(chain.origin.folder, CODE, live, key)
        self.outlet.begin()
        self.number = 0

    def segment(self) -> str:
        """Put a new segment at the origin, signed, and return its name."""
        self.number += 1
        name = f"{self.number}.ts"
        self._put(name, transport(SEGMENT))
        return name

    def playlist(self, name: str) -> None:
        """Name it in the playlist."""
        head = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{self.number}\n"
        self._put("index.m3u8", f"{head}#EXTINF:2,\n{name}\n".encode())

    def _put(self, path: str, data: bytes) -> None:
        self.outlet.put(path, data, Stamp(self.number, len(data), 0), time.time())


def transport(size: int) -> bytes:
    """Return an MPEG-TS of so many bytes, in whole packets: its tables, then one stream of random content."""
    head = media.transport()
    packets = (size - len(head)) // 188
    return head + b"".join(b"\x47\x01\x00\x10" + os.urandom(184) for _ in range(packets))


def asked(address: str, port: int, path: str, size: int) -> float:
    """Return the milliseconds from asking for ``path`` to its last byte."""
    began = time.perf_counter()
    connection = HTTPConnection(address, port, timeout=10)
    connection.request("GET", path)
    response = connection.getresponse()
    data = response.read()
    connection.close()
    if response.status != 200 or (size and len(data) != size):
        raise RuntimeError(f"{response.status}: {data[:200]!r}")
    return (time.perf_counter() - began) * 1000


@contextmanager
def running() -> Iterator[Channel]:
    with tempfile.TemporaryDirectory(prefix="hb") as folder, Chain(Path(folder)) as chain:
        yield Channel(chain)


def main() -> None:
    """Print the delay added, median and p95."""
    table = Table("2 MiB live segments", "direct ms", "crossing ms", "added: median", "added: p95", "limit")
    with running() as channel:
        chain, size = channel.chain, SEGMENT // 188 * 188
        at_origin, at_box = f"/releases/{CODE}/live", f"/r/{CODE}/live"
        for kind in ("asked at once", "fetched ahead"):
            direct, crossing, added = [], [], []
            for number in range(SEGMENTS):
                name = channel.segment()
                if kind == "fetched ahead":
                    channel.playlist(name)
                    asked("127.20.0.1", chain.port, f"{at_box}/index.m3u8", 0)
                through = asked("127.20.0.1", chain.port, f"{at_box}/{name}", size)
                straight = asked(ORIGIN, chain.origin.port, f"{at_origin}/{name}", size)
                if number:  # the first one warms up
                    direct.append(straight)
                    crossing.append(through)
                    added.append(through - straight)
            p95 = statistics.quantiles(added, n=20)[-1]
            cells = (statistics.median(direct), statistics.median(crossing), statistics.median(added), p95, LIMIT)
            table.add_row(kind, *(f"{value:.1f}" for value in cells))
    Console().print(table)
