"""The playbooks: read by Ansible, told by the roles' manuals, and with settings that their programs accept."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import jinja2
import pytest
from ruamel.yaml import YAML

from appliance.runtime import config
from appliance.runtime.command import run
from appliance.telemetry.settings import Telemetry
from provisioning.controller.settings import Controller

PLAYBOOKS = Path(__file__).parents[3] / "playbooks"
VALUES = {
    "ansible_managed": "by a test", "gateway_site": "edge", "gateway_address": "10.40.0.12", "gateway_broker_address": "10.40.0.20",
    "gateway_broker_port": 8883, "gateway_metrics_port": 9100, "centre_address": "10.40.0.20", "centre_controller_port": 8080,
    "centre_broker_port": 8883, "centre_database": "sqlite:////var/lib/headgate/controller/controller.db",
    "centre_registry_key": "keys/registry.pem", "centre_trust_key": "keys/trust.pem", "centre_trust_root": "0" * 64,
    "centre_registry_name": "centre",
}  # fmt: skip


def load(path: Path):
    return YAML(typ="safe", pure=True).load(path)


def rendered(template: str) -> str:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False, trim_blocks=True)  # noqa: S701 (no HTML)
    return environment.from_string((PLAYBOOKS / "roles" / template).read_text()).render(VALUES)


def test_ansible_reads_the_playbooks(tmp_path: Path):
    """Ansible's own parser takes each playbook with its roles."""
    environment = os.environ | {"ANSIBLE_CONFIG": str(PLAYBOOKS / "ansible.cfg"), "ANSIBLE_HOME": str(tmp_path)}
    program = Path(sys.executable).parent / "ansible-playbook"

    playbooks = [str(PLAYBOOKS / f"{name}.yml") for name in ("site", "policy", "enrol", "publish")]

    run([str(program), "--syntax-check", "-i", "edge,", *playbooks], env=environment, seconds=100)


@pytest.mark.parametrize("role", ["gateway", "centre"])
def test_every_default_is_in_the_roles_manual(role: str):
    """A role's inputs carry its name, and each default is told in argument_specs with the same value where that has one."""
    folder = PLAYBOOKS / "roles" / role
    told = load(folder / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    defaults = load(folder / "defaults" / "main.yml")

    assert {name for name in (*told, *defaults) if not name.startswith(f"{role}_")} == set()
    assert set(defaults) <= set(told)
    assert {n: v["default"] for n, v in told.items() if "default" in v} == {
        n: defaults[n] for n in told if "default" in told[n]
    }
    assert [name for name, spec in told.items() if not spec.get("required") and name not in defaults] == []


def test_telemetry_takes_its_settings():
    """The template of telemetry.yaml is what the daemon's model reads."""
    settings = config.parse(rendered("gateway/templates/telemetry.yaml.j2"), Telemetry)

    assert (settings.site, settings.broker.address, settings.metrics.port) == ("edge", "10.40.0.20", 9100)


def test_the_controller_takes_its_settings():
    """The template of controller.yaml is what the controller's model reads."""
    settings = config.parse(rendered("centre/templates/controller.yaml.j2"), Controller)

    assert settings.registry is not None
    assert (str(settings.wanted), str(settings.registry.folder)) == ("/var/lib/headgate/wanted", "/srv/origin/registry")
    assert settings.trust is not None
    assert (str(settings.trust.folder), settings.trust.root) == ("/srv/origin/trust", "0" * 64)


def test_the_broker_lets_a_box_speak_under_its_own_name_only():
    """Every pattern that lets a box write ends in its own name; only the controller hears all boxes."""
    text = (PLAYBOOKS / "roles/centre/files/system/etc/mosquitto/headgate.acl").read_text()
    patterns = re.findall(r"^pattern write (\S+)", text, re.MULTILINE)
    general = text[: text.index("user controller")]

    assert patterns
    assert all("/%u" in pattern for pattern in patterns)
    assert not re.findall(r"^topic", general, re.MULTILINE)


def test_lines_that_start_programs_do_not_pass_a_shell():
    """A shell is used where the reason is written beside it, and nowhere else."""
    shells = [
        f"{path.relative_to(PLAYBOOKS)}: {line.strip()}"
        for path in PLAYBOOKS.glob("roles/*/tasks/*.yml")
        for line in path.read_text().splitlines()
        if "ansible.builtin.shell" in line or "ansible.builtin.raw" in line
    ]

    assert shells == ["roles/gateway/tasks/unpack.yml: ansible.builtin.shell:"]
