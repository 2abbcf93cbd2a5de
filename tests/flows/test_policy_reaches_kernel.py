"""Flow 1, on the lab's boxes: what the policy says is what the kernel does, and stays so."""

import json

import pytest

from provisioning.lab.tour import flow_policy, guided
from provisioning.lab.tour.stage import BOXES, Stage, until

pytestmark = pytest.mark.flow


def test_every_claim_of_the_guide_holds(stage: Stage):
    """Wrong policies are told, right ones explained and enforced, and attackers find the named services alone."""
    for step in guided("policy", flow_policy.walk(stage)):
        assert step.ok, step.told()


@pytest.mark.parametrize("box", [*BOXES, "centre"])
def test_an_audit_of_the_live_kernel_finds_nothing(stage: Stage, box: str):
    """`headgate box audit` reads the kernel and finds what was compiled, no forwarding, and no pair that joins zones."""
    report = json.loads(stage.lab.ssh(box, ["headgate", "box", "audit", "--json"]))

    assert report["ok"], report


def test_a_foreign_rule_is_found_and_undone(stage: Stage):
    """A rule that root added by hand on the box is drift, is told, and is gone again."""
    foreign = ["nsenter", "--net=/run/netns/bigscreen", "nft"]
    stage.lab.exec("headend", [*foreign, "add", "table", "inet", "intruder"])

    until(
        "the foreign table is gone", lambda: "intruder" not in stage.lab.exec("headend", [*foreign, "list", "tables"])
    )
    until("the box enforces its policy again", lambda: status(stage, "headend")["state"] == "enforced")


def test_the_zones_outlive_the_guard(stage: Stage):
    """kill -9 of the guard leaves every zone enforced, and the guard comes back."""
    rules = ["nsenter", "--net=/run/netns/bigscreen", "nft", "list", "ruleset"]
    before = stage.lab.exec("headend", rules)
    pid = kill(stage, "headend", "headgate-guard")

    assert "drop" in stage.lab.exec("headend", rules)
    until("the guard is back", lambda: main_pid(stage, "headend", "headgate-guard") not in (0, pid))
    until("the box enforces its policy", lambda: status(stage, "headend")["state"] == "enforced")
    assert before.count("dport") == stage.lab.exec("headend", rules).count("dport")


def test_a_power_cut_brings_back_the_same_box(stage: Stage):
    """After a power cut the box boots into its last policy by itself: zones, services, and management reachable."""
    digest = status(stage, "edge")["enforced"]
    stage.lab.power_cut("edge")
    stage.lab.start("edge")

    back = until("the edge enforces its policy", lambda: status(stage, "edge"), seconds=60)
    assert (back["state"], back["enforced"]) == ("enforced", digest)
    until("the phone is served again", lambda: stage.curl("phone", "/")[0] == 200, seconds=30)


def status(stage: Stage, box: str) -> dict:
    """Return the guard's status of a box."""
    return json.loads(stage.lab.ssh(box, ["headgate", "box", "status", "--json"]))


def main_pid(stage: Stage, box: str, unit: str) -> int:
    """Return the process of a unit."""
    return int(stage.lab.exec(box, ["systemctl", "show", "-P", "MainPID", unit]))


def kill(stage: Stage, box: str, unit: str) -> int:
    """Kill a unit's process and return what it was."""
    pid = main_pid(stage, box, unit)
    stage.lab.exec(box, ["kill", "-9", str(pid)])
    return pid
