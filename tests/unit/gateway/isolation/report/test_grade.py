"""Which grade an audit reaches, what lowers it, and what it says of the 37 ways."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.isolation.bridges.known import LINK_WAYS, NAMES
from gateway.isolation.evidence import Finding, Measure, Probe, Proof
from gateway.isolation.host import measures
from gateway.isolation.probe.catalogue import ATTACKS
from gateway.isolation.report.grade import Grade, grade, ways, zone_state
from gateway.isolation.report.model import Audit
from gateway.isolation.report.nist import controls
from gateway.isolation.report.ways import BRIDGES, MEASURES, WAYS
from gateway.isolation.report.ways import PROBE as PROBE_KIND

PROBE = Probe(3, "icmp", "bigscreen", ("culture",), "passed", "seen")


def told(reached: Grade) -> list[str]:
    """Return the reasons' names."""
    return [reason.key for reason in reached.reasons]


def test_complete_evidence_is_proved(good: Audit):
    """Every proof equal, nothing found, every probe passed, every measure in force."""
    assert (grade(good).state, told(grade(good))) == ("proved", [])


@pytest.mark.parametrize("form", ["one-box", "split-box"])
def test_one_box_is_never_physically_disconnected(good: Audit, form: str):
    """However good its evidence, one box is protocol separation with conversion."""
    audit = replace(good, box=replace(good.box, form=form))

    assert grade(audit).form == ("conversion" if form == "one-box" else "disconnection")


@pytest.mark.parametrize(
    ("change", "state", "reason"),
    [
        ({"probes": None}, "reservations", "not-probed"),
        ({"probes": ()}, "reservations", "not-probed"),
        ({"measures": (Measure("m", "1", "0", False, "the kernel lacks it"),)}, "reservations", "measure"),
        ({"measures": (Measure("forwarding", "0", "1", False, "it routes"),)}, "not-shown", "measure"),
        ({"findings": (Finding(22, "operator-entered", ("culture",), "root"),)}, "reservations", "told"),
        ({"findings": (Finding(19, "never-heard-of", ("culture",), "something"),)}, "not-shown", "finding"),
        ({"measures": ()}, "reservations", "no-measures"),
        ({"journal": None}, "reservations", "no-journal"),
        ({"left_out": {"probes": 3}}, "reservations", "left-out"),
        ({"probes": (replace(PROBE, result="failed"),)}, "not-shown", "probe-failed"),
        ({"probes": (replace(PROBE, result="blind"),)}, "not-shown", "probe-blind"),
        ({"findings": (Finding(16, "foreign-link", ("culture",), "a link", done="set down"),)}, "not-shown", "finding"),
        ({"inspected": None}, "not-shown", "not-inspected"),
        ({"deviations": {"culture": ("an address",)}}, "not-shown", "deviates"),
        ({"proofs": ()}, "not-shown", "no-proof"),
    ],
)
def test_what_lowers_the_grade(good: Audit, change: dict, state: str, reason: str):
    """Evidence against the policy, or missing where it matters, fails; what merely is not shown leaves a reservation."""
    reached = grade(replace(good, **change))

    assert reached.state == state
    assert reason in told(reached)


@pytest.mark.parametrize("broken", [{"equal": False}, {"unknown": ("table inet other",)}])
def test_one_proof_that_fails_is_enough(good: Audit, broken: dict):
    """Also the initial namespace's, and also an unknown table beside equal rules."""
    proofs = (*good.proofs[:-1], replace(good.proofs[-1], **broken))

    reached = grade(replace(good, proofs=proofs))

    assert (reached.state, told(reached)) == ("not-shown", ["proof"])


def test_a_missing_engine_is_a_reservation(good: Audit):
    """A signed audit holds every zone against three engines; fewer is said."""
    proofs = tuple(proof for proof in good.proofs if proof.engine != "diagram")

    reached = grade(replace(good, proofs=proofs))

    assert reached.state == "reservations"
    assert {reason.told["engines"] for reason in reached.reasons} == {"diagram"}


def test_a_journal_that_was_altered_fails(good: Audit):
    """The history cannot be believed."""
    assert good.journal is not None
    reached = grade(replace(good, journal=replace(good.journal, faults=("entry 4 was altered",))))

    assert (reached.state, told(reached)) == ("not-shown", ["journal"])


