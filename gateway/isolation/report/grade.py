"""Which grade of isolation an audit reaches, why no higher one, and which of the 37 ways across it shows closed. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.isolation.bridges.known import NAMES
from gateway.isolation.evidence import Finding, Measure, Probe, Proof
from gateway.isolation.host.grade import ESSENTIAL, INFORMATION
from gateway.isolation.report.model import Audit
from gateway.isolation.report.ways import BRIDGES, MEASURES, PROBE, PROOF, WAYS, Way

State = Literal["proved", "reservations", "not-shown"]
WayState = Literal["shown", "reserved", "open", "unshown", "residual"]
ENGINES = ("algebra", "skeleton", "diagram")  # a signed audit holds every zone against all three


@dataclass(frozen=True)
class Reason:
    """One thing that lowers the grade: a key of the words, what fills it, and the place on the page that shows it."""

    key: str
    fails: bool  # else it only leaves something unshown
    told: Mapping[str, str] = field(default_factory=dict)
    anchor: str = ""


@dataclass(frozen=True)
class Grade:
    """The form in the terms of GB/T 20279, how complete its evidence is, and what lowers it."""

    form: Literal["conversion", "disconnection"]
    state: State
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Shown:
    """What this audit says of one way across: evidence kind -> it holds (True), speaks against (False), was not looked at (None)."""

    way: Way
    state: WayState
    evidence: Mapping[str, bool | None]
    failed: int = 0  # findings and probes that speak against


def grade(audit: Audit) -> Grade:
    """Return the grade that ``audit`` reaches.

    One box is never more than protocol separation with conversion, whatever its evidence: its zones share a kernel.
    """
    reasons = tuple(_reasons(audit))
    state: State = "proved"
    if reasons:
        state = "not-shown" if any(reason.fails for reason in reasons) else "reservations"
    return Grade("disconnection" if audit.box.form == "split-box" else "conversion", state, reasons)


def zone_state(audit: Audit, zone: str) -> State:
    """Return how well the separation of one zone (empty: the initial namespace) is shown."""
    proofs = [proof for proof in audit.proofs if proof.zone == zone]
    findings = [finding for finding in audit.findings if zone in finding.zones]
    against = audit.deviations.get(zone) or any(joins(finding) for finding in findings)
    failed = any(probe.result != "passed" and zone in _concerned(probe) for probe in audit.probes or ())
    if against or failed or not proofs or any(not holds(proof) for proof in proofs):
        return "not-shown"
    return "proved" if {proof.engine for proof in proofs} >= set(ENGINES) and not findings else "reservations"


def _concerned(probe: Probe) -> set[str]:
    """Return the zone a probe came from, and those in which what came through was seen."""
    return {probe.source, *(zone for zone in probe.listened if re.search(rf"\b{re.escape(zone)}\b", probe.seen))}


def joins(finding: Finding) -> bool:
    """Return whether a finding is a bridge; some only tell what could become one, or what could not be seen."""
    return finding.name not in NAMES or NAMES[finding.name].stops


def lacks(measure: Measure) -> bool:
    """Return whether a measure is asked of every box and missing on this one."""
    return not measure.ok and measure.name not in INFORMATION


def holds(proof: Proof) -> bool:
    """Return whether a proof shows the live ruleset equal to the policy's, with nothing unexplained."""
    return proof.equal and not proof.unknown and not proof.differences


def proved_zones(audit: Audit) -> int:
    """Return for how many zones of the policy every proof there is holds, and there is one."""
    told = {zone.name: [proof for proof in audit.proofs if proof.zone == zone.name] for zone in audit.zones}
    return sum(bool(proofs) and all(holds(proof) for proof in proofs) for proofs in told.values())


