"""What the guard decides, as values: which policy to begin with, when to go back, what its status says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from appliance.runtime.errors import Refused
from gateway.isolation.evidence import Finding, Proof
from gateway.isolation.policy import Policy

State = Literal["enforced", "pending", "drift", "failed"]
SHORTEST_CONFIRM, LONGEST_CONFIRM = 1.0, 3600.0  # seconds in which an applied policy may be confirmed
MOST_TOLD = 20  # findings told in one status, reasons in one entry of what was denied
SERVICE = "services."  # begins the reason of a sampled packet that was let in
SAMPLES_TOLD = 3  # of each reason: a record holds 16 KiB
TELL_AGAIN = 60.0  # seconds before the same drift is told once more


@dataclass(frozen=True)
class Pending:
    """A policy that is enforced but goes back to the previous one unless it is confirmed."""

    digest: str
    confirm_by: float  # seconds since the epoch: it must hold across a restart of the guard

    def as_json(self) -> dict[str, Any]:
        """Return it as the guard's file holds it."""
        return {"digest": self.digest, "confirm_by": self.confirm_by}


Begin = Literal["enforced", "previous", "asked"]


def begin_with(*, has_enforced: bool, has_previous: bool, enforced: str, pending: Pending | None, now: float) -> Begin:
    """Return which policy a starting guard enforces: the last good one, the one before it, or the one asked for."""
    if not has_enforced:
        return "asked"
    # A confirmation that was due while the guard was away did not come; one for a policy that never got enforced is void.
    if pending is not None and pending.digest == enforced and now >= pending.confirm_by and has_previous:
        return "previous"
    return "enforced"


def pending_of(policy: Policy, within: float | None, now: float) -> Pending | None:
    """Return what is to be confirmed when ``policy`` is applied for ``within`` seconds; None for good.

    Raises:
        Refused: ``within`` is out of bounds.
    """
    if within is None:
        return None
    if not SHORTEST_CONFIRM <= within <= LONGEST_CONFIRM:
        told = f"a policy can wait {SHORTEST_CONFIRM:.0f} to {LONGEST_CONFIRM:.0f} seconds for its confirmation"
        raise Refused("bad-request", told, 400)
    return Pending(policy.digest, now + within)


@dataclass(frozen=True)
class Findings:
    """What the guard knows of the kernel: zones whose port is missing, and what differs or failed, by zone."""

    no_port: Mapping[str, str]
    drift: Mapping[str, str]
    failed: tuple[str, ...] = ()


def state_of(findings: Findings, *, wanted: str, enforced: str, pending: Pending | None) -> State:
    """Return the one word for the box."""
    if findings.failed or findings.no_port:
        return "failed"
    if findings.drift:
        return "drift"
    return "pending" if pending is not None or wanted != enforced else "enforced"


def status(
    policy: Policy | None,
    findings: Findings,
    *,
    wanted: str,
    pending: Pending | None,
    since: float,
    repaired: Mapping[str, str],
    faults: tuple[str, ...],
    proofs: Sequence[Proof] = (),
    bridges: Sequence[Finding] = (),
    blind: Sequence[str] = (),
    shut: bool = False,
) -> dict[str, Any]:
    """Return the guard's status (docs/architecture.md)."""
    failed = (
        *findings.failed,
        *faults_of(proofs),
        *blind,
        *(["the crossing is shut: nothing crosses"] if shut else ()),
    )
    findings = replace(findings, failed=failed)
    enforced = policy.digest if policy else ""
    zones = {}
    for name, zone in (policy.zones if policy else {}).items():
        if name in findings.no_port:
            told, detail = "no-port", findings.no_port[name]
        elif name in findings.drift:
            told, detail = "drift", findings.drift[name]
        else:
            told, detail = ("failed" if findings.failed else "enforced"), repaired.get(name, "")
        addresses = [str(address) for address in zone.addresses]
        zones[name] = {"state": told, "port": str(zone.port), "addresses": addresses, "detail": detail}
    return {
        "site": policy.site if policy else "",
        "wanted": wanted,
        "enforced": enforced,
        "state": state_of(findings, wanted=wanted, enforced=enforced, pending=pending),
        "since": written(since),
        "zones": zones,
        "faults": [*findings.failed, *faults],
        "confirm_by": written(pending.confirm_by) if pending else None,
        "proofs": {
            one.zone or "home": {
                "equal": one.equal,
                "rules": one.rules,
                "elements": one.elements,
                "seconds": round(one.seconds, 4),
            }
            for one in proofs
        },
        "findings": [
            {"way": one.way, "name": one.name, "zones": list(one.zones), "what": one.what}
            for one in bridges[:MOST_TOLD]
        ],
        "crossing": "shut" if shut else "open",
    }


