"""The box's rules with 100,000 admitted addresses: what a packet costs, applying, reading back, one admission, replacing under traffic."""

from __future__ import annotations

import contextlib
import gc
import ipaddress
import os
import random
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from appliance.runtime import command
from gateway.isolation import netns
from gateway.isolation import policy as policies
from gateway.isolation.kernel import Kernel
from gateway.isolation.policy import Policy
from gateway.isolation.proof import live, prove
from gateway.isolation.reconcile import ChangeElements, LoadRules, reconcile
from gateway.isolation.ruleset import Rules
from gateway.isolation.topology import PORT, Place, topology_of

ADMITTED = 100_000
FIRST = int(ipaddress.IPv4Address("10.20.0.0")) + 256
FRAMES, ROUNDS = 10_000, 9  # of one measured round, and how many: the quickest counts, since others share the machine
REPLACEMENTS = 6
MAC, HOST_MAC = "02:68:67:14:00:0b", "02:00:00:00:00:50"
BOX, ZONE, SERVICE = "10.20.0.11", "bigscreen", 5353
BESIDE = {
    "empty": "with empty chains",
    "tracked": "with chains that only track connections",
    "one": "with one admitted",
}
POLICY = """\
site: bench
zones:
  bigscreen: {{port: "{mac}", addresses: [10.20.0.11/12]}}
groups:
  televisions: |
{members}
services:
  time: {{zone: bigscreen, run: chrony, listen: udp/{port}, from: ["@televisions"]}}
  other: {{zone: bigscreen, run: nginx, listen: tcp/{other}, from: ["@televisions"]}}
never:
  - {{from: bigscreen, to: culture}}
"""
EMPTY = """
table netdev empty { chain ingress { type filter hook ingress device port0 priority -500; policy accept; }; }
table inet empty { chain input { type filter hook input priority 0; policy accept; }; }
"""
TRACKED = "add rule inet empty input ct state invalid drop\n"


def main() -> None:
    """Run the benchmark and print what was measured."""
    if os.geteuid() != 0:
        sys.exit("needs root: makes network namespaces")
    rows: list[tuple[str, str, str]] = []
    with _wire() as (kernel, host):
        _cost(kernel, host, rows)
        _applying(kernel, rows)
        _one_admission(kernel, rows)
        _under_traffic(kernel, host, rows)
    print(f"\n{ADMITTED:,} admitted addresses in one zone, {os.cpu_count()} processors")
    for what, measured, beside in rows:
        print(f"  {what:<66} {measured:>14}   {beside}")


def _policy(count: int, other: int = 443, drop: int | None = None, more: int = 0) -> Policy:
    numbers = [n for n in range(FIRST, FIRST + count + more) if n != drop]
    members = "\n".join(f"    {ipaddress.IPv4Address(n)}" for n in numbers)
    return policies.parse(POLICY.format(mac=MAC, members=members, port=SERVICE, other=other).encode(), "bench.yaml")


@contextlib.contextmanager
def _wire() -> Iterator[tuple[Kernel, str]]:
    """Make a zone and a host at the other end of its port."""
    prefix = f"hgbench{os.getpid()}-"
    kernel, host = Kernel(prefix, prefix + "home"), prefix + "host"
    try:
        netns.make(kernel.home)
        netns.make(host)
        command.run(
            [
                "ip",
                "-n",
                kernel.home,
                "link",
                "add",
                "eth0",
                "address",
                MAC,
                "type",
                "veth",
                "peer",
                "wire",
                "netns",
                host,
            ]
        )
        command.run(["ip", "-n", host, "link", "set", "wire", "address", HOST_MAC, "up"])
        yield kernel, host
    finally:
        kernel.close()
        for name in netns.names():
            if name.startswith(prefix):
                netns.remove(name)


def _cable(box: str, port: str, host: str) -> None:
    netns.make(box)
    netns.make(host)
    command.run(["ip", "-n", box, "link", "add", port, "address", MAC, "type", "veth", "peer", "wire", "netns", host])
    command.run(["ip", "-n", host, "link", "set", "wire", "address", HOST_MAC, "up"])


def _enforce(kernel: Kernel, policy: Policy) -> dict[str, Place]:
    wanted = topology_of(policy)
    for _ in range(4):
        actions = reconcile(wanted, kernel.observe(wanted, fresh=False))
        for action in actions:
            kernel.act(action)
        if not actions:
            return wanted
    raise AssertionError("the kernel does not hold it")


def _frame(source: str, port: int, number: int = 40000) -> bytes:
    body = struct.pack(">HHHH", number, port, 40, 0) + bytes(32)
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 7, 0, 64, 17, 0)
    head += ipaddress.IPv4Address(source).packed + ipaddress.IPv4Address(BOX).packed
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    head = head[:10] + struct.pack(">H", ~(total + (total >> 16)) & 0xFFFF) + head[12:]
    ether = bytes.fromhex(MAC.replace(":", "") + HOST_MAC.replace(":", "")) + b"\x08\x00"
    return ether + head + body