def _reasons(audit: Audit) -> Iterator[Reason]:
    yield from _of_proofs(audit)
    for zone, lines in audit.deviations.items():
        if lines:
            yield Reason("deviates", True, {"zone": zone or "home", "n": str(len(lines))}, f"deviates-{zone or 'home'}")
    for number, finding in enumerate(audit.findings):
        key = "finding" if joins(finding) else "told"
        yield Reason(key, joins(finding), {"name": finding.name, "way": str(finding.way)}, f"finding-{number}")
    if audit.inspected is None:
        yield Reason("not-inspected", True, {}, "bridges")
    yield from _of_probes(audit)
    for number, statement in enumerate(audit.statements):
        if not statement.holds:
            yield Reason("statement", True, {"said": statement.said}, f"statement-{number}")
    for number, measure in enumerate(audit.measures):
        if lacks(measure):
            told = {"name": measure.name, "why": measure.why or measure.found}
            yield Reason("measure", measure.name in ESSENTIAL, told, f"measure-{number}")
    if not audit.measures:
        yield Reason("no-measures", False, {}, "measures")
    yield from _of_journal(audit)
    for what, number in audit.left_out.items():
        yield Reason("left-out", False, {"what": what, "n": str(number)}, "left-out")


def _of_proofs(audit: Audit) -> Iterator[Reason]:
    for zone in audit.zones:
        engines = {proof.engine for proof in audit.proofs if proof.zone == zone.name}
        if not engines:
            yield Reason("no-proof", True, {"zone": zone.name}, "proofs")
        elif missing := [engine for engine in ENGINES if engine not in engines]:
            yield Reason("no-engine", False, {"zone": zone.name, "engines": ", ".join(missing)}, "proofs")
    for proof in audit.proofs:
        if not holds(proof):
            told = {"zone": proof.zone or "home", "engine": proof.engine}
            yield Reason("proof", True, told, f"proof-{proof.zone or 'home'}-{proof.engine}")


def _of_probes(audit: Audit) -> Iterator[Reason]:
    if not audit.probes:
        yield Reason("not-probed", False, {}, "probes")
    for number, probe in enumerate(audit.probes or ()):
        if probe.result != "passed":
            yield Reason(f"probe-{probe.result}", True, {"name": probe.name, "way": str(probe.way)}, f"probe-{number}")


def _of_journal(audit: Audit) -> Iterator[Reason]:
    if audit.journal is None:
        yield Reason("no-journal", False, {}, "journal")
    elif audit.journal.faults:
        yield Reason("journal", True, {"n": str(len(audit.journal.faults))}, "journal")


def ways(audit: Audit) -> tuple[Shown, ...]:
    """Return what ``audit`` says of each of the 37 ways across."""
    return tuple(_shown(audit, way) for way in WAYS)


def _shown(audit: Audit, way: Way) -> Shown:
    findings = [finding for finding in audit.findings if finding.way == way.number]
    probes = [probe for probe in audit.probes or () if probe.way == way.number]
    measures = [measure for measure in audit.measures if way.number in measure.ways]
    failed = sum(probe.result != "passed" for probe in probes)
    told: dict[str, bool | None] = dict.fromkeys(way.shown)
    if PROOF in told and audit.proofs:
        told[PROOF] = all(holds(proof) for proof in audit.proofs) and proved_zones(audit) == len(audit.zones)
    if findings or (BRIDGES in told and audit.inspected is not None):
        told[BRIDGES] = not findings
    if probes:
        told[PROBE] = not failed
    if measures:
        told[MEASURES] = not any(lacks(measure) for measure in measures)
    against = told.get(PROOF) is False or bool(failed) or any(joins(finding) for finding in findings)
    return Shown(way, "open" if against else _state(way, told), told, len(findings) + failed)


def _state(way: Way, told: Mapping[str, bool | None]) -> WayState:
    if told.get(MEASURES) is False or told.get(BRIDGES) is False:
        return "reserved"
    if way.open is not None:
        return "residual"  # whatever is shown of it, a part stays that software cannot close
    return "shown" if any(told.values()) else "unshown"
