"""One audit of the live box, read only: what differs, proofs, bridges, measures, probes -> evidence, and the report that holds it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.runtime import command
from gateway.isolation import host
from gateway.isolation.bridges.nouns import Sight
from gateway.isolation.bridges.watch import Bridges
from gateway.isolation.evidence import Finding, Measure, Probe, Proof
from gateway.isolation.proof import diagram, live, prove, skeleton
from gateway.isolation.reconcile import HOME, LoadRules, missing_ports, reconcile
from gateway.isolation.report.grade import holds, joins
from gateway.isolation.report.model import Inspected
from gateway.isolation.topology import PORT, Seen, topology_of

if TYPE_CHECKING:
    from gateway.isolation.kernel import Kernel
    from gateway.isolation.policy import Policy

Progress = Callable[[str], None]  # told what is being done
GRADE = "one box: protocol separation with conversion (not physical disconnection, GB/T 20279)"


@dataclass(frozen=True)
class Evidence:
    """What one audit found."""

    digest: str  # of the policy
    zones: Mapping[str, list[str]]  # zone (``home``: the initial namespace) -> what is not as the policy says
    proofs: tuple[Proof, ...]
    findings: tuple[Finding, ...]
    inspected: Inspected
    measures: tuple[Measure, ...]
    probes: tuple[Probe, ...] | None = None  # None: not sent
    grade: str = GRADE

    @property
    def faults(self) -> list[str]:
        """What speaks against the isolation, a sentence each; measures that a host lacks are told by the report's grade."""
        told = [f"{zone}: {line}" for zone, lines in self.zones.items() for line in lines]
        told += [f"{one.zone or 'home'}: not proved by {one.engine}" for one in self.proofs if not holds(one)]
        told += [f"{one.name}: {one.what}" for one in self.findings if joins(one)]
        told += [
            f"probe {one.name} from {one.source}: {one.result}" for one in self.probes or () if one.result != "passed"
        ]
        return told

    @property
    def ok(self) -> bool:
        """Whether nothing speaks against the isolation."""
        return not self.faults


def audit(
    policy: Policy,
    kernel: Kernel,
    *,
    whole: bool = False,
    probe: bool = False,
    guard: int | None = None,
    progress: Progress = lambda _: None,
) -> Evidence:
    """Return what the live box shows of ``policy``; ``whole`` proves by all three engines, ``probe`` sends the attacks.

    ``guard`` is the guard's process, which may be in all zones; else it is this one.

    Raises:
        KernelFailed: the kernel does not show a zone.
    """
    progress("reading the kernel")
    wanted = topology_of(policy)
    seen = kernel.observe(wanted)
    proofs = [
        one for zone, space in seen.items() for one in _proofs(policy, kernel, zone, space, progress, whole=whole)
    ]
    progress("looking for whatever joins two zones")
    bridges = Bridges(kernel, guard=guard)
    findings, inspected = bridges.scan(policy), _inspected(bridges.look())
    progress("measuring the host")
    cards = {zone: link.pci for zone, space in seen.items() if zone for link in space.links if link.name == PORT}
    measures = host.measures(ports=cards)
    probes = _probes(policy, kernel, progress) if probe else None
    return Evidence(
        policy.digest, deviations(policy, seen), tuple(proofs), tuple(findings), inspected, tuple(measures), probes
    )


def deviations(policy: Policy, seen: Mapping[str, Seen]) -> dict[str, list[str]]:
    """Return zone -> what of its ports, links, addresses, routes, settings and rules is not as ``policy`` says."""
    wanted = topology_of(policy)
    zones: dict[str, list[str]] = {zone or "home": [] for zone in (HOME, *wanted)}
    for zone, told in missing_ports(wanted, seen).items():
        zones[zone].append(told)
    for action in reconcile(wanted, seen):
        zone = getattr(action, "zone", getattr(action, "source", HOME)) or "home"
        words = action.why if isinstance(action, LoadRules) and action.why else (f"not as wanted, to do: {action}",)
        zones.setdefault(zone, []).extend(words)
    return zones


def _inspected(sight: Sight) -> Inspected:
    """Return how much there was to look at."""
    folders = [Path(f"/proc/{process.pid}") for process in sight.processes]
    return Inspected(
        processes=len(folders),
        threads=sum(_entries(folder / "task") for folder in folders),
        descriptors=sum(_entries(folder / "fd") for folder in folders),
        sockets=len(sight.opened) + len(sight.connections),
        links=len(sight.links),
        programs=len(sight.programs),
    )


def _entries(folder: Path) -> int:
    try:
        return len(list(folder.iterdir()))
    except OSError:
        return 0  # it has ended


def _proofs(
    policy: Policy, kernel: Kernel, zone: str, space: Seen, progress: Progress, *, whole: bool
) -> Sequence[Proof]:
    where = zone or "the initial namespace"
    progress(f"proving {where} by set algebra")
    device = PORT if any(link.name == PORT for link in space.links) else None
    rules = live.beside(kernel, zone, space)
    first = prove.prove(policy, zone, device, rules) if zone else prove.prove_lock(policy, rules)
    if not whole:
        return [first]
    progress(f"proving {where} by z3")
    second = skeleton.prove(policy, zone, device, rules)
    progress(f"proving {where} by decision diagrams")
    listing = kernel.inside(zone, functools.partial(command.run, diagram.LISTING))
    return [first, second, diagram.prove(policy, zone, device, listing)]


def _probes(policy: Policy, kernel: Kernel, progress: Progress) -> tuple[Probe, ...]:
    from gateway.isolation.probe import prober  # the attacks' tables are needed here alone

    return tuple(
        prober.run(policy, kernel, live=True, progress=lambda words, share: progress(f"{words} ({share:.0%})"))
    )


def summary(found: Evidence) -> dict[str, Any]:
    """Return the evidence in short, for a program."""
    return {
        "ok": found.ok,
        "digest": found.digest,
        "zones": dict(found.zones),
        "faults": found.faults,
        "proofs": [
            {"zone": one.zone or "home", "engine": one.engine, "equal": holds(one), "seconds": round(one.seconds, 3)}
            | (
                {"differences": [str(d.packet) for d in one.differences], "unknown": list(one.unknown)}
                if not holds(one)
                else {}
            )
            for one in found.proofs
        ],
        "findings": [
            {"way": one.way, "name": one.name, "zones": list(one.zones), "what": one.what, "joins": joins(one)}
            for one in found.findings
        ],
        "inspected": asdict(found.inspected),
        "measures": {one.name: one.ok for one in found.measures},
        "probes": None if found.probes is None else _count(found.probes),
        "grade": found.grade,
    }


def _count(probes: Sequence[Probe]) -> dict[str, Any]:
    results = [one.result for one in probes]
    told = {result: results.count(result) for result in ("passed", "failed", "blind")}
    return told | {
        "not passed": [f"{one.name} from {one.source}: {one.result}" for one in probes if one.result != "passed"]
    }