def faults_of(proofs: Iterable[Proof]) -> tuple[str, ...]:
    """Return in a sentence what each proof that failed shows: the smallest packet that is treated otherwise, or what nothing explains."""
    return tuple(_fault_of(one) for one in proofs if not one.equal)


def _fault_of(proof: Proof) -> str:
    where = f"zone {proof.zone}" if proof.zone else "the initial namespace"
    if proof.differences:
        first = proof.differences[0]
        line = f" (line {first.line})" if first.line else ""
        return f"{where} is not proved: {first.packet} is {first.live}, wanted {first.wanted}: {first.why}{line}"
    return f"{where} is not proved: {'; '.join(proof.unknown[:3]) or 'no reason told'}"


def written(when: float) -> str:
    """Return seconds since the epoch as RFC 3339 UTC."""
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def to_tell(drift: Mapping[str, str], told: Mapping[str, tuple[str, float]], now: float) -> dict[str, str]:
    """Return the drift that was not told, in these words, within the last minute."""
    return {z: d for z, d in drift.items() if z not in told or told[z][0] != d or now - told[z][1] >= TELL_AGAIN}


def denials(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what is written down of sampled packets (``denied.Row``): a decision a zone for those denied, one for connections opened.

    Connections are sampled where a service says ``log: true``; those are recorded, and denied to nobody.
    """
    told: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (-row["denied"], -row["recorded"])):
        decision = "opened" if row["reason"].startswith(SERVICE) else "deny"
        told.setdefault((decision, row["zone"]), []).append(row)
    return [
        {
            "decision": decision,
            "reason": "packets" if decision == "deny" else "sampled",
            "zone": zone,
            **({"denied": sum(row["denied"] for row in found)} if decision == "deny" else {}),
            "recorded": sum(row["recorded"] for row in found),
            "rows": [_brief(row) for row in found[:MOST_TOLD]],
        }
        for (decision, zone), found in told.items()
    ]


def _brief(row: Mapping[str, Any]) -> dict[str, Any]:
    brief = {key: value for key, value in row.items() if key not in ("zone", "samples") and value}
    if row["reason"].startswith(SERVICE):
        brief.pop("denied", None)
    return brief | {"samples": list(row["samples"][:SAMPLES_TOLD])}


def tripped(heard: str) -> list[dict[str, Any]]:
    """Return what is written down of a line of the trip-wire: each link that it set down at once."""
    found = re.findall(r"(\w+): link (\S{1,15}) was up and was set down", heard)
    return [
        {
            "decision": "undo",
            "reason": "link-up-at-home" if zone == "home" else "foreign-link",
            "way": 30 if zone == "home" else 16,
            "zones": [] if zone == "home" else [zone],
            "detail": f"link {link} was up in {zone}",
            "done": "set it down at once",
        }
        for zone, link in dict.fromkeys(found)
    ]


def audited(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is written down of an audit (``audit.summary``): its outcome, proofs and probes, and the report's digest."""
    report, probes = result.get("report"), result["probes"]
    equal = sum(bool(one["equal"]) for one in result["proofs"])
    told: dict[str, Any] = {
        "decision": "audit",
        "reason": report["grade"] if report else "passed" if result["ok"] else "failed",
        "faults": len(result["faults"]),
        "proofs": f"{equal} of {len(result['proofs'])} equal",
    }
    if probes is not None:
        told["probes"] = ", ".join(f"{probes[outcome]} {outcome}" for outcome in ("passed", "failed", "blind"))
    return told | ({"file": report["sha256"]} if report else {})
