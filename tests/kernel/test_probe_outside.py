"""An attacker on the wire of a zone: it shoots at a real box, which listens in its other zones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.runtime import command
from gateway.isolation.evidence import Probe
from gateway.isolation.probe import outside, prober, twin
from gateway.isolation.probe.scene import Scene, scene_of
from gateway.isolation.reconcile import reconcile
from gateway.isolation.topology import topology_of

pytestmark = pytest.mark.kernel

PASSED = [
    Probe(3, "icmp-other-zone", "bigscreen", ("culture", "management"), "passed", "open box: answered"),
    Probe(12, "icmp-tunnel", "bigscreen", ("culture", "management"), "passed", "open box: answered"),
    Probe(2, "arp-gratuitous", "culture", ("bigscreen", "management"), "passed", "open box: changed"),
]


@pytest.fixture
def site(scratch: Callable[..., Any]) -> Any:
    """Return a scratch box that holds its policy, with a host on bigscreen's wire."""
    made = scratch()
    wanted = topology_of(made.policy)
    for _ in range(2):
        for action in reconcile(wanted, made.kernel.observe(wanted)):
            made.kernel.act(action)
    made.give("bigscreen", "10.20.0.50/24", "fd20::50/64")
    return made


def attack(site: Any, folder: Path) -> tuple[Scene, list[Probe], dict[str, Any]]:
    """Let the attacker shoot while the box listens; return the verdicts and what the attacker printed."""
    scene = scene_of(site.policy, os.urandom(prober.NONCE), hosts={"bigscreen": ("10.20.0.50", "02:00:00:00:00:50")})
    file = folder / "scene.json"
    file.write_text(scene.dump())
    argv = ["ip", "netns", "exec", site.host("bigscreen"), sys.executable, "-m", "gateway.isolation.probe.shoot"]
    with outside.Hearing(site.kernel, scene, "bigscreen") as hearing:
        shooter = subprocess.Popen(
            [*argv, "--interface", "wire", "--scene", str(file), "--from", "bigscreen"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        while shooter.poll() is None:
            hearing.listen()
        told, errors = shooter.communicate()
        assert shooter.returncode == 0, errors
        heard = hearing.end()
    return scene, outside.merge(PASSED, scene, "bigscreen", heard, told), json.loads(told)


def test_nothing_comes_through_from_outside(site: Any, tmp_path: Path) -> None:
    """The box neither answers nor lets anything into another zone, and holds its policy as before."""
    _, probes, told = attack(site, tmp_path)
    wanted = topology_of(site.policy)

    assert probes == PASSED
    assert told["answers"] == []
    assert told["sent"] > 1000
    assert reconcile(wanted, site.kernel.observe(wanted)) == []


def test_what_comes_through_from_outside_fails_its_probe(site: Any, tmp_path: Path) -> None:
    """A cable within the box joins two zones, and what was sent into the one is heard in the other."""
    one, other = site.kernel.name("bigscreen"), site.kernel.name("culture")
    twin.ip(one, f"link add cheat type veth peer name cheat netns {other}", "link set cheat up")
    twin.ip(other, "link set cheat up")
    rules = 'table netdev cheat {\n chain c {\n type filter hook ingress device "port0" priority -600;\n dup to "cheat"\n }\n}\n'
    site.kernel.inside("bigscreen", lambda: command.run(["nft", "-f", "-"], stdin=rules))

    _, probes, _ = attack(site, tmp_path)

    assert [p.result for p in probes] == ["failed", "failed", "passed"]
    assert "outside: seen in culture" in probes[0].seen


def test_an_attacker_who_sent_too_little_blinds(site: Any) -> None:
    """A machine whose port was down proves nothing."""
    scene = scene_of(site.policy, os.urandom(prober.NONCE))
    told = json.dumps({"from": "bigscreen", "sent": 3, "answers": []})
    probes = outside.merge(PASSED, scene, "bigscreen", outside.Round(), told)

    assert [p.result for p in probes] == ["blind", "blind", "passed"]
    assert "outside: the attacker sent 3 frames only" in probes[0].control


@pytest.mark.parametrize("told", ["", "[]", "{}", '{"sent": "many", "answers": []}', '{"sent": 1, "answers": [7]}'])
def test_a_report_that_cannot_be_read_is_refused(site: Any, told: str) -> None:
    """It is no proof of anything."""
    with pytest.raises(ValueError):  # noqa: PT011 (JSON's and ours; the command prints either)
        outside.merge(PASSED, scene_of(site.policy, bytes(6)), "bigscreen", outside.Round(), told)


def test_a_wrong_scene_is_told_in_words(site: Any, tmp_path: Path) -> None:
    """The attacker's program ends with a sentence."""
    file = tmp_path / "scene.json"
    file.write_text("{}")
    argv = [
        sys.executable,
        "-m",
        "gateway.isolation.probe.shoot",
        "--interface",
        "lo",
        "--scene",
        str(file),
        "--from",
        "bigscreen",
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr.startswith("Error: this is no scene of a probe")
