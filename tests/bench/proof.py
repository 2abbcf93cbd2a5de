"""The proof beside its peer (``nft -j list ruleset`` and a comparison of the JSON): 100,000 admitted hosts, read back and proved."""

import ctypes
import ipaddress
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HOSTS = 100_000
ROUNDS = 5
CLONE_NEWNET = 0x40000000

POLICY = """\
site: bench
groups:
  subscribers: |
{hosts}
zones:
  bigscreen:  {{port: "02:68:67:14:00:0b", addresses: [10.20.0.11/14]}}
  management: {{port: "02:68:67:28:00:0b", addresses: [10.40.0.11/24]}}
services:
  delivery: {{zone: bigscreen, run: delivery, listen: tcp/80, from: ["@subscribers", 10.20.0.7]}}
  resolver: {{zone: bigscreen, run: resolver, listen: tcp/8080, from: ["@subscribers"]}}
  ssh: {{zone: management, run: ssh, listen: tcp/22, from: [10.40.0.0/24]}}
never:
  - {{from: bigscreen, to: management}}
"""


def main() -> None:
    """Run the benchmark in namespaces of its own, each measure in a process of its own, and print what was measured."""
    if os.geteuid() != 0:
        print("proof: needs root")
        return
    chosen = random.Random(1).sample(
        range(int(ipaddress.ip_address("10.20.1.0")), int(ipaddress.ip_address("10.23.255.0"))), HOSTS
    )
    hosts = "\n".join(f"    {ipaddress.ip_address(host)}" for host in sorted(chosen))
    with tempfile.TemporaryDirectory(prefix="hgb-") as name:
        path = Path(name) / "policy.yaml"
        path.write_text(POLICY.format(hosts=hosts))
        rows = [(title, run(part, path)) for title, part in PARTS]
    print(
        f"\n{HOSTS:,} hosts in one set, {os.cpu_count()} processors; each row is a process of its own, its memory at the highest"
    )
    for title, told in rows:
        print(
            f"  {title:74} {told.get('seconds', 0) * 1000:10.1f} ms {told.get('mib', 0):7.0f} MiB  {told.get('note', '')}"
        )


def run(part: str, path: Path) -> dict[str, Any]:
    """Return what one part measures, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.proof", part, str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return {"note": f"failed: {done.stderr.strip().splitlines()[-1:]}"}
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def peer(site: Any, rules: Any) -> dict[str, Any]:
    """List by nft and compare with what was loaded, as tools do that only know nft."""
    load(rules)

    def compare() -> bool:
        text = subprocess.run(["nft", "-j", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
        parts = json.loads(text)["nftables"]
        (seen,) = (part["set"]["elem"] for part in parts if "set" in part)
        wanted = rules.elements["inet", "subscribers4"]
        return {int(ipaddress.ip_address(one)) for one in seen} == {
            int.from_bytes(wanted[at : at + 4], "big") for at in range(0, len(wanted), 4)
        }

    seconds = best(compare, 1)
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"seconds": seconds, "note": f"nft's own peak: {child:.0f} MiB"}


def dumped(site: Any, rules: Any) -> dict[str, Any]:
    """Read the kernel's own expressions and elements."""
    from gateway.isolation.proof import dump

    load(rules)
    return {"seconds": best(dump.take)}


def proved(site: Any, rules: Any) -> dict[str, Any]:
    """Read back and prove, as the guard does when the generation moved."""
    from gateway.isolation.proof import dump
    from gateway.isolation.proof.prove import prove

    load(rules)
    seconds = best(lambda: prove(site, "bigscreen", "port0", dump.take()).equal)
    return {"seconds": seconds}


def alone(site: Any, rules: Any) -> dict[str, Any]:
    """Prove what was read."""
    from gateway.isolation.proof import dump
    from gateway.isolation.proof.prove import prove

    load(rules)
    live = dump.take()
    return {"seconds": best(lambda: prove(site, "bigscreen", "port0", live).equal)}


def different(site: Any, rules: Any) -> dict[str, Any]:
    """One host too many and one missing: found and named."""
    from gateway.isolation.proof import dump
    from gateway.isolation.proof.prove import prove

    load(rules)
    first = ipaddress.ip_address(rules.elements["inet", "subscribers4"][:4])
    change = f"delete element inet headgate subscribers4 {{ {first} }}; add element inet headgate subscribers4 {{ 10.23.255.9 }}"
    subprocess.run(["nft", change], check=True)
    live = dump.take()
    found = []

    def find() -> bool:
        found[:] = {
            difference.packet.fields["saddr"] for difference in prove(site, "bigscreen", "port0", live).differences
        }
        return len(found) == 2

    return {"seconds": best(find), "note": f"named: {', '.join(sorted(found))}"}


