"""A policy and its evidence become an audit within bounds, and a bound is never silent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from appliance.identity.keys import PrivateKey
from gateway.isolation.evidence import Finding, Probe, Proof
from gateway.isolation.policy import Policy
from gateway.isolation.report import described, model
from gateway.isolation.report.grade import ENGINES, grade
from gateway.isolation.report.model import Audit

NOW = datetime(2026, 5, 4, tzinfo=UTC)


def audit_of(policy: Policy, key: PrivateKey, **evidence) -> Audit:
    """Return the audit of ``policy``."""
    return described.of(policy, now=NOW, key=key.public, software="0", **evidence)


def test_it_says_what_is_admitted_for_whom(good: Audit):
    """Bodies with their acts, services by zone with who, lanes with kind and size, each with its line."""
    lines = good.policy.text.splitlines()
    told = {one.name: one for one in (*good.openings, *good.lanes)}

    assert told["delivery"].ends == ("@televisions", "10.20.0.7")
    assert told["delivery"].hosts == 3
    assert (told["clips"].largest, told["clips"].rate) == (16 << 20, "100/s")
    assert {body.name: body.acts for body in good.bodies}["南宁博物馆"] == ("share", "associate", "reconstruct")
    assert all(f"{name}:" in lines[one.line - 1] for name, one in told.items())
    assert (good.policy.serial, good.policy.needed, good.policy.approved) == (7, 2, ("li-wei", "wang-fang"))


def test_a_statement_holds_on_the_live_box_only_where_that_was_proved(site: Policy, key: PrivateKey):
    """A promise in a file is not yet kept: without a proof of the kernel, or with a bridge, it does not hold."""
    proofs = [Proof(zone, engine, True) for zone in site.zones for engine in ENGINES]
    bridge = Finding(20, "thread-in-two-zones", ("bigscreen", "culture"), "a thread")

    kept = audit_of(site, key, proofs=proofs).statements
    without = audit_of(site, key, proofs=proofs[:3]).statements
    joined = audit_of(site, key, proofs=proofs, findings=[bridge]).statements

    assert len(kept) == len(site.never) + len(site.expect)
    assert all(one.holds for one in kept)
    assert not any(one.holds for one in without if "bigscreen" in one.said)
    assert [one.said for one in joined if not one.holds] == [
        one.said for one in kept if "bigscreen" in one.said and "culture" in one.said
    ]


def test_bounds_cut_and_say_so(site: Policy, key: PrivateKey):
    """Ten thousand findings fit into no report; the first thousand and the number of the rest do."""
    many = [Finding(16, "foreign-link", ("bigscreen",), "x" * 10_000)] * (model.MOST_FINDINGS + 5)
    audit = audit_of(site, key, findings=many)

    assert audit.left_out == {"findings": 5}
    assert len(audit.findings) == model.MOST_FINDINGS
    assert len(audit.as_bytes()) < model.LARGEST
    assert any(reason.key == "left-out" for reason in grade(audit).reasons)


def test_no_bound_hides_a_probe_that_failed(site: Policy, key: PrivateKey):
    """Of too many probes those stay that did not pass."""
    passed = Probe(3, "icmp", "bigscreen", ("culture",), "passed", "seen")
    audit = audit_of(site, key, probes=[*[passed] * (model.MOST_PROBES + 3), replace(passed, result="failed")])

    assert audit.probes is not None
    assert audit.probes[0].result == "failed"
    assert audit.left_out == {"probes": 4}


def test_the_latest_changes_stay(site: Policy, key: PrivateKey):
    """Of too many changes the oldest are left out, and the order is kept."""
    entries = [
        {"time": f"2026-05-04T00:{n // 60 % 60:02}:{n % 60:02}Z", "decision": "put-back", "reason": str(n)}
        for n in range(model.MOST_CHANGES + 2)
    ]
    audit = audit_of(site, key, decisions=entries)

    assert [audit.changes[0].reason, audit.changes[-1].reason] == ["2", str(model.MOST_CHANGES + 1)]