def test_zones_are_judged_one_by_one(bad: Audit):
    """The picture shows which zone fails."""
    quiet = replace(bad, findings=(), probes=None, deviations={})

    assert {zone.name: zone_state(quiet, zone.name) for zone in quiet.zones} == {
        "management": "reservations",
        "culture": "reservations",
        "bigscreen": "not-shown",
        "smallscreen": "not-shown",
        "institution": "not-shown",
    }


def test_a_probe_fails_the_zones_that_it_went_through(good: Audit):
    """Where it came from and where it was seen, not wherever somebody listened."""
    probe = Probe(3, "icmp", "bigscreen", ("culture", "institution"), "failed", "seen", "live: culture: echo reply")
    audit = replace(good, probes=(probe,))

    assert [zone.name for zone in audit.zones if zone_state(audit, zone.name) != "proved"] == ["culture", "bigscreen"]


def test_every_way_has_its_evidence(good: Audit):
    """37 ways in order; each is shown, or said to be a residual risk."""
    shown = {one.way.number: one.state for one in ways(good)}

    assert list(shown) == list(range(1, 38))
    assert [number for number, state in shown.items() if state == "residual"] == [12, 34, 35, 37]
    assert "open" not in shown.values()


def test_evidence_against_a_way_opens_it(bad: Audit):
    """A finding, a probe that failed or was blind, and a missing measure each reach their way."""
    quiet = replace(bad, proofs=())
    shown = {one.way.number: one.state for one in ways(quiet)}

    assert [number for number, state in shown.items() if state == "open"] == [3, 5, 16, 20]
    assert shown[23] == "reserved"


def test_a_residual_way_can_still_be_open(good: Audit):
    """That software cannot close all of it excuses no probe that came through."""
    audit = replace(good, probes=(replace(PROBE, way=12, result="failed"),))

    assert {one.way.number: one.state for one in ways(audit)}[12] == "open"


def test_without_evidence_nothing_is_shown(good: Audit):
    """No proof, no probe, no search, no measure: no way is claimed to be closed."""
    bare = replace(good, proofs=(), probes=None, inspected=None, measures=())

    assert {one.state for one in ways(bare)} == {"unshown", "residual"}


def test_what_is_only_information_lowers_nothing(good: Audit):
    """A box without a TPM is told so, and no less isolated."""
    audit = replace(good, measures=(*good.measures, Measure("tpm", "a TPM", "none", False, "root can copy the key")))

    assert grade(audit).state == "proved"


def test_each_way_names_the_evidence_that_there_is():
    """What the report waits for is what the parts tell: each probe's, finding's and measure's way, no other."""
    found = {name.way for name in NAMES.values()} | set(LINK_WAYS.values())
    measured = {way for measure in measures() for way in measure.ways}

    assert {way.number for way in WAYS if PROBE_KIND in way.shown} == {attack.way for attack in ATTACKS}
    assert {way.number for way in WAYS if BRIDGES in way.shown} == found
    assert {way.number for way in WAYS if MEASURES in way.shown} == measured


def test_every_way_can_be_shown_or_says_what_stays_open():
    """No row of the catalogue is unverifiable without saying so."""
    assert all(way.shown or way.open for way in WAYS)


def test_nist_says_what_is_not_met_yet(good: Audit, bad: Audit):
    """One-way hardware is not claimed, two filters on one kernel only in part; separation follows the evidence."""
    statuses = {one.number: one.status for one in controls(good)}
    worse = {one.number: one.status for one in controls(bad)}

    assert list(statuses) == sorted(statuses)
    assert [statuses[n] for n in (0, 7, 21, 26, 27, 28, 32)] == [
        "met", "not-met", "met", "met", "partly", "partly", "partly",
    ]  # fmt: skip
    assert [worse[n] for n in (0, 21, 26, 28)] == ["not-met"] * 4


def test_proofs_of_other_zones_do_not_count(good: Audit):
    """A zone without a proof of its own is not carried by another's."""
    audit = replace(good, proofs=(Proof("culture", "algebra", True),))

    assert {reason.told["zone"] for reason in grade(audit).reasons if reason.key == "no-proof"} == {
        zone.name for zone in good.zones if zone.name != "culture"
    }
