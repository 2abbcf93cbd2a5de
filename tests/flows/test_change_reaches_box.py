"""Flow 5, on the lab's boxes: the operator's change is shown, applied ring by ring, and reported back."""

import json
import re

import pytest

from provisioning.lab.tour import flow_change, guided
from provisioning.lab.tour.stage import Stage, until

pytestmark = pytest.mark.flow


def test_every_claim_of_the_guide_holds(stage: Stage):
    """A change is shown, enforced and reported; a second run changes nothing; a policy that breaks its own cases goes nowhere."""
    for step in guided("change", flow_change.walk(stage)):
        assert step.ok, step.told()


def test_a_change_that_cuts_management_off_reverts_by_itself(stage: Stage):
    """Nobody can confirm a policy that shuts SSH out, so the box returns to the one before."""
    before = json.loads(stage.lab.ssh("edge", ["headgate", "box", "status", "--json"]))["enforced"]
    asked = stage.lab.ssh("edge", ["cat", "/etc/headgate/policy.yaml"])
    cut = re.sub(r"(  ssh: .*from: )\[[^]]*\]", r"\1[10.40.0.99]", asked)
    cut = "\n".join(line for line in cut.splitlines() if "port: 22" not in line or "drop" in line) + "\n"
    try:
        stage.lab.exec(
            "edge",
            [
                "sh",
                "-c",
                "cat > /etc/headgate/policy.yaml <<'EOF'\n" + cut + "EOF\nheadgate box apply --confirm-within 3s",
            ],
        )
        until("management is back", lambda: reachable(stage), seconds=30)
        until("the policy before is enforced", lambda: status(stage)["enforced"] == before, seconds=10)
    finally:
        stage.lab.exec(
            "edge", ["sh", "-c", "cat > /etc/headgate/policy.yaml <<'EOF'\n" + asked + "EOF\nheadgate box apply"]
        )
    assert status(stage)["enforced"] == before


def status(stage: Stage) -> dict:
    """Return the guard's status of the edge box (the command fails while another policy is asked for than is enforced)."""
    return json.loads(stage.lab.exec("edge", ["sh", "-c", "headgate box status --json || true"]))


def reachable(stage: Stage) -> bool:
    """Return whether the edge answers SSH to the operator's workstation."""
    return (
        stage.operator.call(
            "bash", "-c", "exec 3<>/dev/tcp/10.40.0.12/22 && head -c 3 <&3", check=False, seconds=10
        ).returncode
        == 0
    )
