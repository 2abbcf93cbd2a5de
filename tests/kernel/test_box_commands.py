"""``headgate run guard`` and ``headgate box`` as programs, in a network and a /run/netns of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.kernel

PATIENCE = 20.0  # seconds; the programs take about one to start
PORTS = ("02:68:67:28:00:0b", "02:68:67:0a:00:0b", "02:68:67:14:00:0b")
HEADGATE = [sys.executable, "-c", "from provisioning.main import main; main()"]


class Box:
    """A shell in namespaces of its own, in which the box's programs run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        roots = {
            name: folder / name.removeprefix("HEADGATE_").lower()
            for name in ("HEADGATE_RUN", "HEADGATE_STATE", "HEADGATE_ETC")
        }
        for root in roots.values():
            root.mkdir()
        self.env = {**os.environ, **{name: str(root) for name, root in roots.items()}}
        self.policy = folder / "etc" / "policy.yaml"
        self.guards: list[subprocess.Popen[bytes]] = []
        # The holder keeps the namespaces and passes for process 1, in whose network the ports begin; the others enter them.
        self.holder = subprocess.Popen(
            [
                "unshare",
                "--net",
                "--mount",
                "sh",
                "-c",
                (
                    "mkdir -p /run/netns /run/systemd && mount -t tmpfs tmpfs /run/netns && mount -t tmpfs tmpfs /run/systemd && "
                    "echo test >/run/systemd/container && mount --bind /proc/$$ /proc/1 && echo made && exec sleep infinity"
                ),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.holder.stdout is not None
        assert self.holder.stdout.readline() == "made\n"
        # The cables' other ends are outside of the box: in a namespace that has no name in it.
        self.wires = subprocess.Popen(
            self.argv("unshare", "--net", "sh", "-c", "echo made && exec sleep infinity"),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.wires.stdout is not None
        assert self.wires.stdout.readline() == "made\n"
        for number, mac in enumerate(PORTS):
            far = ("name", f"w{number}", "netns", str(self.wires.pid))
            self.run("ip", "link", "add", f"e{number}", "address", mac, "type", "veth", "peer", *far)

    def argv(self, *words: str) -> list[str]:
        return ["nsenter", "--net", "--mount", "--target", str(self.holder.pid), *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program in the box."""
        return subprocess.run(self.argv(*words), env=self.env, capture_output=True, text=True, timeout=60, check=False)

    def box(self, *words: str) -> Any:
        """Return what ``headgate box ... --json`` says, or its error."""
        done = self.run(*HEADGATE, "box", *words, "--json")
        return json.loads(done.stdout) if done.stdout else done.stderr

    def guard(self) -> subprocess.Popen[bytes]:
        """Start the guard and return it once it answers."""
        guard = subprocess.Popen(self.argv(*HEADGATE, "run", "guard", "--config", str(self.policy)), env=self.env)
        self.guards.append(guard)
        self.until(lambda: isinstance(self.box("status"), dict))
        return guard

    def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is the case."""
        deadline = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < deadline, "waited in vain"

    def published(self) -> dict[str, Any]:
        """Return the status that telemetry reads."""
        return json.loads((self.folder / "run" / "guard" / "status.json").read_text())


@pytest.fixture
def box(tmp_path: Path, policy_file: Path) -> Iterator[Box]:
    box = Box(tmp_path)
    box.policy.write_bytes(policy_file.read_bytes())
    yield box
    for guard in box.guards:
        guard.kill()
        guard.wait()
    for process in (box.wires, box.holder):
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def end(guard: subprocess.Popen[bytes], number: signal.Signals) -> int:
    guard.send_signal(number)
    return guard.wait(PATIENCE)


def test_apply_confirm_and_go_back_over_a_killed_guard(box: Box) -> None:
    """What nobody confirmed is undone by the next guard, what was confirmed stays, and the journal on disk proves both."""
    guard = box.guard()
    first = box.box("status")["enforced"]
    assert box.box("plan") == {"actions": []}
    box.policy.write_text(box.policy.read_text().replace("tcp/8080", "tcp/8081"))
    (action,) = box.box("plan")["actions"]
    assert action.startswith("bigscreen: load ruleset")
    assert box.box("apply", "--confirm-within", "2s")["changed"]
    assert box.box("status")["state"] == "pending"
    assert end(guard, signal.SIGKILL) == -signal.SIGKILL
    guard = box.guard()
    box.until(lambda: box.published()["enforced"] == first)
    assert "nothing-to-confirm" in box.box("confirm")
    second = box.box("apply", "--confirm-within", "1m")["digest"]
    assert box.box("confirm")["state"] == "enforced"
    flush = box.run("ip", "netns", "exec", "culture", "nft", "flush", "ruleset")
    rules = box.run("ip", "netns", "exec", "culture", "nft", "list", "ruleset").stdout
    assert "hook ingress" in rules, flush.stderr  # the tables are the guard's own, where the kernel knows owners
    box.run("ip", "netns", "exec", "culture", "sysctl", "-w", "net.ipv4.ip_forward=1")
    box.until(lambda: "put back" in box.published()["zones"]["culture"]["detail"])
    assert box.box("status")["enforced"] == second
    assert end(guard, signal.SIGTERM) == 0
    journal = box.folder / "state" / "journal" / "guard"
    assert box.run(*HEADGATE, "journal", "verify", str(journal)).returncode == 0
    lines = box.run(*HEADGATE, "journal", "show", str(journal), "--last", "1000", "--json").stdout.splitlines()
    decisions = [(entry["decision"], entry["reason"]) for entry in map(json.loads, lines)]
    assert ("revert", "not-confirmed") in decisions
    assert decisions[-3:] == [("apply", "asked"), ("confirm", "asked"), ("put-back", "drift")]


def test_the_audit_reads_the_kernel_and_leaves_a_signed_report(box: Box, tmp_path: Path) -> None:
    """It proves each zone by three engines, says what was changed with status 1, and its report is checked far from the box."""
    guard = box.guard()
    report = tmp_path / "reports"
    told = box.box("audit", "--report", str(report))
    zones = ("home", "management", "culture", "bigscreen")
    assert all(one["equal"] for one in told["proofs"]), [one for one in told["proofs"] if not one["equal"]]
    proofs = {(one["zone"], one["engine"]): one["equal"] for one in told["proofs"]}
    assert proofs == {(zone, engine): True for zone in zones for engine in ("algebra", "skeleton", "diagram")}
    assert not any(told["zones"].values())
    assert told["ok"], told["faults"]
    key = (box.folder / "state" / "journal" / "guard" / "key.pub").read_text().strip()
    (tmp_path / "key.pub").write_text(key)
    journal = box.folder / "state" / "journal" / "guard"
    last = json.loads(box.run(*HEADGATE, "journal", "show", str(journal), "--last", "1", "--json").stdout)
    assert (last["decision"], last["proofs"], last["file"]) == ("audit", "12 of 12 equal", told["report"]["sha256"])
    (written,) = report.glob("*.json")
    checked = box.run(*HEADGATE, "box", "verify-report", str(written), "--key", str(tmp_path / "key.pub"), "--json")
    assert checked.returncode == 0, checked.stderr
    assert json.loads(checked.stdout)["box"]["site"] == "scratch"
    written.write_bytes(written.read_bytes().replace(b'"payload": "', b'"payload": "AAAA'))
    assert box.run(*HEADGATE, "box", "verify-report", str(written), "--key", str(tmp_path / "key.pub")).returncode != 0

    assert end(guard, signal.SIGTERM) == 0  # the audit needs no guard
    box.run("ip", "netns", "exec", "bigscreen", "nft", "add", "table", "inet", "mine")
    done = box.run(*HEADGATE, "box", "audit")
    assert done.returncode == 1
    assert "table inet mine is there and should not be" in done.stdout


def test_a_guard_starts_on_the_last_good_policy_and_never_on_a_wrong_one(box: Box) -> None:
    """A wrong first policy ends the start with status 2; later the last good one stays in force and the status tells."""
    good = box.policy.read_text()
    box.policy.write_text(good.replace("tcp/8080", "tcp/0"))
    start = [*HEADGATE, "run", "guard", "--config", str(box.policy)]
    assert box.run(*start, "--check").returncode == 2
    assert box.run(*start).returncode == 2
    box.policy.write_text(good)
    assert end(box.guard(), signal.SIGTERM) == 0
    box.policy.write_text(good.replace("tcp/8080", "tcp/0"))
    assert box.run(*start, "--check").returncode == 0
    guard = box.guard()
    assert "0 is not a port" in box.box("apply")
    status = box.box("status")
    assert status["state"] == "pending"
    assert any("0 is not a port" in fault for fault in status["faults"])
    assert end(guard, signal.SIGTERM) == 0


def test_the_guard_listens_for_the_deliveries_of_its_policy(box: Box) -> None:
    """A zone with a delivery has the socket at which that delivery may ask, others have none, and it goes with the guard."""
    guard = box.guard()
    folder = box.folder / "run" / "cut"
    box.until((folder / "delivery-bigscreen" / "cut.sock").is_socket)

    assert [path.name for path in folder.iterdir()] == ["delivery-bigscreen"]
    assert end(guard, signal.SIGTERM) == 0
    assert not (folder / "delivery-bigscreen" / "cut.sock").exists()