def one_more(site: Any, rules: Any) -> dict[str, Any]:
    """One host admitted by one netlink transaction: then read what it touched, and prove all."""
    from gateway.isolation.groups import Group
    from gateway.isolation.nfnl import elements
    from gateway.isolation.nfnl.link import Link
    from gateway.isolation.proof import dump
    from gateway.isolation.proof.prove import prove

    load(rules)
    key, host = ("inet", "subscribers4"), ipaddress.ip_address("10.23.255.9").packed
    more = site.model_copy(update={"groups": {"subscribers": Group(hosts4=rules.elements[key] + host)}})
    times = []
    with Link() as link:
        known = dump.take(link)
        for _ in range(ROUNDS):
            start = time.perf_counter()
            link.commit(list(elements.added("inet", "headgate", "subscribers4", host, 4)), known.generation)
            live = dump.after(link, known, {key: (host, b"")})
            assert prove(more, "bigscreen", "port0", live).equal
            times.append(time.perf_counter() - start)
            assert not prove(site, "bigscreen", "port0", live).equal
            link.commit(list(elements.removed("inet", "headgate", "subscribers4", host, 4)))
            known = dump.take(link)
    return {"seconds": min(times)}


def unchanged(site: Any, rules: Any) -> dict[str, Any]:
    """Ask whether anything changed."""
    from gateway.isolation.nfnl.link import Link
    from gateway.isolation.proof import dump

    load(rules)
    with Link() as link:
        known = dump.take(link)
        return {"seconds": best(lambda: dump.take(link, known) is known)}


def by_z3(site: Any, rules: Any) -> dict[str, Any]:
    """Prove the skeleton and the claims."""
    from gateway.isolation.proof import dump, skeleton

    load(rules)
    live = dump.take()
    seconds = best(lambda: skeleton.prove(site, "bigscreen", "port0", live).equal, 1)
    return {"seconds": seconds, "note": children()}


def by_cudd(site: Any, rules: Any) -> dict[str, Any]:
    """List and prove once more, by diagrams."""
    from gateway.isolation.proof import diagram

    load(rules)

    def prove() -> bool:
        listing = subprocess.run(diagram.LISTING, capture_output=True, text=True, check=True).stdout
        return diagram.prove(site, "bigscreen", "port0", listing).equal

    return {"seconds": best(prove, 1), "note": children()}


def compared(site: Any, rules: Any) -> dict[str, Any]:
    """Say who gains between two policies of which one has one host more."""
    from gateway.isolation.groups import Group
    from gateway.isolation.proof.compare import compare

    more = Group(hosts4=rules.elements["inet", "subscribers4"] + ipaddress.ip_address("10.23.255.9").packed)
    other = site.model_copy(update={"groups": {"subscribers": more}})
    return {"seconds": best(lambda: len(compare(site, other)) == 1)}


PARTS: tuple[tuple[str, str], ...] = (
    ("peer: nft -j list ruleset, parse, compare the sets (rules not compared)", "peer"),
    ("read back: the kernel's own expressions and elements", "dumped"),
    ("prove over all packets what was read", "alone"),
    ("read back and prove", "proved"),
    ("one host too many, one missing: found and named", "different"),
    ("one host admitted: netlink transaction, read what it touched, prove all", "one_more"),
    ("ask whether anything changed since", "unchanged"),
    ("z3: skeleton and claims", "by_z3"),
    ("CUDD: nft's listing, second reader, diagrams", "by_cudd"),
    ("compare two policies, one host more", "compared"),
)


def load(rules: Any) -> None:
    """Load a ruleset into a network namespace that goes with this process."""
    if ctypes.CDLL(None).unshare(CLONE_NEWNET):
        raise OSError("no namespace")
    subprocess.run(["ip", "link", "add", "port0", "type", "veth", "peer", "wire"], check=True)
    child = os.fork()  # that what loading takes is not counted as the proof's
    if not child:
        data = rules.elements["inet", "subscribers4"]
        found = [str(ipaddress.IPv4Address(data[at : at + 4])) for at in range(0, len(data), 4)]
        element = {"family": "inet", "table": "headgate", "name": "subscribers4", "elem": found}
        parts = [*({"add": part} for part in rules.objects), {"add": {"element": element}}]
        text = json.dumps({"nftables": parts})
        os._exit(subprocess.run(["nft", "-j", "-f", "-"], input=text, text=True, check=False).returncode)
    if os.waitpid(child, 0)[1]:
        raise OSError("nft does not load the ruleset")


def best(work: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """Return the least seconds of some rounds; the work must return something true."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        done = work()
        times.append(time.perf_counter() - start)
        assert done
    return min(times)


def children() -> str:
    """Return the highest memory of any process that was started."""
    return f"its own process: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MiB"


def part() -> None:
    """Run one part, in a process of its own."""
    from gateway.isolation import policy, ruleset

    name, path = sys.argv[1:]
    site = policy.load(Path(path))
    rules = ruleset.compile_zone(site, "bigscreen", "port0")
    told = globals()[name](site, rules)
    print(json.dumps({**told, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    part()
