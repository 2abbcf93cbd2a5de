"""``headgate lab`` where there is no lab, and the ``Lab`` behind it."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.runtime.errors import Refused
from provisioning.lab import cli
from provisioning.lab.lab import Lab
from provisioning.lab.state import State


@pytest.fixture(autouse=True)
def labs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of labs with none in it."""
    monkeypatch.setenv("HEADGATE_LAB_STATE", str(tmp_path))
    return tmp_path


def test_status_of_no_lab_is_that_nothing_is_there():
    """Exit code 1: not all machines run."""
    done = CliRunner().invoke(cli.commands, ["status", "--name", "none", "--json"])

    told = json.loads(done.stdout)
    assert done.exit_code == 1
    assert {machine["state"] for machine in told} == {"absent"}
    assert "management/10.40.0.11" in next(m for m in told if m["machine"] == "headend")["addresses"]


def test_status_shows_a_table():
    """Each machine in a row of its own."""
    done = CliRunner().invoke(cli.commands, ["status", "--name", "none"], env={"COLUMNS": "120"})

    assert all(machine in done.stdout for machine in ("centre", "headend", "settop", "attacker-small"))


@pytest.mark.parametrize("argv", [["up"], ["down"], ["shell", "headend"], ["tour"]])
def test_a_lab_needs_root(argv: list[str], monkeypatch: pytest.MonkeyPatch):
    """Whoever is not root is told so, before anything is made."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    done = CliRunner().invoke(cli.commands, argv)

    assert isinstance(done.exception, Refused)
    assert done.exception.reason == "not-root"


def test_an_unknown_flow_is_a_wrong_call():
    """Exit code 2, with the flows there are."""
    done = CliRunner().invoke(cli.commands, ["tour", "flim"])

    assert done.exit_code == 2
    assert "film" in done.stderr


def test_missing_programs_are_named_together(monkeypatch: pytest.MonkeyPatch):
    """One message, not one at a time."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", "/nowhere")

    done = CliRunner().invoke(cli.commands, ["up"])

    assert isinstance(done.exception, Refused)
    assert "systemd-nspawn, mmdebstrap, ip" in str(done.exception)


def test_a_screen_is_not_reached_by_ssh(labs: Path):
    """No path leads from the operator to a screen's network; exec goes in from the machine below."""
    lab = Lab("none", state=State("none", folder=labs))

    with pytest.raises(Refused) as refused:
        lab.ssh("settop", ["true"])

    assert refused.value.reason == "not-managed"


def test_namespaces_of_machine_and_network_differ(labs: Path):
    """There is a machine `institution` and a network `institution`."""
    lab = Lab("none", state=State("none", folder=labs))

    assert lab.namespace("institution") != lab.switch("institution")
    assert lab.operator_argv(["ssh"]) == ["nsenter", "--net=/run/netns/hg-none-operator", "--", "ssh"]
