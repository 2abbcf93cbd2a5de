"""The box proves that its zones are apart: live kernel, bridges, real packets, a signed report, and a journal that nobody alters."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.journal import verify
from gateway.isolation import netns
from gateway.isolation import policy as policies
from gateway.isolation.probe.prober import NONCE
from gateway.isolation.probe.scene import scene_of
from gateway.isolation.probe.wires import open_wire
from provisioning.lab.tour.stage import Stage, until
from tests.kernel import cheats

pytestmark = pytest.mark.flow
BOX = "headend"
JOURNAL = "/var/lib/headgate/journal/guard"
ATTACKER = "02:68:67:14:00:42"  # attacker-big's port
CHEATS = "/run/cheats.py"
# What is put back by the reconciling of the zones, before or instead of the search for bridges.
PUT_BACK = ("foreign-link", "enslaved-port", "tap-in-two-zones", "policy-routing", "link-up-at-home")


def test_an_audit_leaves_a_report_that_is_checked_far_from_the_box(stage: Stage, tmp_path: Path):
    """Three engines prove every zone, every attack is stopped, and an auditor checks the signed report without the box."""
    told = json.loads(
        stage.lab.ssh(BOX, ["headgate", "box", "audit", "--probe", "--report", "/var/tmp/audit", "--json"], seconds=300)
    )
    assert told["ok"], told["faults"]
    proofs = {(one["zone"], one["engine"]) for one in told["proofs"] if one["equal"]}
    zones = {"home", "management", "culture", "bigscreen"}
    assert proofs == {(zone, engine) for zone in zones for engine in ("algebra", "skeleton", "diagram")}
    assert told["probes"]["passed"] > 300
    assert (told["probes"]["failed"], told["probes"]["blind"]) == (0, 0)
    for path in told["report"]["files"]:
        text = stage.lab.ssh(BOX, ["cat", path])
        (tmp_path / Path(path).name).write_text(text)
    (report,) = tmp_path.glob("*.json")
    key = stage.lab.ssh(BOX, ["cat", f"{JOURNAL}/key.pub"]).strip()
    key_file = tmp_path / "box.key"
    key_file.write_text(key)

    checked = stage.operator.headgate("box", "verify-report", str(report), "--key", str(key_file))
    assert f"site {BOX}" in checked.stdout
    page = next(tmp_path.glob("*.zh.html"))
    page.write_text(page.read_text().replace("隔离", "隔開"))
    altered = stage.operator.headgate("box", "verify-report", str(report), "--key", str(key_file), check=False)
    assert altered.returncode != 0
    assert "page-differs" in altered.stderr


def test_an_attacker_on_the_wire_reaches_nothing(stage: Stage, tmp_path: Path):
    """The whole catalogue shot at a real box from a real neighbour: nothing of it is on any other network, and nothing answers."""
    policy = policies.load(stage.operator.folder / "sites" / BOX / "policy.yaml")
    told = scene_of(policy, os.urandom(NONCE), hosts={"bigscreen": ("10.20.0.66", ATTACKER)})
    scene = tmp_path / "scene.json"
    scene.write_text(told.dump())
    networks = ("bigscreen", "culture", "management", "smallscreen", "institution")
    with contextlib.ExitStack() as stack:
        wires = {
            network: stack.enter_context(netns.inside(stage.lab.switch(network), open_wire)) for network in networks
        }
        argv = [
            "ip",
            "netns",
            "exec",
            stage.lab.namespace("attacker-big"),
            sys.executable,
            "-m",
            "gateway.isolation.probe.shoot",
        ]
        argv += ["--interface", "port0", "--scene", str(scene), "--from", "bigscreen"]
        with (tmp_path / "out").open("w") as out, (tmp_path / "errors").open("w") as errors:
            shooter = subprocess.Popen(argv, stdout=out, stderr=errors)
            seen = dict.fromkeys(wires, 0)
            while True:
                ended = shooter.poll() is not None
                ready, _, _ = select.select(list(wires.values()), [], [], 0.5)
                for zone, wire in wires.items():
                    if wire in ready:
                        seen[zone] += told.nonce in wire.recv(1 << 16)
                if ended and not ready:
                    break
    assert shooter.returncode == 0, (tmp_path / "errors").read_text()
    said = json.loads((tmp_path / "out").read_text())

    assert said["sent"] > 1000
    assert said["answers"] == []
    assert seen.pop("bigscreen") > 100  # the listeners see: the attacker's own network is full of it
    assert not any(seen.values()), seen
    assert status(stage)["state"] == "enforced"


@pytest.fixture(scope="module")
def planting(lab: Any) -> Iterator[None]:
    """The corpus of cheats on the box, for as long as these tests run."""
    lab.exec(BOX, ["sh", "-c", f"cat > {CHEATS}"], stdin=Path(cheats.__file__).read_text())
    yield
    lab.exec(BOX, ["rm", "-f", CHEATS])


@pytest.mark.usefixtures("planting")
@pytest.mark.parametrize("cheat", cheats.CORPUS, ids=lambda cheat: cheat.name)
def test_a_cheat_on_a_box_is_found_named_and_undone(stage: Stage, cheat: cheats.Cheat):
    """Root plants a way from culture to bigscreen: the journal names it, it is undone, and the box enforces its policy again."""
    before = size(stage)
    a = "home" if cheat.name == "link-at-home" else "culture"
    told = run_cheat(stage, "plant", cheat.name, a)
    assert "refused" not in told, told
    pids = [str(pid) for pid in told["pids"]]
    try:
        if cheat.name == "courier":  # it must have been seen in the one zone before it enters the other
            until("the guard has looked", lambda: looks(stage) > told["at"] + 2)
            run_cheat(stage, "go", cheat.name, a, *pids)
        names = (cheat.finds, "drift") if cheat.finds in PUT_BACK else (cheat.finds,)
        until(f"{cheat.finds} is in the journal", lambda: any(e["reason"] in names for e in entries(stage, before)))
    finally:
        stage.lab.exec(BOX, ["python3", CHEATS, "undo", cheat.name, a, "bigscreen", *pids])
    until("nothing is left of it", lambda: not status(stage)["findings"])
    until("the box is whole", lambda: status(stage)["state"] == "enforced" and status(stage)["crossing"] == "open")


def test_other_processes_of_root_cannot_change_the_rulesets(stage: Stage):
    """The tables have an owner: nft of anybody else is refused, and a flush of everything leaves them as they are."""
    inside = ["nsenter", "--net=/run/netns/bigscreen", "nft"]
    before = stage.lab.exec(BOX, [*inside, "-s", "list", "ruleset"])
    for words in (["delete", "table", "inet", "headgate"], ["add", "rule", "inet", "headgate", "input", "accept"]):
        done = subprocess.run(stage.lab.argv(BOX, [*inside, *words]), capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert "Operation not permitted" in done.stderr
    subprocess.run(stage.lab.argv(BOX, [*inside, "flush", "ruleset"]), capture_output=True, check=False)

    assert stage.lab.exec(BOX, [*inside, "-s", "list", "ruleset"]) == before
    assert "owner" in before


@pytest.mark.parametrize(("port", "allowed"), [("80", True), ("22", False)])
def test_the_running_kernel_answers_the_same_question(stage: Stage, port: str, allowed: bool):
    """`explain --live` asks what the kernel does with one opening, and it is what the policy says."""
    words = ["--from", "bigscreen/10.20.0.50", "--to", "box", "--proto", "tcp", "--port", port, "--live", "--json"]
    argv = ["headgate", "policy", "explain", "/run/headgate/policy/policy.yaml", *words]
    told = json.loads(stage.lab.ssh(BOX, ["sh", "-c", " ".join(argv) + " || true"]))

    assert (told["allowed"], told["live"]["allowed"], told["live"]["agrees"]) == (allowed, allowed, True)


def test_what_is_denied_is_counted_and_sampled(stage: Stage):
    """A port scan is in the figures: all its packets are counted, never more are recorded."""
    name, labels = "headgate_guard_denied_packets_total", {"zone": "bigscreen"}
    before = stage.metric(BOX, name, **labels)
    scan = ["nmap", "-n", "-Pn", "-sS", "-p", "1-79", "-T4", "--min-rate", "1000", "--max-retries", "0", "10.20.0.11"]
    stage.lab.exec("attacker-big", scan, seconds=60)

    until("the scan is counted", lambda: stage.metric(BOX, name, **labels) >= before + 79, seconds=90)
    recorded = stage.metric(BOX, "headgate_guard_recorded_packets_total", **labels)
    assert 0 < recorded <= stage.metric(BOX, name, **labels)


def test_a_copy_of_the_journal_is_verified_by_one_file(stage: Stage, tmp_path: Path):
    """An auditor needs the copy, the key and one file; the controller has countersigned; an altered record is named."""
    until(
        "the operator has countersigned", lambda: "operator" in stage.lab.ssh(BOX, ["cat", f"{JOURNAL}/witnessed"]), 90
    )
    packed = stage.lab.ssh(BOX, ["sh", "-c", f"tar c -C {JOURNAL} . | base64"])
    folder = tmp_path / "copy"
    folder.mkdir()
    subprocess.run(["tar", "x", "-C", str(folder)], input=base64.b64decode(packed), check=True)
    alone = tmp_path / "verify.py"
    alone.write_text(Path(verify.__file__).read_text())
    key = (folder / "key.pub").read_text().strip()

    def verified() -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-I", str(alone), str(folder), "--key", key]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    good = verified()
    assert good.returncode == 0, good.stdout + good.stderr
    target = max(
        (p for p in folder.rglob("*") if p.is_file() and b'"decision"' in p.read_bytes()),
        key=lambda p: p.stat().st_size,
    )
    target.write_bytes(target.read_bytes().replace(b'"decision":"apply"', b'"decision":"bpply"', 1))
    assert verified().returncode != 0


def run_cheat(stage: Stage, verb: str, name: str, a: str, *pids: str) -> dict[str, Any]:
    """Do one thing with a cheat on the box and return what it says."""
    at = looks(stage)
    told: dict[str, Any] = json.loads(stage.lab.exec(BOX, ["python3", CHEATS, verb, name, a, "bigscreen", *pids]))
    return told | {"at": at}


def looks(stage: Stage) -> float:
    """Return when the guard looked last, in seconds."""
    return float(stage.lab.exec(BOX, ["stat", "-c", "%.Y", "/run/headgate/guard/status.json"]))


def size(stage: Stage) -> int:
    """Return how many entries the journal has."""
    return len(stage.lab.exec(BOX, ["headgate", "journal", "show", JOURNAL, "--last", "100000", "--json"]).splitlines())


def entries(stage: Stage, first: int) -> list[dict[str, Any]]:
    """Return the journal's entries from number ``first``."""
    listed = stage.lab.exec(BOX, ["headgate", "journal", "show", JOURNAL, "--last", "100000", "--json"])
    return [json.loads(line) for line in listed.splitlines()[first:]]


def status(stage: Stage) -> dict[str, Any]:
    """Return what the guard publishes."""
    told: dict[str, Any] = json.loads(stage.lab.exec(BOX, ["cat", "/run/headgate/guard/status.json"]))
    return told
