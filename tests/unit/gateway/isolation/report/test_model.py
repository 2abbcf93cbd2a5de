"""An audit survives JSON whole, and JSON that is not wholly understood is refused."""

from __future__ import annotations

import json
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.runtime.errors import Corrupt
from gateway.isolation.evidence import Difference, Finding, Measure, Packet, Probe, Proof
from gateway.isolation.report import model
from gateway.isolation.report.model import Audit, from_json

words = st.text(max_size=40).filter(lambda text: "\ud800" not in text)
zones = st.sampled_from(["culture", "bigscreen", ""])
counts = st.integers(0, 2**53)
times = st.datetimes(timezones=st.just(UTC))
packets = st.builds(Packet, zones, st.sampled_from(["ingress", "input"]), st.dictionaries(words, words, max_size=3))
verdicts = st.sampled_from(["accept", "drop"])
differences = st.builds(Difference, packets, verdicts, verdicts, words, counts, words)
proofs = st.builds(
    Proof,
    zones,
    st.sampled_from(["algebra", "skeleton", "diagram"]),
    st.booleans(),
    st.lists(differences, max_size=2).map(tuple),
    st.lists(words, max_size=2).map(tuple),
    counts,
    counts,
    st.floats(0, 1e6),
)
ways = st.integers(1, 37)
named = st.lists(words, max_size=3).map(tuple)
findings = st.builds(Finding, ways, words, named, words, st.none() | counts, words)
measures = st.builds(Measure, words, words, words, st.booleans(), words, st.lists(ways, max_size=3).map(tuple))
probes = st.builds(Probe, ways, words, zones, named, st.sampled_from(["passed", "failed", "blind"]), words, words)
audits = st.builds(
    Audit,
    box=st.builds(model.Box, st.from_regex(r"\A[a-z][a-z0-9-]{0,47}\Z"), words, words, words),
    time=times,
    policy=st.builds(model.PolicyFile, words, words, words, st.none() | counts, named, counts),
    zones=st.lists(st.builds(model.Zone, words, words, named, named, counts, counts), max_size=3).map(tuple),
    proofs=st.lists(proofs, max_size=3).map(tuple),
    deviations=st.dictionaries(zones, named, max_size=2),
    findings=st.lists(findings, max_size=2).map(tuple),
    inspected=st.none() | st.builds(model.Inspected, counts, counts),
    measures=st.lists(measures, max_size=2).map(tuple),
    probes=st.none() | st.lists(probes, max_size=2).map(tuple),
    journal=st.none() | st.builds(model.Journal, words, counts, words, words, named, named),
    changes=st.lists(st.builds(model.Change, times, words, words, words), max_size=2).map(tuple),
    since=st.none() | times,
)


@given(audits)
def test_json_and_back_loses_nothing(audit: Audit):
    """What an auditor reads is what the box had."""
    assert from_json(audit.as_bytes()) == audit


@given(st.binary(max_size=200))
def test_any_bytes_give_an_audit_or_a_refusal(data: bytes):
    """Nothing else escapes."""
    with pytest.raises(Corrupt):
        from_json(data)


def test_whole_samples_come_back(good: Audit, bad: Audit):
    """Also everything that comes from a real policy."""
    assert [from_json(audit.as_bytes()) for audit in (good, bad)] == [good, bad]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda told: told.update(schema="headgate-audit/9"), "headgate-audit/9"),
        (lambda told: told.update(more=1), "more"),
        (lambda told: told["proofs"][0].update(more=1), "proofs.0.more"),
        (lambda told: told["proofs"][0].update(rules="23"), "more than this version understands"),
        (lambda told: told["box"].update(site="../../etc/passwd"), "box.site"),
        (lambda told: told["findings"].extend(told["findings"] * 1000), "findings"),
        (lambda told: told["probes"][0].update(result="fine"), "result"),
        (lambda told: told.pop("policy"), "policy"),
        (lambda told: told.update(time="2026-05-04T03:02:01"), "time"),
    ],
)
def test_an_altered_audit_is_refused(bad: Audit, change, told: str):
    """An unknown schema, a field that would be on nobody's page, a name that leaves its folder, a bound exceeded."""
    altered = bad.as_json()
    change(altered)

    with pytest.raises(Corrupt, match=told):
        from_json(json.dumps(altered).encode())


def test_too_large_is_refused_before_it_is_read():
    """A file of gigabytes costs nothing."""
    with pytest.raises(Corrupt, match="longer than"):
        from_json(b" " * (model.LARGEST + 1))
