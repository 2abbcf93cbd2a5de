"""Tiers: what a parent saves the origin and costs a child, how long a dead parent delays, and how soon a ring of parents ends.

Children are real boxes without screens: the time is from asking the exchange until the object is verified and durable there.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gateway.release.manifest import Release
from tests.server.content.network import DAEMONS, Box, Network

SEGMENT = 2 << 20  # bytes
SEGMENTS = 20


def wanted(box: Box, release: Release, path: str) -> float:
    """Return the milliseconds until ``box`` has the file."""
    began = time.perf_counter()
    reply = box.want(release, path)
    if reply.status != 200:
        raise RuntimeError(f"{reply.status}: {reply.body[:200]!r}")
    return (time.perf_counter() - began) * 1000


def family(network: Network) -> None:
    """Measure two children of one parent, then one child after the parent's death."""
    parent, first, second = network.box("hub", 2), network.box("one", 3), network.box("two", 4)
    parent.ask_these({"centre": network.centre})
    parent.start(*DAEMONS, "share")
    for child in (first, second):
        child.ask_these({"hub": parent.as_parent(), "centre": network.centre})
        child.start(*DAEMONS)
    names = [f"{number}.txt" for number in range(SEGMENTS + 1)]
    late = [f"late-{number}.txt" for number in range(SEGMENTS)]
    release = network.publish({name: os.urandom(SEGMENT // 2).hex().encode() for name in (*names, *late)})
    table = Table("2 MiB objects", "median ms", "longest ms", "asked of the origin")

    def row(what: str, box: Box, paths: list[str]) -> None:
        before = sum(network.origin.asked[f"/releases/{release.code}/{path}"] for path in paths)
        took = [wanted(box, release, path) for path in paths]
        asked = sum(network.origin.asked[f"/releases/{release.code}/{path}"] for path in paths) - before
        table.add_row(what, f"{statistics.median(took):.1f}", f"{max(took):.1f}", f"{asked} of {len(paths)}")

    for box in (first, second):
        wanted(box, release, names[0])  # the first one warms up
    row("first child, parent asks the origin", first, names[1:])
    row("second child, parent has it", second, names[1:])
    parent.kill("share")
    row("parent dead, origin in its place", first, late)
    Console().print(table)


def ring(network: Network) -> None:
    """Measure three boxes, each the next one's parent, that want the same at once."""
    boxes = [network.box(name, number) for number, name in enumerate(("north", "east", "south"), 2)]
    for box, parent in zip(boxes, (*boxes[1:], boxes[0]), strict=True):
        box.ask_these({parent.name: parent.as_parent(), "centre": network.centre})
        box.start(*DAEMONS, "share")
    names = [f"{number}.txt" for number in range(5)]
    release = network.publish({name: os.urandom(SEGMENT // 2).hex().encode() for name in names})
    took = []
    with ThreadPoolExecutor() as pool:
        for name in names:
            began = time.perf_counter()
            list(pool.map(lambda box, name=name: wanted(box, release, name), boxes))
            took.append(time.perf_counter() - began)
    table = Table("ring of three, all at once", "median s", "longest s")
    table.add_row("until the last one has it", f"{statistics.median(took):.2f}", f"{max(took):.2f}")
    Console().print(table)


def main() -> None:
    """Print what was measured."""
    for measure in (family, ring):
        with tempfile.TemporaryDirectory(prefix="ht") as folder, Network(Path(folder)) as network:
            measure(network)
