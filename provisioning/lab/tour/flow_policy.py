"""Flow 1: a policy is checked, explained and enforced by each box's kernel; an attacker finds what it names and no more."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import resources

from provisioning.lab.tour.stage import BOXES, Stage, Step

WRONG = """
site: headend
zones:
  bigscreen: {port: "02:68:67:14:00:0b", addresses: [10.20.0.11/24]}
  management: {port: "02:68:67:28:00", addresses: [10.40.0.11/24]}
services:
  delivery: {zone: bigscren, run: delivery, listen: tcp/80, from: [10.20.0.0/24]}
never:
  - {from: bigscreen, to: management}
lane: {}
"""
ATTACKERS = {"attacker-big": ("headend", "10.20.0.11"), "attacker-small": ("edge", "10.30.0.12")}
# Everything else that the lab's boxes have an address in: nothing of it may answer a screen zone.
ELSEWHERE = ("10.10.0.11", "10.10.0.12", "10.10.0.20", "10.40.0.11", "10.40.0.12", "10.40.0.20", "10.50.0.13")
REPORTS = "/var/lib/headgate/audits"
PROBES = (resources.files("provisioning.lab.tour") / "probes.py").read_text()


def walk(stage: Stage) -> Iterator[Step]:
    """Walk the flow."""
    yield from before(stage)
    for box in (*BOXES, "centre"):
        status = json.loads(stage.lab.ssh(box, ["headgate", "box", "status", "--json"]))
        ok = status["state"] == "enforced" and status["wanted"] == status["enforced"]
        zones = {name: zone["state"] for name, zone in status["zones"].items()}
        yield Step(
            f"{box} enforces exactly the policy that was asked for", ok, {"digest": status["enforced"], "zones": zones}
        )
    yield from prove(stage, "headend")
    for attacker in ATTACKERS:
        yield from attack(stage, attacker)


def prove(stage: Stage, box: str) -> Iterator[Step]:
    """Audit a box with real packets, and check its signed report on the operator's workstation."""
    argv = ["headgate", "box", "audit", "--probe", "--report", REPORTS, "--json"]
    told = json.loads(stage.lab.ssh(box, ["sh", "-c", " ".join(argv) + " || true"], seconds=300))
    proofs = [one for one in told["proofs"] if one["equal"]]
    engines = sorted({one["engine"] for one in proofs})
    seen = {"zones": len(told["zones"]), "engines": engines, "seconds": round(sum(one["seconds"] for one in proofs), 1)}
    ok = len(proofs) == len(told["proofs"]) == 3 * len(told["zones"]) and not any(told["zones"].values())
    yield Step(f"{box}: the live kernel is proved to do with every packet what the policy says", ok, seen)
    joining = [one["what"] for one in told["findings"] if one["joins"]]
    yield Step(
        f"{box}: no process, descriptor, link or program joins two zones",
        not joining,
        told["inspected"] | {"found": joining},
    )
    probes = told["probes"]
    ok = probes["passed"] > 0 and not probes["failed"] and not probes["blind"]
    yield Step(
        f"{box}: every attack of the catalogue is stopped, and each was first seen where its hole is open", ok, probes
    )
    report = stage.operator.folder / "audit.json"
    report.write_text(stage.lab.ssh(box, ["cat", told["report"]["files"][0]]))
    key = stage.operator.folder / "box.pub"
    key.write_text(stage.lab.ssh(box, ["cat", "/var/lib/headgate/journal/guard/key.pub"]))
    done = stage.operator.headgate("box", "verify-report", report.name, "--key", key.name, check=False)
    report.unlink()
    key.unlink()
    ok = done.returncode == 0 and told["ok"]
    said = (done.stdout + done.stderr).strip()
    yield Step(
        "the box's signed report is checked at the operator's workstation",
        ok,
        {"pages": told["report"]["files"][1:], "said": said},
    )


def before(stage: Stage) -> Iterator[Step]:
    """Check and explain policies at the operator's workstation."""
    wrong = stage.operator.folder / "wrong.yaml"
    wrong.write_text(WRONG)
    done = stage.operator.headgate("policy", "check", wrong.name, check=False)
    wrong.unlink()
    told = done.stdout + done.stderr
    lines = re.findall(r"^wrong\.yaml:\d+:\d+: .*", told, re.MULTILINE)
    ok = done.returncode == 2 and len(lines) >= 3 and "did you mean 'bigscreen'" in told
    yield Step("a policy with three mistakes is refused with all of them at once", ok, {"said": told})
    policy = "sites/headend/policy.yaml"
    for port, allowed in (("80", True), ("22", False)):
        done = stage.operator.headgate(
            "policy",
            "explain",
            policy,
            "--from",
            "bigscreen/10.20.0.50",
            "--to",
            "box",
            "--proto",
            "tcp",
            "--port",
            port,
            check=False,
        )
        said = (done.stdout + done.stderr).strip()
        ok = said.lower().startswith("yes") == allowed and (
            not allowed or re.search(r"policy\.yaml:\d+", said) is not None
        )
        yield Step(
            f"explain says whether a television reaches port {port} of the box, and which line decides",
            ok,
            {"said": said},
        )


def attack(stage: Stage, attacker: str) -> Iterator[Step]:
    """Scan the box and the other zones from a screen zone."""
    box, address = ATTACKERS[attacker]
    zone = "bigscreen" if attacker == "attacker-big" else "smallscreen"
    scan = stage.lab.exec(
        attacker,
        ["nmap", "-n", "-Pn", "-sS", "-p-", "-T4", "--min-rate", "4000", "--max-retries", "1", "-oG", "-", address],
        seconds=300,
    )
    ports = sorted(int(port) for port in re.findall(r"(\d+)/open/tcp", scan))
    yield Step(
        f"{attacker}: nmap of all 65535 ports of {box} in {zone} finds the services of the policy and no other",
        ports == [80, 8080],
        {"open": ports},
    )
    for network in ("10.10.0.0/24", "10.40.0.0/24", "10.50.0.0/24"):
        stage.lab.exec(attacker, ["ip", "route", "replace", network, "via", address])
    scan = stage.lab.exec(
        attacker,
        [
            "nmap",
            "-n",
            "-Pn",
            "-sS",
            "-p",
            "22,80,1883,8080,8883,9090,9100",
            "-T4",
            "--max-retries",
            "1",
            "-oG",
            "-",
            *ELSEWHERE,
        ],
        seconds=300,
    )
    found = re.findall(r"Host: (\S+).*?(\d+)/(?:open|closed)/", scan)
    yield Step(
        f"{attacker}: nmap through {box} finds nothing of the other zones",
        not found,
        {"addresses": len(ELSEWHERE), "answers": found},
    )
    own = [other for other in ELSEWHERE if other.endswith(address.rsplit(".", 1)[1])]
    out = [
        json.loads(line)
        for line in stage.lab.exec(
            attacker, ["python3", "-c", PROBES, address, ",".join(own)], seconds=120
        ).splitlines()
    ]
    control = [told for told in out if told.get("probe", "").startswith("control")]
    answers = [told for told in out if "probe" in told and told not in control]
    ok = len(control) == 1 and not answers
    yield Step(
        f"{attacker}: of the hand-made packets of scapy only the control is answered",
        ok,
        {
            "sent": out[-1]["sent"],
            "control": control[0]["answer"] if control else "no answer",
            "other answers": answers,
        },
    )
