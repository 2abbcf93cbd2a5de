"""The operator's folder: sound ones become a fleet, wrong ones tell every fault at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.runtime import config
from appliance.runtime.errors import ConfigError
from provisioning.fleet import inventory

POLICY = """\
site: {site}
zones:
  management: {{port: "02:68:67:28:00:0b", addresses: [{address}/24]}}
  culture: {{port: "02:68:67:0a:00:0b", addresses: [10.10.0.11/24]}}
services:
  ssh: {{zone: management, run: ssh, listen: tcp/22, from: [10.40.0.0/24]}}
never:
  - {{from: culture, to: management}}
"""
SOUND = """\
all:
  vars: {ansible_user: root}
  children:
    centre: {hosts: {centre: {ansible_host: 10.40.0.20, ring: 0}}}
    gateways:
      hosts:
        headend: {ansible_host: 10.40.0.11, ring: 1, ansible_port: 2222}
        edge: {ansible_host: 10.40.0.12, ring: 2}
"""
ADDRESSES = {"centre": "10.40.0.20", "headend": "10.40.0.11", "edge": "10.40.0.12"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "inventory.yaml").write_text(SOUND)
    for site, address in ADDRESSES.items():
        (tmp_path / "sites" / site).mkdir(parents=True)
        (tmp_path / "sites" / site / "policy.yaml").write_text(POLICY.format(site=site, address=address))
    return tmp_path


def faults(folder: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        inventory.read(folder)
    return str(raised.value)


def test_a_sound_folder_is_a_fleet(folder: Path):
    """Sites, rings and the centre are read; Ansible's own variables are left alone."""
    fleet = inventory.read(folder)

    assert sorted(fleet.sites) == ["centre", "edge", "headend"]
    assert fleet.rings == (0, 1, 2)
    assert fleet.centre is not None
    assert fleet.centre.name == "centre"
    assert fleet.sites["headend"].policy.site == "headend"


WRONG = [
    ("inventory.yaml", ("10.40.0.12", "10.40.0.11"), "'headend' has this address already"),
    ("inventory.yaml", ("10.40.0.12", "edge.example"), "'edge.example' is no address"),
    ("inventory.yaml", ("edge:", "broker:"), "'broker' is reserved"),
    ("inventory.yaml", ("edge:", "Edge:"), "'Edge' is no site name"),
    ("inventory.yaml", ("ring: 2", "ring: -1"), "ring"),
    ("inventory.yaml", ("edge: {", "edgy: {"), "did you mean 'edge'?"),
    ("inventory.yaml", ("hosts:\n", "host:\n"), "unknown key 'host'"),
    ("inventory.yaml", ("gateways:", "centre2: {}\n    gateways2:"), None),
    ("sites/edge/policy.yaml", ("site: edge", "site: headend"), "lies in the folder of 'edge'"),
    (
        "sites/edge/policy.yaml",
        ("10.40.0.12/24", "10.40.0.99/24"),
        "reached at 10.40.0.12, but this gives it 10.40.0.99",
    ),
    ("sites/edge/policy.yaml", ("run: ssh", "run: telemetry"), "the box could never be reached again"),
    ("sites/edge/policy.yaml", ("zone: management", "zone: managment"), "did you mean 'management'?"),
]


@pytest.mark.parametrize(("file", "change", "words"), WRONG, ids=[str(w[2])[:40] for w in WRONG])
def test_what_is_wrong_is_told(folder: Path, file: str, change: tuple[str, str], words: str | None):
    """Each wrong folder is refused with words that say what is wrong."""
    path = folder / file
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change, 1))

    if words is None:  # a group that is not ours holds boxes that are told elsewhere
        assert sorted(inventory.read(folder).sites) == ["centre"]
    else:
        assert words in faults(folder)


def test_faults_of_all_files_are_told_at_once(folder: Path):
    """A missing policy at one site and a wrong one at another are both told."""
    (folder / "sites" / "edge" / "policy.yaml").unlink()
    (folder / "sites" / "headend" / "policy.yaml").write_text("site: headend\nzones: {}\nsevices: {}\n")

    told = faults(folder)

    assert "site 'edge' has no policy" in told
    assert "unknown key 'sevices'" in told


def test_a_policy_that_breaks_its_own_case_is_refused(folder: Path):
    """A policy that grants what one of its expect cases forbids is a fault of the folder."""
    path = folder / "sites" / "edge" / "policy.yaml"
    path.write_text(
        path.read_text() + "expect:\n  - {from: management/10.40.0.2, to: box, proto: tcp, port: 22, verdict: drop}\n"
    )

    assert "expects drop" in faults(folder)


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(st.binary(max_size=200), st.text(alphabet="{}[]:,- \nabhostrinu0129\"'&*", max_size=120).map(str.encode))
)
def test_any_bytes_are_an_inventory_or_a_refusal(data: bytes):
    """Any bytes give a value or a ConfigError."""
    try:
        found = config.parse(data, inventory.Inventory)
    except ConfigError:
        return
    assert list(found.hosts())
