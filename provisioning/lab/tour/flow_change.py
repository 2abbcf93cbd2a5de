"""Flow 5: a change of policy is shown, rolled out by Ansible, and reported back by the box as enforced."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from pathlib import Path

from provisioning.lab.operator import CONTROLLER
from provisioning.lab.tour.stage import BOXES, Stage, Step

EVERYBODY, FEW = (
    "from: [10.40.0.0/24]}",
    "from: [10.40.0.2, 10.40.0.20]}",
)  # who reads a box's metrics: the change goes to and fro


def walk(stage: Stage) -> Iterator[Step]:
    """Walk the flow on all three boxes."""
    policies = {box: stage.operator.folder / "sites" / box / "policy.yaml" for box in BOXES}
    for policy in policies.values():
        policy.write_text(changed(policy.read_text()))
    stage.operator.commit("Change who reads the metrics")
    plan = stage.operator.headgate("fleet", "plan", "--controller", CONTROLLER).stdout
    yield Step(
        "the change is shown as a difference, box by box, before it is applied",
        all(box in plan for box in BOXES) and "9100" in plan,
        {"plan": plan.strip()},
    )
    begin = time.monotonic()
    rollout(stage, "--only-policy")
    seconds = round(time.monotonic() - begin, 1)
    wanted = {box: digest(policy) for box, policy in policies.items()}
    enforced = {box["site"]: box["enforced"] for box in stage.operator.get(f"{CONTROLLER}/api/boxes")["boxes"]}
    yield Step(
        "the change is rolled out ring by ring and each box reports that it enforces it",
        all(enforced.get(box) == wanted[box] for box in BOXES),
        {"seconds": seconds, "enforced": {box: enforced.get(box, "")[:12] for box in BOXES}},
    )
    out = rollout(stage)
    numbers = [int(n) for n in re.findall(r"changed=(\d+)", out)]
    yield Step("a second run changes nothing", bool(numbers) and sum(numbers) == 0, {"changed": numbers})
    yield from refused(stage, policies["headend"])


def refused(stage: Stage, policy: Path) -> Iterator[Step]:
    """Ask for a policy that breaks one of its own expect cases; no box hears of it."""
    good = policy.read_text()
    policy.write_text(re.sub(r"(  delivery: .*from: )\[[^]]*\]", r"\1[10.20.0.99]", good))
    try:
        done = stage.operator.headgate(
            "fleet", "rollout", "start", "--yes", "--controller", CONTROLLER, check=False, seconds=300
        )
    finally:
        policy.write_text(good)
    said = (done.stdout + done.stderr).strip()
    boxes = {box["site"]: box for box in stage.operator.get(f"{CONTROLLER}/api/boxes")["boxes"]}
    untouched = boxes["headend"]["enforced"] == digest(policy)
    yield Step(
        "a policy that breaks one of its own expect: cases is refused before any box hears of it",
        done.returncode != 0 and "expect" in said and "changed=" not in said and untouched,
        {"said": said[-600:]},
    )


def changed(text: str) -> str:
    """Return the policy with the other choice of who reads the metrics."""
    old, new = (EVERYBODY, FEW) if re.search(rf"metrics: .*{re.escape(EVERYBODY)}", text) else (FEW, EVERYBODY)
    return (
        "\n".join(
            line.replace(old, new) if line.lstrip().startswith("metrics:") else line for line in text.splitlines()
        )
        + "\n"
    )


def digest(policy: Path) -> str:
    """Return the digest of a policy file."""
    return hashlib.sha256(policy.read_bytes()).hexdigest()


def rollout(stage: Stage, *options: str) -> str:
    """Roll the operator's folder out and return what was printed."""
    return stage.operator.headgate(
        "fleet", "rollout", "start", "--yes", "--controller", CONTROLLER, *options, seconds=600
    ).stdout
