"""The bridge scan beside what one would do by hand: ``lsns``, then ``ip link`` and ``ss`` in each namespace; and the trip-wire's speed."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gateway.isolation.bridges.nouns import Found
from gateway.isolation.bridges.tripwire import Tripwire
from gateway.isolation.bridges.watch import Bridges
from tests.kernel.zones import Site

LOOKS = 30
TRIES = 200
HOLDERS, HELD = 20, 20  # processes that are added, and sockets in each, so that there is something to look through
FLAPPING = Path(__file__).parents[1] / "kernel/flapping.py"
HOLD = """
import ctypes, os, socket, sys
fd = os.open("/run/netns/" + sys.argv[1], os.O_RDONLY); ctypes.CDLL(None).setns(fd, 0x40000000); os.close(fd)
held = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(int(sys.argv[2]))]
print("ready", flush=True); sys.stdin.read()
"""


def main() -> None:
    """Run the benchmark and print what was measured."""
    if os.geteuid():
        print("  needs root: makes network namespaces")
        return
    site = Site()
    holders: list[subprocess.Popen[str]] = []
    try:
        site.make()
        holders += [_holder(site, number) for number in range(HOLDERS)]
        rows = [*_scans(site), *_peers(site), *_speed(site)]
    finally:
        for holder in holders:
            holder.kill()
            holder.wait()
        site.remove()
    for what, measured in rows:
        print(f"  {what:86} {measured:>34}")


def _holder(site: Site, number: int) -> subprocess.Popen[str]:
    zone = site.name(site.zones()[number % len(site.zones())])
    argv = [sys.executable, "-ISc", HOLD, zone, str(HELD)]
    holder = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if holder.stdout is not None:
        holder.stdout.readline()
    return holder


def _scans(site: Site) -> list[tuple[str, str]]:
    bridges = Bridges(site, virtual=True)
    found: list[list[Found]] = []
    first, _ = _timed(lambda: found.append(bridges.scan(site.policy)), 1)
    wall, processor = _timed(lambda: found.append(bridges.scan(site.policy)), LOOKS)
    sight = bridges.look()
    held = sum(len(p.sockets) for p in sight.processes)
    print(
        f"\n{len(sight.processes)} processes, {held} sockets, {len(sight.spaces)} network namespaces on this machine;"
        f" {len(found[-1])} findings, as it should be; {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
    )
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return [
        ("the whole scan, first look", f"{first[0]:.1f} ms"),
        (f"the whole scan, {LOOKS} more: median, slowest", f"{statistics.median(wall):.1f} ms, {max(wall):.1f} ms"),
        ("  of which processor", f"{processor:.1f} ms"),
        ("  most memory of the benchmark's process", f"{most} MB"),
    ]


def _peers(site: Site) -> list[tuple[str, str]]:
    def by_hand() -> None:
        _run("lsns", "-t", "net", "-J")
        for zone in ["", *site.zones()]:
            name = site.name(zone)
            _run("ip", "-d", "-n", name, "link")
            _run("ip", "netns", "exec", name, "ss", "-aenp")
            _run("tc", "-n", name, "qdisc")
            _run("ip", "-n", name, "rule")

    def listed() -> None:
        _run("ss", "-aenp")

    whole, _ = _timed(by_hand, 5)
    one, _ = _timed(listed, 5)
    return [
        ("peer: lsns; ip link, ss, tc qdisc, ip rule in each zone (sees no passed socket, tap, pipe, thread)",
         f"{statistics.median(whole):.1f} ms, {max(whole):.1f} ms"),
        ("peer: only ss -aenp in one namespace", f"{statistics.median(one):.1f} ms, {max(one):.1f} ms"),
    ]  # fmt: skip


def _speed(site: Site) -> list[tuple[str, str]]:
    rows = []
    bridges = Bridges(site, virtual=True)
    heard: list[str] = []
    tripwire = Tripwire(site, virtual=True)
    tripwire.start(site.policy, heard.append)
    status = Path(f"/proc/{tripwire.process}/status").read_text()
    memory = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    try:
        for busy in (False, True):
            argv = [sys.executable, str(FLAPPING), site.name("culture"), str(TRIES)]
            with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as flapping:
                while busy and flapping.poll() is None:
                    bridges.scan(site.policy)
                took = sorted(json.loads(flapping.communicate(timeout=60)[0]))
            told = f"{_ms(statistics.median(took))}, {_ms(took[TRIES * 99 // 100])}, {_ms(took[-1])}"
            beside = ", while the guard scans without pause" if busy else ""
            rows.append((f"a foreign link is up, {TRIES} tries: median, p99, longest{beside}", told))
    finally:
        tripwire.stop()
    return [*rows, ("  memory of the trip-wire's process", f"{int(memory) // 1024} MB")]


def _timed(work: Callable[[], object], times: int) -> tuple[list[float], float]:
    """Return the milliseconds of each run, and those of the processor for one."""
    took, begin = [], time.process_time()
    for _ in range(times):
        start = time.perf_counter()
        work()
        took.append((time.perf_counter() - start) * 1000)
    return took, (time.process_time() - begin) * 1000 / times


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


def _run(*argv: str) -> None:
    subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, check=True, timeout=60)