def _cost(kernel: Kernel, host: str, rows: list[tuple[str, str, str]]) -> None:
    """Measure packets against all, one and no admitted address, and against empty chains, in turns."""
    pick = random.Random(1)
    members = [str(ipaddress.IPv4Address(FIRST + pick.randrange(ADMITTED))) for _ in range(FRAMES)]
    unknown = [str(ipaddress.IPv4Address(FIRST + 2 * ADMITTED + pick.randrange(20_000))) for _ in range(FRAMES)]
    popular = str(ipaddress.IPv4Address(FIRST))
    kinds = {
        "spoofed popular source, at a service": [_frame(popular, SERVICE, 1024 + n % 60000) for n in range(FRAMES)],
        "spoofed popular source, elsewhere": [_frame(popular, 1024 + n % 4000) for n in range(FRAMES)],
        "unknown sources, at a service": [_frame(source, SERVICE) for source in unknown],
        "admitted sources, at a service": [_frame(source, SERVICE) for source in members],
        "false senders": [_frame(f"192.0.2.{n % 250}", SERVICE) for n in range(FRAMES)],
    }
    _enforce(kernel, _policy(ADMITTED))
    with contextlib.ExitStack() as stack:
        wires = {
            "all": (host, kernel.name(ZONE)),
            **{kind: _beside(kernel, kind, stack) for kind in ("one", "tracked", "empty")},
        }
        for _, box in wires.values():
            server = netns.inside(box, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            stack.enter_context(server).bind((BOX, SERVICE))
        for kind, frames in kinds.items():
            took: dict[str, float] = {}
            for _ in range(ROUNDS):
                for which, (sender, _) in wires.items():
                    took[which] = min(
                        took.get(which, 1e9), netns.inside(sender, lambda frames=frames: _microseconds(frames))
                    )
            beside = ", ".join(
                f"{took['all'] / took[which]:.2f} of {took[which]:.2f} us {told}" for which, told in BESIDE.items()
            )
            rows.append((f"a packet: {kind}", f"{took['all']:.2f} us", beside))


def _beside(kernel: Kernel, kind: str, stack: contextlib.ExitStack) -> tuple[str, str]:
    """Return (sender, box), namespaces of which the box has the same rules for one address, or empty chains."""
    if kind == "one":
        peer = Kernel(f"{kernel.prefix}one-", f"{kernel.prefix}one-home")
        stack.callback(peer.close)
        sender = f"{kernel.prefix}one-host"
        _cable(peer.home, "eth0", sender)
        _enforce(peer, _policy(1))
        return sender, peer.name(ZONE)
    box, sender = f"{kernel.prefix}{kind}", f"{kernel.prefix}{kind}-host"
    _cable(box, "port0", sender)
    for words in (
        ["address", "add", f"{BOX}/12", "dev", "port0"],
        ["link", "set", "port0", "up"],
        ["link", "set", "lo", "up"],
    ):
        command.run(["ip", "-n", box, *words])
    netns.inside(box, lambda: command.run(["nft", "-f", "-"], stdin=EMPTY + (TRACKED if kind == "tracked" else "")))
    return sender, box


def _microseconds(frames: list[bytes]) -> float:
    """Return how long the kernel takes for a frame, from the sender's call to its end at the box."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("wire", 0))
        send, began = raw.send, time.perf_counter()
        for frame in frames:
            send(frame)
        return (time.perf_counter() - began) / len(frames) * 1e6


def _applying(kernel: Kernel, rows: list[tuple[str, str, str]]) -> None:
    """Apply everything to a zone without rules, beside plain ``nft -f`` of the same; then read it back."""
    policy = _policy(ADMITTED)
    place = topology_of(policy)[ZONE]
    ours, plain = [], []
    for _ in range(3):
        kernel.act(LoadRules(ZONE, Rules()))
        began = time.perf_counter()
        kernel.act(LoadRules(ZONE, place.rules))
        ours.append(time.perf_counter() - began)
    text = kernel.inside(ZONE, lambda: command.run(["nft", "list", "ruleset"])).replace("flags owner", "")
    scratch = kernel.prefix + "plain"
    netns.make(scratch)
    command.run(["ip", "-n", scratch, "link", "add", "port0", "type", "veth", "peer", "other"])
    with tempfile.NamedTemporaryFile("w", suffix=".nft") as file:
        file.write(text)
        file.flush()
        for _ in range(3):
            netns.inside(scratch, lambda: command.run(["nft", "flush", "ruleset"]))
            began = time.perf_counter()
            netns.inside(scratch, lambda: command.run(["nft", "-f", file.name]))
            plain.append(time.perf_counter() - began)
    rows.append(
        (
            "apply the whole ruleset",
            f"{min(ours):.3f} s",
            f"{min(ours) / min(plain):.2f} of plain nft -f: {min(plain):.3f} s",
        )
    )
    reading = [_timed(lambda: kernel.rules(ZONE, fresh=True)) for _ in range(3)]
    listing = _timed(lambda: kernel.inside(ZONE, lambda: command.run(["nft", "-j", "list", "ruleset"])))
    rows.append(("read it back", f"{min(reading):.3f} s", f"nft -j list ruleset: {listing:.2f} s"))
    before, after = _memory(kernel)
    rows.append(("the same in a process of its own: memory", f"{after:.0f} MB", f"before it read: {before:.0f} MB"))
    wanted = topology_of(policy)
    looks = [_cpu(lambda: reconcile(wanted, kernel.observe(wanted, fresh=False))) for _ in range(20)]
    rows.append(("look at a zone and home, nothing changed", f"{statistics.median(looks) * 1e3:.1f} ms CPU", ""))


def _memory(kernel: Kernel) -> tuple[float, float]:
    """Return the largest resident set of a process, in MB, that reads the zone once, and what it was before."""
    program = (
        "import resource; from gateway.isolation.kernel import Kernel; from sys import argv;"
        "told = lambda: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024);"
        "k = Kernel(argv[1], own=False); told();"
        f"known = k.rules('{ZONE}', fresh=True); told();"
        f"assert len(known.rules.elements['inet', 'televisions4']) == {4 * ADMITTED}"
    )
    done = subprocess.run([sys.executable, "-c", program, kernel.prefix], capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    return before, after


def _one_admission(kernel: Kernel, rows: list[tuple[str, str, str]]) -> None:
    """Admit and expel one address, from the edited file to the kernel read back and proved over all packets."""
    wanted = _enforce(kernel, _policy(ADMITTED))
    known = live.beside(kernel, ZONE, kernel.observe(wanted)[ZONE])
    parts: dict[str, list[float]] = {"parse": [], "compile and compare": [], "kernel": [], "proof": [], "in all": []}
    with tempfile.TemporaryDirectory(prefix="hgb-") as folder:
        path = Path(folder) / "bench.yaml"
        for n in range(6):
            path.write_bytes(_policy(ADMITTED, drop=FIRST + 777 if n % 2 == 0 else None).data)
            gc.collect()
            began = time.perf_counter()
            policy = policies.load(path)
            parsed = time.perf_counter()
            wanted = topology_of(policy)
            actions = reconcile(wanted, kernel.observe(wanted, fresh=False))
            compared = time.perf_counter()
            assert [type(action) for action in actions] == [ChangeElements]
            kernel.act(actions[0])
            seen = kernel.observe(wanted, fresh=False)
            assert reconcile(wanted, seen) == []
            held = time.perf_counter()
            known = live.beside(kernel, ZONE, seen[ZONE], known)
            assert prove.prove(policy, ZONE, PORT, known).equal
            ended = time.perf_counter()
            times = (parsed - began, compared - parsed, held - compared, ended - held, ended - began)
            for name, value in zip(parts, times, strict=True):
                parts[name].append(value)
    told = ", ".join(f"{name} {statistics.median(parts[name]) * 1e3:.1f} ms" for name in list(parts)[:4])
    rows.append(
        (
            "one admission, from the edited file to the kernel proved",
            f"{statistics.median(parts['in all']) * 1e3:.1f} ms",
            told,
        )
    )


def _under_traffic(kernel: Kernel, host: str, rows: list[tuple[str, str, str]]) -> None:
    """Replace the whole ruleset while packets come in, and count those that did not arrive."""
    _enforce(kernel, _policy(ADMITTED))
    with kernel.inside(ZONE, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as server:
        server.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        server.bind((BOX, SERVICE))
        server.setblocking(False)
        stop, sent, gaps = threading.Event(), [0], [0.0]

        def go() -> None:
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
                raw.bind(("wire", 0))
                before = time.perf_counter()
                while not stop.is_set():
                    source = str(ipaddress.IPv4Address(FIRST + sent[0] % 50_000))
                    raw.send(_frame(source, SERVICE, 1024 + sent[0] % 60000))
                    sent[0] += 1
                    now = time.perf_counter()
                    gaps[0], before = max(gaps[0], now - before), now
                    if sent[0] % 10 == 0:
                        stop.wait(0.002)

        sender = threading.Thread(target=lambda: netns.inside(host, go))
        sender.start()
        seconds = []
        for n in range(REPLACEMENTS):
            # Another rule, another element and, each second time, more than the set was made for.
            policy = _policy(ADMITTED, other=444 + n, drop=FIRST + ADMITTED - 1 - n, more=170_000 if n % 2 == 0 else 0)
            seconds.append(_timed(lambda policy=policy: _enforce(kernel, policy)))
        stop.set()
        sender.join()
        arrived = _drain(server)
    told = f"{sent[0]:,} sent, {sent[0] / sum(seconds):,.0f}/s; a replacement takes {statistics.median(seconds):.2f} s"
    rows.append((f"{REPLACEMENTS} whole replacements under traffic", f"{sent[0] - arrived} lost", told))


def _drain(server: socket.socket) -> int:
    count = 0
    while True:
        try:
            server.recv(2048)
        except BlockingIOError:
            return count
        count += 1


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    main()
