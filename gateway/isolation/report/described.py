"""The policy and the evidence -> one ``Audit``, within its bounds; what a bound cut off is counted, never dropped silently."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from appliance.identity.keys import PublicKey
from gateway.isolation.evidence import Finding, Measure, Probe, Proof
from gateway.isolation.groups import Hosts
from gateway.isolation.policy import Never, Policy
from gateway.isolation.question import KINDS, End, Question
from gateway.isolation.report import model
from gateway.isolation.report.grade import holds
from gateway.isolation.report.model import Audit
from gateway.isolation.verdict import decide

MOST_ENDS = 500
LONGEST_TEXT, LONGEST_WORD = 4000, 250  # characters
LINES_OF_ZONE = 100
T = TypeVar("T")


def of(
    policy: Policy,
    *,
    now: datetime,
    key: PublicKey,
    software: str,
    proofs: Sequence[Proof] = (),
    deviations: Mapping[str, Sequence[str]] | None = None,
    findings: Sequence[Finding] = (),
    inspected: model.Inspected | None = None,
    measures: Sequence[Measure] = (),
    probes: Sequence[Probe] | None = None,
    denied: Sequence[model.Denied] = (),
    journal: model.Journal | None = None,
    decisions: Iterable[Mapping[str, Any]] = (),
    previous: str = "",
    since: datetime | None = None,
    approved: Sequence[str] = (),
    form: model.Form = "one-box",
    kernel: str = "",
) -> Audit:
    """Return the audit of ``policy`` with its evidence; ``decisions`` are the journal's entries since the audit before this one.

    ``probes`` is None where none were sent, ``inspected`` None where nobody looked for bridges. ``software`` is the running version.
    """
    cut = _Cut()
    kept = tuple(_proof(proof, cut) for proof in cut("proofs", proofs, 64))
    found = tuple(_finding(finding) for finding in cut("findings", findings, model.MOST_FINDINGS))
    return Audit(
        box=model.Box(policy.site, str(key), software, kernel or f"{platform.system()} {platform.release()}", form),
        time=now.astimezone(UTC),
        policy=_file(policy, approved, cut),
        zones=_zones(policy),
        bodies=_bodies(policy),
        openings=_openings(policy),
        lanes=_lanes(policy),
        statements=_statements(policy, kept, found),
        proofs=kept,
        deviations={
            zone: tuple(_text(line) for line in cut("deviations", lines, LINES_OF_ZONE))
            for zone, lines in (deviations or {}).items()
            if lines
        },
        findings=found,
        inspected=inspected,
        measures=tuple(cut("measures", measures, model.MOST_MEASURES)),
        probes=None if probes is None else tuple(cut("probes", _worst_first(probes), model.MOST_PROBES)),
        denied=tuple(denied),
        journal=journal,
        changes=tuple(_change(told) for told in cut("changes", list(decisions)[::-1], model.MOST_CHANGES))[::-1],
        previous=previous,
        since=None if since is None else since.astimezone(UTC),
        left_out=cut.left_out,
    )


class _Cut:
    """Cuts sequences to their bound and counts what it cut off."""

    def __init__(self) -> None:
        self.left_out: dict[str, int] = {}

    def __call__(self, what: str, values: Sequence[T], most: int) -> Sequence[T]:
        if len(values) > most:
            self.left_out[what] = self.left_out.get(what, 0) + len(values) - most
        return values[:most]


def _worst_first(probes: Sequence[Probe]) -> list[Probe]:
    """Return the probes so that a bound never cuts off one that failed."""
    return sorted(probes, key=lambda probe: (probe.result == "passed", probe.way))


def _proof(proof: Proof, cut: _Cut) -> Proof:
    return replace(
        proof,
        differences=tuple(cut("differences", proof.differences, model.MOST_DIFFERENCES)),
        unknown=tuple(_text(told) for told in cut("unknown", proof.unknown, model.MOST_UNKNOWN)),
    )


def _finding(finding: Finding) -> Finding:
    return replace(finding, what=_text(finding.what), done=_text(finding.done))


def _file(policy: Policy, approved: Sequence[str], cut: _Cut) -> model.PolicyFile:
    text = policy.data.decode(errors="replace")
    if len(text) > model.LONGEST_POLICY:
        cut.left_out["policy"] = len(text) - model.LONGEST_POLICY
        text = text[: model.LONGEST_POLICY]
    needed = policy.approval.signatures if policy.approval else 0
    return model.PolicyFile(policy.digest, policy.file[-LONGEST_WORD:], text, policy.serial, tuple(approved), needed)


def _zones(policy: Policy) -> tuple[model.Zone, ...]:
    return tuple(
        model.Zone(
            name=name,
            port=str(zone.port),
            addresses=tuple(str(address) for address in zone.addresses),
            networks=tuple(str(network) for network in zone.networks),
            neighbours=len(zone.neighbours),
            line=policy.line_of(("zones", name)),
        )
        for name, zone in policy.zones.items()
    )


def _bodies(policy: Policy) -> tuple[model.Body, ...]:
    return tuple(
        model.Body(
            ident=ident,
            name=body.name,
            acts=tuple(body.acts),
            identifiers=tuple(body.identifiers),
            keys=tuple(str(key) for key in body.keys),
            addresses=len(body.addresses),
            line=policy.line_of(("bodies", ident)),
        )
        for ident, body in policy.bodies.items()
    )


def _openings(policy: Policy) -> tuple[model.Opening, ...]:
    def hosts(ends: Hosts) -> int:
        return sum(len(policy.group(name)) for name in ends.groups)

    services = [
        model.Opening(
            "service",
            name,
            one.zone,
            one.run,
            str(one.listen),
            tuple(one.sources.words()[:MOST_ENDS]),
            hosts(one.sources),
            policy.line_of(("services", name)),
        )
        for name, one in policy.services.items()
    ]
    reaches = [
        model.Opening(
            "reach",
            name,
            one.zone,
            one.run,
            str(one.port),
            tuple(one.to.words()[:MOST_ENDS]),
            hosts(one.to),
            policy.line_of(("reach", name)),
        )
        for name, one in policy.reach.items()
    ]
    return (*services, *reaches)


def _lanes(policy: Policy) -> tuple[model.Lane, ...]:
    return tuple(
        model.Lane(
            name,
            lane.source,
            lane.target,
            lane.kind,
            lane.largest,
            str(lane.rate or ""),
            policy.line_of(("lanes", name)),
        )
        for name, lane in policy.lanes.items()
    )


def _statements(policy: Policy, proofs: Sequence[Proof], findings: Sequence[Finding]) -> tuple[model.Statement, ...]:
    """Return each ``never:`` and ``expect:``; it holds where the policy says so *and* the kernel was proved to be the policy."""
    shown = {proof.zone: True for proof in proofs}
    for proof in proofs:
        shown[proof.zone] &= holds(proof)
    told = []
    for index, never in enumerate(policy.never):
        allowed, why = _ever(policy, never)
        live, but = _live((never.source, never.target), shown, findings)
        said = f"{never.source} -> {never.target}" + (f", lane: {never.lane}" if never.lane else "")
        told.append(model.Statement("never", said, not allowed and live, but or why, policy.line_of(("never", index))))
    for index, case in enumerate(policy.expect):
        verdict = decide(policy, case.question)
        live, but = _live((case.source.zone, case.target.zone), shown, findings)
        right = verdict.allowed == (case.verdict == "accept")
        said = f"{case.question} = {case.verdict}"[:LONGEST_WORD]
        told.append(
            model.Statement(
                "expect", said, right and live, but or _text(verdict.why), policy.line_of(("expect", index))
            )
        )
    return tuple(told)


def _ever(policy: Policy, never: Never) -> tuple[bool, str]:
    """Return whether the policy lets happen what it says never does, and why."""
    ends = End(never.source), End(never.target)
    verdict = decide(policy, Question(*ends))
    for kind in KINDS:
        if never.lane in (kind, "any") and (lane := decide(policy, Question(*ends, lane=kind))).allowed:
            return True, lane.why
    return verdict.allowed, _text(verdict.why)


def _live(ends: tuple[str | None, ...], shown: Mapping[str, bool], findings: Sequence[Finding]) -> tuple[bool, str]:
    zones = [zone for zone in ends if zone is not None]
    for zone in zones:
        if not shown.get(zone):
            return False, f"the kernel was not proved to hold the policy in {zone}"
    for finding in findings:
        if len(zones) > 1 and set(zones) <= set(finding.zones):
            return False, f"{finding.name} joins {' and '.join(zones)}"
    return True, ""


def _change(told: Mapping[str, Any]) -> model.Change:
    rest = {key: value for key, value in told.items() if key not in ("time", "decision", "reason", "id")}
    return model.Change(
        datetime.fromisoformat(str(told["time"])).astimezone(UTC),
        str(told.get("decision", ""))[:LONGEST_WORD],
        str(told.get("reason", ""))[:LONGEST_WORD],
        _text(", ".join(f"{key}: {value}" for key, value in rest.items())),
    )


def _text(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"
